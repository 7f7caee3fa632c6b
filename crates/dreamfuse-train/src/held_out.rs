//! The loss by noise level on images that training never draws, as they are, with others' captions and with
//! cameras a quarter turn further: the gaps are what the words and the view are worth.

use crate::config::TrainConfig;
use crate::data::{Batch, draw};
use crate::denoiser::Denoiser;
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

/// The measured images: all with caption and camera.
pub(crate) fn batch(config: &TrainConfig, tokenizer: &Tokenizer) -> Batch {
    let captions = CaptionSampler::new(config.captions);
    let config = TrainConfig {
        seed: SEED,
        batch: IMAGES,
        drop_text: 0.0,
        drop_camera: 0.0,
        drop_told: 0.0,
        ..config.clone()
    };
    draw(&config, &captions, tokenizer, 1, 0)
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
    let loss = |batch: &Batch| {
        model.losses(config, batch, schedule, &Device::flex())[0]
            .clone()
            .into_scalar::<f32>()
    };
    let own = loss(&batch);
    let tokens = batch.ids.len() / batch.len();
    batch.ids.rotate_right(tokens);
    let other_caption = loss(&batch);
    batch.ids.rotate_left(tokens);
    let cameras = batch
        .told
        .iter_mut()
        .filter_map(|told| told.camera.as_mut());
    cameras.for_each(|camera| camera.azimuth += FRAC_PI_2);
    HeldOut {
        level,
        loss: own,
        loss_other_caption: other_caption,
        loss_other_azimuth: loss(&batch),
    }
}
