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
        for (i, rate) in [config.table_rate, config.mlp_rate].into_iter().enumerate() {
            ADAM.step(step, rate, 1.0, &mut self.values[i], &grads[i], &mut self.moments[i]);
        }
    }
}
