//! The optimizer of a scene: Adam on table and network.

use crate::config::RunConfig;
use burn::tensor::Tensor;
use dreamfuse_kernels::adam::{Adam, Parameters};

/// instant-ngp's settings: a larger epsilon drowns the small gradients of the table.
const ADAM: Adam = Adam {
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-15,
    weight_decay: 0.0,
};

/// Parameters with their moments: first the table, then the network.
pub(crate) struct Optimizer {
    pub parameters: [Parameters; 2],
}

impl Optimizer {
    pub(crate) fn new(values: [Tensor<1>; 2]) -> Self {
        Self {
            parameters: values.map(Parameters::new),
        }
    }

    /// Step number `step`, from 1.
    pub(crate) fn step(&mut self, config: &RunConfig, step: u64, grads: [Tensor<1>; 2]) {
        let decay = decay(step as f64 / config.steps as f64);
        let rates = [config.table_rate, config.mlp_rate];
        for ((parameters, rate), grad) in self.parameters.iter_mut().zip(rates).zip(grads) {
            parameters.sparse_step(ADAM, step, rate * decay, grad);
        }
    }

    /// Table and network.
    pub(crate) fn values(&self) -> [Tensor<1>; 2] {
        self.parameters
            .each_ref()
            .map(|parameters| parameters.values.clone())
    }
}

/// Over the second half of a run the rates fall to a twentieth: what is left of the gradient's noise, which Adam
/// turns into steps of full size, is averaged out of the surface.
fn decay(progress: f64) -> f32 {
    0.05f64.powf((2.0 * progress - 1.0).clamp(0.0, 1.0)) as f32
}
