//! Attention and feed-forward layers of transformers, under diffusers' names.

use super::project;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use dreamfuse_kernels::{attention, geglu};

/// diffusers' `Attention`: queries, keys and values without biases.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Vec<Linear>,
    #[module(skip)]
    heads: usize,
}

/// A gated feed-forward layer (GEGLU, Shazeer 2020).
#[derive(Module, Debug)]
pub(crate) struct FeedForward {
    proj_in: Linear,
    proj_out: Linear,
}

impl Attention {
    /// Queries of `width`, keys and values from `context`.
    pub(crate) fn new([width, context]: [usize; 2], heads: usize, device: &Device) -> Self {
        let linear = |from: usize| LinearConfig::new(from, width).with_bias(false).init(device);
        Self {
            to_q: linear(width),
            to_k: linear(context),
            to_v: linear(context),
            to_out: vec![LinearConfig::new(width, width).init(device)],
            heads,
        }
    }

    /// With zeros at its end: it adds nothing at first.
    pub(crate) fn zeroed(mut self) -> Self {
        for layer in &mut self.to_out {
            *layer = zeroed(layer.clone());
        }
        self
    }

    /// `[batch, m, width]` each, from `context` `[batch, m, …]`.
    pub(crate) fn keys_values(&self, context: Tensor<3>) -> [Tensor<3>; 2] {
        [
            project(&self.to_k, context.clone()),
            project(&self.to_v, context),
        ]
    }

    /// Queries from `x` `[batch, n, width]`.
    pub(crate) fn forward(&self, x: Tensor<3>, keys_values: [Tensor<3>; 2]) -> Tensor<3> {
        self.out(self.attend(self.queries(x), keys_values))
    }

    /// `[batch, n, width]`, from `x` of the same shape.
    pub(crate) fn queries(&self, x: Tensor<3>) -> Tensor<3> {
        project(&self.to_q, x)
    }

    /// Values by how their keys agree with the queries, head after head.
    pub(crate) fn attend(&self, queries: Tensor<3>, [k, v]: [Tensor<3>; 2]) -> Tensor<3> {
        attention(queries, k, v, self.heads)
    }

    /// The layer after the heads.
    pub(crate) fn out(&self, attended: Tensor<3>) -> Tensor<3> {
        project(&self.to_out[0], attended)
    }
}

impl FeedForward {
    /// With `hidden` values between its layers.
    pub(crate) fn new(width: usize, hidden: usize, device: &Device) -> Self {
        Self {
            proj_in: LinearConfig::new(width, 2 * hidden).init(device),
            proj_out: LinearConfig::new(hidden, width).init(device),
        }
    }

    /// `[batch, n, width]` to the same.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        project(&self.proj_out, geglu(project(&self.proj_in, x)))
    }
}

/// The layer with zeros in place of random weights.
pub(crate) fn zeroed(layer: Linear) -> Linear {
    Linear {
        weight: layer.weight.map(|weight| weight.zeros_like()),
        bias: layer.bias.map(|bias| bias.map(|bias| bias.zeros_like())),
    }
}
