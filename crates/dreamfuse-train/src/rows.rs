//! Rows: an image with reference images of the same scene, which training shows to the network.

use crate::data::{Example, Frame, Source};
use dreamfuse_core::{Purpose, Told, stream, view_stream};
use dreamfuse_toybox::{Caption, Scene, toy};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use std::f32::consts::TAU;

/// What rows are made of: `[rows]` of a training configuration. The network then takes references.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsConfig {
    /// Share of the steps whose images come with references.
    pub share: f64,
    /// Shares of rows of toys (see [`toybox::toy`](dreamfuse_toybox::toy)) and of canonical scenes; the others show an
    /// instance of a sentence.
    pub toys: f64,
    pub canonical: f64,
    /// Probability of two to four references instead of one.
    pub several: f64,
    /// Probability that an image comes without its references.
    pub drop: f64,
    /// Probability that the text is the empty one. A toy has no other.
    pub drop_text: f64,
    /// References are noised to a level from 0 to this one, and told so.
    pub noise: f64,
    /// Probability that cameras are told from another direction than the front, without text.
    pub turned: f64,
    /// Train the layers for references alone: without references nothing changes.
    #[serde(default)]
    pub alone: bool,
}

impl RowsConfig {
    /// Says what cannot be, if anything.
    ///
    /// # Errors
    /// The message names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, share) in [
            ("share", self.share),
            ("toys", self.toys),
            ("canonical", self.canonical),
            ("several", self.several),
            ("drop", self.drop),
            ("drop_text", self.drop_text),
            ("noise", self.noise),
            ("turned", self.turned),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("rows.{key} = {share} is not between 0 and 1"));
            }
        }
        Ok(())
    }

    /// References of each image of a step; zero where its images come alone.
    pub(crate) fn references(&self, seed: u64, step: u64) -> usize {
        let mut rng = stream(seed, Purpose::Reference, 0, step);
        if !rng.random_bool(self.share) {
            return 0;
        }
        if rng.random_bool(self.several) {
            rng.random_range(2..=4)
        } else {
            1
        }
    }
}

/// What a row shows.
struct Subject {
    scene: Scene,
    /// Empty for a toy.
    text: String,
    is_canonical: bool,
}

/// A thing that rows may show.
fn subject(source: &Source, rows: &RowsConfig, rng: &mut impl Rng) -> Subject {
    let (roll, instance) = (rng.random::<f64>(), rng.random::<u64>());
    if roll < rows.toys {
        // The next one, where this one is held out.
        let seed = instance + u64::from(toy::is_held_out(instance));
        return Subject {
            scene: Scene::toy(seed),
            text: String::new(),
            is_canonical: false,
        };
    }
    let Caption { sentence, text } = loop {
        let drawn = source.caption(rng);
        if !toy::is_unseen(&drawn.sentence) {
            break drawn;
        }
    };
    let is_canonical = roll < rows.toys + rows.canonical;
    Subject {
        scene: if is_canonical {
            Scene::canonical(&sentence)
        } else {
            Scene::instance(&sentence, instance)
        },
        text,
        is_canonical,
    }
}

/// The reference images of one image.
#[derive(Default)]
pub(crate) struct References {
    /// `[images, 3, size, size]`, in `[−1, 1]`.
    pub clean: Vec<f32>,
    /// Standard normal, as many.
    pub noise: Vec<f32>,
    /// Noise level of each, of `[0, 1]`.
    pub levels: Vec<f64>,
    pub told: Vec<Told>,
    /// Whether the image comes with them.
    pub is_shown: bool,
}

/// Image `index` of the step's, with `count` references.
pub(crate) fn example(
    source: &Source,
    rows: &RowsConfig,
    count: usize,
    [step, index]: [u64; 2],
) -> Example {
    let mut rng = view_stream(
        source.config.seed,
        Purpose::Reference,
        1,
        step,
        index as usize,
    );
    let subject = subject(source, rows, &mut rng);
    row(source, rows, subject, count, &mut rng)
}

/// Toy number `index` of those that are held out, with `count` references.
pub(crate) fn held_out(
    source: &Source,
    rows: &RowsConfig,
    count: usize,
    index: usize,
) -> Option<Example> {
    let mut rng = view_stream(source.config.seed, Purpose::Reference, 2, 0, index);
    let seed = toy::held_out().nth(index)?;
    let subject = Subject {
        scene: Scene::toy(seed),
        text: String::new(),
        is_canonical: false,
    };
    Some(row(source, rows, subject, count, &mut rng))
}

fn row(
    source: &Source,
    rows: &RowsConfig,
    subject: Subject,
    count: usize,
    rng: &mut impl Rng,
) -> Example {
    let config = source.config;
    let turn = rng
        .random_bool(rows.turned)
        .then(|| rng.random_range(0.0..TAU));
    let turned = |told: Told| turn.map_or(told, |turn| told.turned(turn));
    let mut references = References {
        is_shown: !rng.random_bool(rows.drop),
        ..References::default()
    };
    for _ in 0..count {
        let frame = Frame::draw(config, &subject.scene, rng);
        references.levels.push(rng.random::<f64>() * rows.noise);
        // A reference whose camera is not known says little of where things are.
        let known = Told {
            camera: Some(frame.camera),
            ..frame.told(config, subject.is_canonical, rng)
        };
        references.told.push(turned(known));
        references.noise.extend(frame.noise(rng));
        references.clean.extend(frame.clean);
    }
    let frame = Frame::draw(config, &subject.scene, rng);
    let mut text = subject.text;
    if rng.random_bool(config.view_words) && !text.is_empty() {
        text.push_str(frame.view_word());
    }
    if rng.random_bool(rows.drop_text) || turn.is_some() {
        text.clear();
    }
    let known = turned(frame.told(config, subject.is_canonical, rng));
    Example {
        references: Some(references),
        ..frame.example(source, &text, known, rng)
    }
}
