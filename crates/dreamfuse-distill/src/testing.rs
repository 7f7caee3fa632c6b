//! A prior whose every answer can be said beforehand.

use burn::tensor::{Device, Tensor};
use dreamfuse_prior::{Batch, Conditioning, NoiseSchedule, Prior, PriorSpec, ScheduleConfig};

/// Answers that every image is the one that has `value` everywhere, in a range of `[−1, 1]`.
pub struct Constant {
    schedule: NoiseSchedule,
    side: usize,
    value: f32,
}

impl Constant {
    pub fn new(side: usize, value: f32) -> Self {
        Self {
            schedule: NoiseSchedule::new(ScheduleConfig::cosine_v()),
            side,
            value,
        }
    }
}

impl Prior for Constant {
    fn spec(&self) -> PriorSpec {
        PriorSpec::of_images(self.side)
    }
    fn device(&self) -> Device {
        Device::flex()
    }
    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }
    fn condition(&self, _: &[String]) -> Result<Conditioning, String> {
        Ok(Conditioning::none())
    }
    fn predict(&self, batch: &Batch) -> Tensor<4> {
        let noisy = batch.samples().clone();
        let (signal, sigma) = self
            .schedule
            .coefficients(batch.timesteps(), &noisy.device());
        (noisy - signal * self.value) / sigma
    }
}
