//! The optimizer of a scene: Adam on table and network.

use crate::config::RunConfig;
use dreamfuse_kernels::adam::{Adam, Moments};

/// instant-ngp's settings: a larger epsilon drowns the small gradients of the table.
const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-15, weight_decay: 0.0 };

/// Parameters as numbers, with their moments: first the table, then the network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Optimizer {
    pub values: [Vec<f32>; 2],
    pub moments: [Moments; 2],
}

impl Optimizer {
    pub(crate) fn new(values: [Vec<f32>; 2]) -> Self {
        let moments = [Moments::zeros(values[0].len()), Moments::zeros(values[1].len())];
        Self { values, moments }
    }

    /// Step number `step`, from 1.
    pub(crate) fn step(&mut self, config: &RunConfig, step: u64, grads: &[Vec<f32>; 2]) {
        let decay = decay(step as f64 / config.steps as f64);
        for (i, rate) in [config.table_rate, config.mlp_rate].into_iter().enumerate() {
            ADAM.step(step, rate * decay, 1.0, &mut self.values[i], &grads[i], &mut self.moments[i]);
        }
    }
}

/// Over the second half of a run the rates fall to a twentieth: what is left of the gradient's noise, which Adam
/// turns into steps of full size, is averaged out of the surface.
fn decay(progress: f64) -> f32 {
    0.05f64.powf((2.0 * progress - 1.0).clamp(0.0, 1.0)) as f32
}
