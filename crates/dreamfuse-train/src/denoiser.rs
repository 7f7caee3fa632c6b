//! What is trained: a U-Net and the text encoder that feeds it, together.

use crate::data::Batch;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dreamfuse_core::Camera;
use dreamfuse_diffusion::NoiseSchedule;
use dreamfuse_diffusion::clip_text::ClipTextModel;
use dreamfuse_diffusion::unet::UNet;

/// The trained networks.
#[derive(Module, Debug)]
pub(crate) struct Denoiser {
    pub unet: UNet,
    pub text_encoder: ClipTextModel,
}

impl Denoiser {
    /// Algorithm 1 of Ho et al. 2020: noise the pictures, predict, compare.
    pub(crate) fn loss(&self, batch: &Batch, schedule: &NoiseSchedule, device: &Device) -> Tensor<1> {
        let count = batch.len();
        let size = (batch.clean.len() / (3 * count)).isqrt();
        let picture =
            |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [count, 3, size, size]), device);
        let (clean, noise) = (picture(&batch.clean), picture(&batch.noise));
        let tokens = batch.ids.len() / count;
        let ids = Tensor::<2, Int>::from_data(TensorData::new(batch.ids.clone(), [count, tokens]), device);
        let camera =
            Tensor::<2>::from_data(TensorData::new(batch.cameras.clone(), [count, Camera::CONDITIONING]), device);
        let noisy = schedule.add_noise(clean.clone(), noise.clone(), &batch.timesteps);
        let target = schedule.target(clean, noise, &batch.timesteps);
        let output = self.unet.forward(noisy, &batch.timesteps, self.text_encoder.forward(ids), Some(camera));
        (output - target).powi_scalar(2).mean()
    }
}
