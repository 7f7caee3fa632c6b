//! What a run tells its listeners.

use crate::health::Diagnosis;
use serde::{Deserialize, Serialize, Serializer};
use std::path::{Path, PathBuf};

/// One step's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Steps done.
    pub step: u64,
    /// Mean opacity of the views: near 0 the scene is empty, near 1 it is fog or fills the view.
    pub opacity: f32,
    /// Norm of the gradient of the scene's parameters.
    pub gradient_norm: f32,
    /// Samples that were evaluated.
    pub samples: usize,
    /// Share of the occupancy grid that is marched.
    pub occupied: f32,
    /// Mean noise level t of the views, 0 to 1.
    pub noise_level: f32,
    /// Strength of classifier-free guidance.
    pub guidance_scale: f64,
    /// What the regularizers add, each with its weight.
    pub losses: Losses,
}

/// Loss terms beside distillation's, whose loss is not known: only its gradient is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Losses {
    pub opacity: f32,
    pub binary: f32,
    pub orientation: f32,
    /// Of a run with a picture.
    #[serde(skip_serializing_if = "is_zero")]
    pub picture: f32,
    #[serde(skip_serializing_if = "is_zero")]
    pub mask: f32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

/// How a mesh came to its texture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Textured {
    /// Side in texels.
    pub size: usize,
    pub charts: usize,
    /// The way that texture coordinates were found.
    pub unwrap: String,
}

/// A line of `events.jsonl`: when, by which version, and what.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    /// Seconds since 1970 (UTC).
    pub time: f64,
    pub version: &'static str,
    #[serde(flatten)]
    pub event: &'a Event,
}

/// Something happened. Serialized as one line of `events.jsonl`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Started {
        prompt: String,
        from_step: u64,
        to_step: u64,
    },
    Step(Report),
    Preview {
        step: u64,
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
    },
    Checkpoint {
        step: u64,
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
    },
    /// Something is wrong with the scene.
    Health {
        step: u64,
        diagnosis: Diagnosis,
        hint: String,
        rolled_back_to: Option<u64>,
    },
    Mesh {
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        vertices: usize,
        triangles: usize,
        /// The density at which it was cut.
        iso: f32,
        /// Mean intersection over union of the mesh's silhouettes and the volume's.
        silhouette_agreement: f32,
        /// Of the mesh's albedo images beside the volume's, where both are opaque, in dB.
        albedo_psnr: f32,
        self_intersections: usize,
        /// The budget of triangles that it took.
        face_budget: usize,
        texture: Option<Textured>,
    },
    /// A step of the second stage.
    Refined {
        step: u64,
        of: u64,
        /// Noise level t of the images, 0 to 1.
        noise_level: f32,
        /// Root mean square of what the texels moved.
        change: f32,
    },
    Interrupted {
        step: u64,
    },
    Finished {
        step: u64,
        seconds: f64,
    },
}

/// Paths that are not UTF-8 are told as far as they are.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Event {
    /// What was found after a step, and where the run went back to, if it did.
    pub(crate) fn health(step: u64, diagnosis: Diagnosis, rolled_back_to: Option<u64>) -> Self {
        Self::Health {
            step,
            diagnosis,
            hint: diagnosis.hint().into(),
            rolled_back_to,
        }
    }
}
