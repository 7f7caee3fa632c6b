//! The forward process `x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε` and what a network's output means in it.

use crate::threshold::Thresholding;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// What x̂_0 is divided by at least: next to nothing of an image is left at the last timesteps.
const LEAST_SIGNAL: f64 = 1e-4;

/// How noise grows over the timesteps; names as in diffusers' `scheduler_config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly spaced β (Ho et al. 2020).
    Linear,
    /// Evenly spaced √β (latent diffusion).
    ScaledLinear,
    /// ᾱ follows a squared cosine (Nichol & Dhariwal 2021).
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredCosine,
}

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prediction {
    /// The noise ε.
    #[serde(rename = "epsilon")]
    Epsilon,
    /// `v = √ᾱ ε − √(1 − ᾱ) x_0` (Salimans & Ho 2022).
    #[serde(rename = "v_prediction")]
    V,
}

/// The part of diffusers' scheduler configuration that defines the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleConfig {
    #[serde(default = "default_steps")]
    pub num_train_timesteps: usize,
    #[serde(default = "default_beta_start")]
    pub beta_start: f64,
    #[serde(default = "default_beta_end")]
    pub beta_end: f64,
    #[serde(default = "default_beta_schedule")]
    pub beta_schedule: BetaSchedule,
    #[serde(default = "default_prediction")]
    pub prediction_type: Prediction,
    /// A network of a learned variance has it in as many channels behind its prediction.
    #[serde(default, skip_serializing)]
    pub variance_type: Option<String>,
    /// Whether x̂_0 is kept in its range dynamically.
    #[serde(default, skip_serializing)]
    pub thresholding: bool,
    #[serde(default = "default_ratio", skip_serializing)]
    pub dynamic_thresholding_ratio: f64,
    #[serde(default = "default_most", skip_serializing)]
    pub sample_max_value: f64,
}

// Defaults of diffusers' DDPMScheduler, which leaves them out of no file but older ones.
fn default_steps() -> usize {
    1000
}
fn default_beta_start() -> f64 {
    1e-4
}
fn default_beta_end() -> f64 {
    0.02
}
fn default_beta_schedule() -> BetaSchedule {
    BetaSchedule::Linear
}
fn default_ratio() -> f64 {
    0.995
}
fn default_most() -> f64 {
    1.0
}
fn default_prediction() -> Prediction {
    Prediction::Epsilon
}

impl ScheduleConfig {
    /// Cosine schedule and v-prediction: the embedded prior's.
    pub fn cosine_v() -> Self {
        Self {
            beta_schedule: BetaSchedule::SquaredCosine,
            prediction_type: Prediction::V,
            ..Self::default()
        }
    }

    /// Whether the network predicts variances besides.
    pub fn learns_variance(&self) -> bool {
        self.variance_type
            .as_deref()
            .is_some_and(|kind| kind.starts_with("learned"))
    }

    /// How x̂_0 is kept in its range, if dynamically.
    pub fn thresholding(&self) -> Option<Thresholding> {
        let (ratio, most) = (self.dynamic_thresholding_ratio, self.sample_max_value);
        self.thresholding.then_some(Thresholding { ratio, most })
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: default_steps(),
            beta_start: default_beta_start(),
            beta_end: default_beta_end(),
            beta_schedule: default_beta_schedule(),
            prediction_type: default_prediction(),
            variance_type: None,
            thresholding: false,
            dynamic_thresholding_ratio: default_ratio(),
            sample_max_value: default_most(),
        }
    }
}

/// ᾱ for every timestep.
#[derive(Clone, Debug)]
pub struct NoiseSchedule {
    config: ScheduleConfig,
    alphas_cumprod: Vec<f64>,
}

impl NoiseSchedule {
    /// Tabulates ᾱ.
    pub fn new(config: ScheduleConfig) -> Self {
        let steps = config.num_train_timesteps;
        let spaced = |low: f64, high: f64, i: usize| {
            low + (high - low) * i as f64 / (steps.max(2) - 1) as f64
        };
        let cosine = |t: f64| {
            ((t / steps as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2)
                .cos()
                .powi(2)
        };
        let beta = |i: usize| match config.beta_schedule {
            BetaSchedule::Linear => spaced(config.beta_start, config.beta_end, i),
            BetaSchedule::ScaledLinear => {
                spaced(config.beta_start.sqrt(), config.beta_end.sqrt(), i).powi(2)
            }
            BetaSchedule::SquaredCosine => {
                (1.0 - cosine(i as f64 + 1.0) / cosine(i as f64)).min(0.999)
            }
        };
        let mut product = 1.0;
        let alphas_cumprod = (0..steps)
            .map(|i| {
                product *= 1.0 - beta(i);
                product
            })
            .collect();
        Self {
            config,
            alphas_cumprod,
        }
    }

    /// What the schedule was made from.
    pub fn config(&self) -> &ScheduleConfig {
        &self.config
    }

    /// Number of timesteps.
    pub fn steps(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// ᾱ_t.
    pub fn alpha_cumprod(&self, timestep: usize) -> f64 {
        self.alphas_cumprod[timestep]
    }

    /// σ_t² = 1 − ᾱ_t.
    pub fn variance(&self, timestep: usize) -> f64 {
        1.0 - self.alphas_cumprod[timestep]
    }

    /// The timestep for `t` in (0, 1).
    pub fn timestep(&self, t: f64) -> usize {
        ((t * self.steps() as f64) as usize).min(self.steps() - 1)
    }

    /// `(√ᾱ, √(1 − ᾱ))` of each image, as tensors `[batch, 1, 1, 1]`.
    pub fn coefficients(&self, timesteps: &[usize], device: &Device) -> (Tensor<4>, Tensor<4>) {
        let column = |f: &dyn Fn(f64) -> f64| {
            let values: Vec<f32> = timesteps
                .iter()
                .map(|&t| f(self.alphas_cumprod[t]).sqrt() as f32)
                .collect();
            Tensor::from_data(TensorData::new(values, [timesteps.len(), 1, 1, 1]), device)
        };
        (column(&|alpha| alpha), column(&|alpha| 1.0 - alpha))
    }

    /// `x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε`; all `[batch, channels, height, width]`.
    pub fn add_noise(&self, clean: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        let (signal, sigma) = self.coefficients(timesteps, &clean.device());
        signal * clean + sigma * noise
    }

    /// The x̂_0 that `noise` in `noisy` stands for.
    pub fn clean_of(&self, noisy: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        let (signal, sigma) = self.coefficients(timesteps, &noisy.device());
        (noisy - sigma * noise) / signal.clamp_min(LEAST_SIGNAL)
    }

    /// The noise that is in `noisy` beside `clean`: [`NoiseSchedule::clean_of`] the other way round.
    pub fn noise_beside(
        &self,
        noisy: Tensor<4>,
        clean: Tensor<4>,
        timesteps: &[usize],
    ) -> Tensor<4> {
        let (signal, sigma) = self.coefficients(timesteps, &noisy.device());
        (noisy - signal.clamp_min(LEAST_SIGNAL) * clean) / sigma
    }

    /// What the network should have predicted.
    pub fn target(&self, clean: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        match self.config.prediction_type {
            Prediction::Epsilon => noise,
            Prediction::V => {
                let (signal, sigma) = self.coefficients(timesteps, &clean.device());
                signal * noise - sigma * clean
            }
        }
    }

    /// The network's output that stands for this noise: [`NoiseSchedule::noise_of`] the other way round.
    pub fn output_of(&self, noisy: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        match self.config.prediction_type {
            Prediction::Epsilon => noise,
            Prediction::V => {
                let (signal, sigma) = self.coefficients(timesteps, &noisy.device());
                (noise - sigma * noisy) / signal
            }
        }
    }

    /// The noise in `noisy` by the network's `output`.
    pub fn noise_of(&self, noisy: Tensor<4>, output: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        match self.config.prediction_type {
            Prediction::Epsilon => output,
            Prediction::V => {
                let (signal, sigma) = self.coefficients(timesteps, &noisy.device());
                signal * output + sigma * noisy
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_agree_with_diffusers() {
        // Made by tests/make_reference.py with DDPMScheduler.
        let reference: std::collections::HashMap<String, [f64; 3]> = serde_json::from_str(
            include_str!("../../dreamfuse-diffusion/tests/reference/schedules.json"),
        )
        .unwrap();
        assert_eq!(reference.len(), 3);
        for (name, right) in reference {
            let beta_schedule: BetaSchedule = serde_json::from_value(name.clone().into()).unwrap();
            let config = ScheduleConfig {
                beta_schedule,
                beta_start: 0.00085,
                beta_end: 0.012,
                ..Default::default()
            };
            let schedule = NoiseSchedule::new(config);
            for (timestep, right) in [0, 500, 999].into_iter().zip(right) {
                let ours = schedule.alpha_cumprod(timestep);
                assert!(
                    (ours - right).abs() < 2e-6,
                    "{name} at {timestep}: {ours} for {right}"
                );
            }
        }
    }

    #[test]
    fn the_noise_is_found_again_from_a_perfect_prediction() {
        let device = Device::flex();
        let tensor = |seed: f32| {
            let values: Vec<f32> = (0..24).map(|i| (seed * (i as f32 + 1.3)).sin()).collect();
            Tensor::<4>::from_data(TensorData::new(values, [2, 3, 2, 2]), &device)
        };
        for prediction_type in [Prediction::Epsilon, Prediction::V] {
            let schedule = NoiseSchedule::new(ScheduleConfig {
                prediction_type,
                ..ScheduleConfig::cosine_v()
            });
            let (clean, noise, timesteps) = (tensor(0.7), tensor(1.9), [100, 700]);
            let noisy = schedule.add_noise(clean.clone(), noise.clone(), &timesteps);
            let output = schedule.target(clean, noise.clone(), &timesteps);
            let found = schedule.noise_of(noisy.clone(), output.clone(), &timesteps);
            let error = (found.clone() - noise).abs().max().into_scalar::<f32>();
            assert!(error < 1e-5, "{prediction_type:?}: {error}");
            let back = schedule.output_of(noisy, found, &timesteps);
            let error = (back - output).abs().max().into_scalar::<f32>();
            assert!(error < 1e-4, "{prediction_type:?}: {error}");
        }
    }
}
