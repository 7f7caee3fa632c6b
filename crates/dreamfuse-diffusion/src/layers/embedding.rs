//! Embeddings of timesteps, cameras and other values.

use super::{Nonlinearity, linear};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};

/// Two linear layers with a nonlinearity between them.
#[derive(Module, Debug)]
pub(crate) struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    pub(crate) fn new(from: usize, to: usize, device: &Device) -> Self {
        Self {
            linear_1: LinearConfig::new(from, to).init(device),
            linear_2: LinearConfig::new(to, to).init(device),
        }
    }

    /// Drawn anew for inputs of unlike sizes: weights of input `i` with deviation `gains[i]`, and an output as large as
    /// the embeddings that it is added to.
    pub(crate) fn with_gains(mut self, gains: &[f32], device: &Device) -> Self {
        let [from, to] = self.linear_1.weight.dims();
        assert_eq!(from, gains.len(), "one gain for each input");
        let normal = |rows: usize, std: f64| {
            Initializer::Normal { mean: 0.0, std }
                .init::<2, _>([rows, to], device)
                .val()
        };
        let gains = Tensor::<1>::from_floats(gains, device).reshape([from, 1]);
        self.linear_1.weight = Param::from_tensor((normal(from, 1.0) * gains).detach());
        self.linear_2.weight = Param::from_tensor(normal(to, 1.5 / (to as f64).sqrt()).detach());
        self
    }

    /// `[batch, from]` to `[batch, to]`.
    pub(crate) fn forward(&self, x: Tensor<2>, between: Nonlinearity) -> Tensor<2> {
        linear(&self.linear_2, between.apply(linear(&self.linear_1, x)))
    }
}

/// Cosines, then sines, of the timesteps at `width / 2` frequencies from 1 down to 1/10,000
/// (Vaswani et al. 2017; diffusers' `flip_sin_to_cos`, `freq_shift` 0): `[batch, width]`.
pub(crate) fn sinusoidal(timesteps: &[usize], width: usize, device: &Device) -> Tensor<2> {
    let half = width / 2;
    let mut values = Vec::with_capacity(timesteps.len() * width);
    for &t in timesteps {
        let angle = |i: usize| t as f64 * (-(10_000f64.ln()) * i as f64 / half as f64).exp();
        values.extend((0..half).map(|i| angle(i).cos() as f32));
        values.extend((0..half).map(|i| angle(i).sin() as f32));
    }
    Tensor::from_data(TensorData::new(values, [timesteps.len(), width]), device)
}
