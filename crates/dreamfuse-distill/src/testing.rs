//! A prior whose every answer can be said beforehand.

use burn::tensor::{Device, Tensor};
use dreamfuse_core::Camera;
use dreamfuse_diffusion::{FrozenPrior, NoiseSchedule, ReadText, ScheduleConfig};

/// Answers that every picture is the one that has `value` everywhere, in a range of `[−1, 1]`.
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

impl FrozenPrior for Constant {
    fn device(&self) -> Device {
        Device::flex()
    }

    fn resolution(&self) -> usize {
        self.side
    }
    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }
    fn encode(&self, _: &[String]) -> Result<ReadText, String> {
        Ok(ReadText::none())
    }
    fn noise(
        &self,
        noisy: Tensor<4>,
        timesteps: &[usize],
        _: ReadText,
        _: Option<&[Camera]>,
    ) -> Tensor<4> {
        let (signal, sigma) = self.schedule.coefficients(timesteps, &noisy.device());
        (noisy - signal * self.value) / sigma
    }
}
