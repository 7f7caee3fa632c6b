//! What can go wrong with a scene while it is optimized, how it shows, and what helps.

mod janus;
mod stats;

pub use janus::ViewClassifier;
pub use stats::SceneStats;

use crate::run::Run;
use dreamfuse_prior::Prior;
use serde::Serialize;

/// What is wrong with a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Diagnosis {
    /// Nothing is left to be seen.
    Empty,
    /// A haze without a surface.
    Fog,
    /// An image on a board: thick from one side and thin from the other.
    Billboard,
    /// Pure, screaming colours, as too strong guidance makes them.
    Saturation,
    /// A gradient that is no number.
    NotFinite,
    /// A face on the back.
    Janus,
}

impl Diagnosis {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "the scene is empty",
            Self::Fog => "the scene is fog without a surface",
            Self::Billboard => "the scene is flat like an image on a board",
            Self::Saturation => "the colours are saturated",
            Self::NotFinite => "the gradient is not finite",
            Self::Janus => "the prior takes the back for a front (the Janus problem)",
        }
    }

    /// What a user can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Empty => "lower losses.opacity or the rates, or try another --seed",
            Self::Fog => "raise losses.binary or --guidance-scale, or take more --steps",
            Self::Billboard => "widen cameras.azimuth and cameras.elevation, or try another --seed",
            Self::Saturation => "lower --guidance-scale",
            Self::NotFinite => "lower table_rate and mlp_rate",
            Self::Janus => {
                "keep camera_aware and view_prompts on, lower --guidance-scale, or try another --seed"
            }
        }
    }

    /// Whether going on is pointless, and going back with other random numbers is not.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Empty | Self::NotFinite)
    }
}

/// Steps from one examination to the next.
const EVERY: u64 = 50;

/// Part of a run before which a scene may still be shapeless.
const MATURE: f64 = 0.5;

/// Whether a run is to be examined after its last step: regularly, and before anything is kept.
pub(crate) fn is_due(run: &Run) -> bool {
    let step = run.step_count();
    step.is_multiple_of(EVERY)
        || step.is_multiple_of(run.config.checkpoint_every)
        || step == run.config.steps
}

/// What is wrong with the run's scene. The same for the same scene: nothing is remembered and nothing drawn at random.
pub(crate) fn examine(run: &Run, prior: &dyn Prior) -> Vec<Diagnosis> {
    let scene = run.snapshot();
    let stats = SceneStats::of(&scene);
    let is_mature = run.step_count() as f64 >= MATURE * run.config.steps as f64;
    let found = stats
        .diagnoses()
        .into_iter()
        .filter(|diagnosis| diagnosis.is_fatal() || is_mature);
    let mut found: Vec<Diagnosis> = found.collect();
    // Asking the prior costs as much as some steps.
    let is_asked = is_mature
        && (run.step_count().is_multiple_of(run.config.checkpoint_every)
            || run.step_count() == run.config.steps);
    if is_asked && !found.contains(&Diagnosis::Empty) && janus::is_seen(run, &scene, prior) {
        found.push(Diagnosis::Janus);
    }
    found
}
