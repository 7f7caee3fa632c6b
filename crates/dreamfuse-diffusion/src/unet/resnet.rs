//! Residual blocks, and the norms that all blocks use.

use super::config::{TimeScaleShift, UNetConfig};
use super::convolution::Convolution;
use burn::module::Module;
use burn::nn::{GroupNorm, GroupNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use dreamfuse_kernels::group_norm;
use dreamfuse_kernels::group_norm::Settings;

pub(super) fn normalization(config: &UNetConfig, channels: usize, epsilon: f64, device: &Device) -> GroupNorm {
    GroupNormConfig::new(config.norm_num_groups, channels).with_epsilon(epsilon).init(device)
}

/// Runs a [`normalization`] by our kernel, followed by SiLU where asked.
pub(super) fn normalize(layer: &GroupNorm, x: Tensor<4>, silu: bool) -> Tensor<4> {
    let [gamma, beta] = affine(layer);
    group_norm(x, gamma, beta, settings(layer, silu))
}

/// As [`normalize`] with SiLU, each picture scaled and shifted by its own `[batch, 2 · channels]` in between
/// (diffusers' `scale_shift`; FiLM, Perez et al. 2018).
fn modulate(layer: &GroupNorm, x: Tensor<4>, by: Tensor<2>) -> Tensor<4> {
    let ([gamma, beta], channels) = (affine(layer), x.dims()[1]);
    let scale = by.clone().narrow(1, 0, channels) + 1.0;
    let shift = by.narrow(1, channels, channels);
    group_norm(x, gamma * scale.clone(), beta * scale + shift, settings(layer, true))
}

fn affine(layer: &GroupNorm) -> [Tensor<2>; 2] {
    [&layer.gamma, &layer.beta].map(|part| part.as_ref().expect("norms of the U-Net are affine").val().unsqueeze())
}

fn settings(layer: &GroupNorm, silu: bool) -> Settings {
    Settings { groups: layer.num_groups, epsilon: layer.epsilon as f32, silu }
}

/// diffusers' `ResnetBlock2D`.
#[derive(Module, Debug)]
pub(super) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Convolution,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Convolution,
    conv_shortcut: Option<Convolution>,
    #[module(skip)]
    time_scale_shift: TimeScaleShift,
}

impl ResnetBlock {
    pub(super) fn new(config: &UNetConfig, [from, to]: [usize; 2], device: &Device) -> Self {
        Self {
            norm1: normalization(config, from, config.norm_eps, device),
            conv1: Convolution::new([from, to], 3, 1, device),
            time_emb_proj: LinearConfig::new(config.time_embed_dim(), config.resnet_time_scale_shift.parts() * to)
                .init(device),
            norm2: normalization(config, to, config.norm_eps, device),
            conv2: Convolution::new([to, to], 3, 1, device),
            conv_shortcut: (from != to).then(|| Convolution::new([from, to], 1, 1, device)),
            time_scale_shift: config.resnet_time_scale_shift,
        }
    }

    /// See [`Convolution::prepare`].
    pub(super) fn prepare(&mut self) {
        self.conv1.prepare();
        self.conv2.prepare();
    }

    /// `x` is `[batch, from, h, w]`; `time` is `[batch, time_embed_dim]`, after SiLU.
    pub(super) fn forward(&self, x: Tensor<4>, time: Tensor<2>) -> Tensor<4> {
        let h = self.conv1.forward(normalize(&self.norm1, x.clone(), true));
        let time = self.time_emb_proj.forward(time);
        let h = match self.time_scale_shift {
            TimeScaleShift::Default => {
                let [batch, channels] = time.dims();
                normalize(&self.norm2, h + time.reshape([batch, channels, 1, 1]), true)
            }
            TimeScaleShift::ScaleShift => modulate(&self.norm2, h, time),
        };
        let h = self.conv2.forward(h);
        let shortcut = match &self.conv_shortcut {
            Some(layer) => layer.forward(x),
            None => x,
        };
        shortcut + h
    }
}
