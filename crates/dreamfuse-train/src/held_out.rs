//! The loss by noise level on images that training never draws, as they are, with others' captions and with
//! cameras a quarter turn further: the gaps are what the words and the view are worth.

use crate::config::TrainConfig;
use crate::data::{Batch, Source};
use crate::denoiser::Denoiser;
use crate::rows::{self, RowsConfig};
use burn::tensor::Device;
use dreamfuse_diffusion::Tokenizer;
use dreamfuse_prior::NoiseSchedule;
use dreamfuse_toybox::CaptionSampler;
use std::f32::consts::FRAC_PI_2;

/// Noise levels that are measured, of `[0, 1]`.
pub(crate) const LEVELS: [f64; 6] = [0.1, 0.3, 0.5, 0.7, 0.85, 0.95];

/// Images that are measured.
const IMAGES: usize = 64;

/// Their seed: the same for every training run, whose own seeds are small numbers.
const SEED: u64 = u64::MAX - 1;

/// Errors at one noise level.
#[derive(Clone, Copy, Debug)]
pub struct HeldOut {
    /// Noise level in `[0, 1]`.
    pub level: f64,
    /// Mean squared error of the prediction.
    pub loss: f32,
    /// The same with each image given another's caption.
    pub loss_other_caption: f32,
    /// The same with each camera's azimuth told a quarter turn further.
    pub loss_other_azimuth: f32,
}

/// Errors at one noise level on held-out toys, each with one reference image.
#[derive(Clone, Copy, Debug)]
pub struct HeldOutReferences {
    /// Noise level in `[0, 1]`.
    pub level: f64,
    /// Mean squared error of the prediction.
    pub loss: f32,
    /// The same without the reference.
    pub loss_without: f32,
    /// The same with each image given another toy's reference.
    pub loss_other_reference: f32,
    /// The same with each camera's azimuth told a quarter turn further than it is from the reference's.
    pub loss_other_azimuth: f32,
}

/// The measured images: all with caption and camera.
pub(crate) fn batch(config: &TrainConfig, tokenizer: &Tokenizer) -> Batch {
    let captions = CaptionSampler::new(config.captions);
    let config = TrainConfig {
        rows: None,
        ..all_told(config)
    };
    let source = Source {
        config: &config,
        captions: &captions,
        tokenizer,
        timesteps: 1,
    };
    source.draw(0)
}

fn all_told(config: &TrainConfig) -> TrainConfig {
    TrainConfig {
        seed: SEED,
        batch: IMAGES,
        drop_text: 0.0,
        drop_camera: 0.0,
        drop_told: 0.0,
        ..config.clone()
    }
}

/// The measured images with references: held-out toys.
pub(crate) fn reference_batch(
    config: &TrainConfig,
    rows: &RowsConfig,
    tokenizer: &Tokenizer,
) -> Batch {
    let captions = CaptionSampler::new(config.captions);
    let config = all_told(config);
    let rows = RowsConfig {
        drop: 0.0,
        noise: 0.0,
        turned: 0.0,
        ..rows.clone()
    };
    let source = Source {
        config: &config,
        captions: &captions,
        tokenizer,
        timesteps: 1,
    };
    let examples: Vec<_> = (0..IMAGES)
        .filter_map(|index| rows::held_out(&source, &rows, 1, index))
        .collect();
    source.batch(&examples, 1, 0)
}

/// The errors of `model` at noise level `level` with references and without.
pub(crate) fn measure_references(
    model: &Denoiser,
    config: &TrainConfig,
    batch: &Batch,
    level: f64,
    schedule: &NoiseSchedule,
) -> HeldOutReferences {
    let mut batch = batch.clone();
    batch.timesteps.fill(schedule.timestep(level));
    let loss = |batch: &Batch| error(model, config, batch, schedule);
    let with_sets = |change: fn(&mut Vec<Option<usize>>)| {
        let mut batch = batch.clone();
        batch
            .references
            .iter_mut()
            .for_each(|references| change(&mut references.sets));
        loss(&batch)
    };
    let loss_without = with_sets(|sets| sets.fill(None));
    let loss_other_reference = with_sets(|sets| sets.rotate_right(1));
    let own = loss(&batch);
    turn(&mut batch);
    HeldOutReferences {
        level,
        loss: own,
        loss_without,
        loss_other_reference,
        loss_other_azimuth: loss(&batch),
    }
}

fn error(model: &Denoiser, config: &TrainConfig, batch: &Batch, schedule: &NoiseSchedule) -> f32 {
    let [error, _] = model.losses(config, batch, schedule, &Device::flex());
    error.into_scalar::<f32>()
}

/// Tells each camera's azimuth a quarter turn further.
fn turn(batch: &mut Batch) {
    let cameras = batch
        .told
        .iter_mut()
        .filter_map(|told| told.camera.as_mut());
    cameras.for_each(|camera| camera.azimuth += FRAC_PI_2);
}

/// The errors of `model` at noise level `level`.
pub(crate) fn measure(
    model: &Denoiser,
    config: &TrainConfig,
    batch: &Batch,
    level: f64,
    schedule: &NoiseSchedule,
) -> HeldOut {
    let mut batch = batch.clone();
    batch.timesteps.fill(schedule.timestep(level));
    let loss = |batch: &Batch| error(model, config, batch, schedule);
    let own = loss(&batch);
    let tokens = batch.ids.len() / batch.len();
    batch.ids.rotate_right(tokens);
    let other_caption = loss(&batch);
    batch.ids.rotate_left(tokens);
    turn(&mut batch);
    HeldOut {
        level,
        loss: own,
        loss_other_caption: other_caption,
        loss_other_azimuth: loss(&batch),
    }
}
