//! Embeddings of timesteps and cameras.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor, TensorData};

/// Two linear layers with SiLU between them.
#[derive(Module, Debug)]
pub(super) struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    pub(super) fn new(from: usize, to: usize, device: &Device) -> Self {
        Self { linear_1: LinearConfig::new(from, to).init(device), linear_2: LinearConfig::new(to, to).init(device) }
    }

    /// `[batch, from]` to `[batch, to]`.
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.linear_2.forward(silu(self.linear_1.forward(x)))
    }
}

/// Cosines, then sines, of the timesteps at `width / 2` frequencies from 1 down to 1/10,000
/// (Vaswani et al. 2017; diffusers' `flip_sin_to_cos`, `freq_shift` 0): `[batch, width]`.
pub(super) fn sinusoidal(timesteps: &[usize], width: usize, device: &Device) -> Tensor<2> {
    let half = width / 2;
    let mut values = Vec::with_capacity(timesteps.len() * width);
    for &t in timesteps {
        let angle = |i: usize| t as f64 * (-(10_000f64.ln()) * i as f64 / half as f64).exp();
        values.extend((0..half).map(|i| angle(i).cos() as f32));
        values.extend((0..half).map(|i| angle(i).sin() as f32));
    }
    Tensor::from_data(TensorData::new(values, [timesteps.len(), width]), device)
}
