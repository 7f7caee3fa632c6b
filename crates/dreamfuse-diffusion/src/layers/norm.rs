//! Group norms, by our kernel.

use super::nonlinearity::Nonlinearity;
use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Tensor};
use dreamfuse_kernels::group_norm;
use dreamfuse_kernels::group_norm::Settings;

/// What the norms of a network have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norms {
    pub groups: usize,
    pub epsilon: f64,
}

impl Norms {
    pub(crate) fn over(self, channels: usize, device: &Device) -> GroupNorm {
        GroupNormConfig::new(self.groups, channels)
            .with_epsilon(self.epsilon)
            .init(device)
    }
}

/// Runs a norm on `[batch, channels, h, w]`, and what is asked to follow it.
pub(crate) fn normalize(layer: &GroupNorm, x: Tensor<4>, then: Option<Nonlinearity>) -> Tensor<4> {
    run(layer, x, affine(layer), then)
}

/// As [`normalize`], each image scaled and shifted by its own `[batch, 2 · channels]` in between
/// (diffusers' `scale_shift`; FiLM, Perez et al. 2018).
pub(super) fn modulate(
    layer: &GroupNorm,
    x: Tensor<4>,
    by: Tensor<2>,
    then: Nonlinearity,
) -> Tensor<4> {
    let ([gamma, beta], channels) = (affine(layer), x.dims()[1]);
    let scale = by.clone().narrow(1, 0, channels) + 1.0;
    let shift = by.narrow(1, channels, channels);
    run(
        layer,
        x,
        [gamma * scale.clone(), beta * scale + shift],
        Some(then),
    )
}

/// The kernel knows SiLU; anything else is an operation of its own.
fn run(
    layer: &GroupNorm,
    x: Tensor<4>,
    [gamma, beta]: [Tensor<2>; 2],
    then: Option<Nonlinearity>,
) -> Tensor<4> {
    let silu = then == Some(Nonlinearity::Silu);
    let settings = Settings {
        groups: layer.num_groups,
        epsilon: layer.epsilon as f32,
        silu,
    };
    let normal = group_norm(x, gamma, beta, settings);
    match then {
        Some(other) if !silu => other.apply(normal),
        _ => normal,
    }
}

fn affine(layer: &GroupNorm) -> [Tensor<2>; 2] {
    [&layer.gamma, &layer.beta].map(|part| {
        part.as_ref()
            .expect("our norms are affine")
            .val()
            .unsqueeze()
    })
}
