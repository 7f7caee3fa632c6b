//! Residual blocks, and the convolutions and norms that all blocks use.

use super::config::{TimeScaleShift, UNetConfig};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use dreamfuse_kernels::group_norm::Settings;
use dreamfuse_kernels::{conv2d, group_norm};

/// A convolution that keeps the size at stride 1.
pub(super) fn convolution(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let pad = kernel / 2;
    let padding = PaddingConfig2d::Explicit(pad, pad, pad, pad);
    Conv2dConfig::new(channels, [kernel, kernel]).with_stride([stride, stride]).with_padding(padding).init(device)
}

/// The convolution with zeros in place of random numbers: it ends a branch that adds nothing at first.
pub(super) fn zeroed(mut layer: Conv2d) -> Conv2d {
    layer.weight = layer.weight.map(|weight| weight.zeros_like());
    layer.bias = layer.bias.map(|bias| bias.map(|bias| bias.zeros_like()));
    layer
}

/// Runs a [`convolution`] by our kernel.
pub(super) fn convolve(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let bias = layer.bias.as_ref().expect("convolutions of the U-Net have a bias");
    conv2d(x, layer.weight.val(), bias.val(), layer.stride[0], layer.kernel_size[0] / 2)
}

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
    conv1: Conv2d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    #[module(skip)]
    time_scale_shift: TimeScaleShift,
}

impl ResnetBlock {
    pub(super) fn new(config: &UNetConfig, [from, to]: [usize; 2], device: &Device) -> Self {
        Self {
            norm1: normalization(config, from, config.norm_eps, device),
            conv1: convolution([from, to], 3, 1, device),
            time_emb_proj: LinearConfig::new(config.time_embed_dim(), config.resnet_time_scale_shift.parts() * to)
                .init(device),
            norm2: normalization(config, to, config.norm_eps, device),
            conv2: convolution([to, to], 3, 1, device),
            conv_shortcut: (from != to).then(|| convolution([from, to], 1, 1, device)),
            time_scale_shift: config.resnet_time_scale_shift,
        }
    }

    /// `x` is `[batch, from, h, w]`; `time` is `[batch, time_embed_dim]`, after SiLU.
    pub(super) fn forward(&self, x: Tensor<4>, time: Tensor<2>) -> Tensor<4> {
        let h = convolve(&self.conv1, normalize(&self.norm1, x.clone(), true));
        let time = self.time_emb_proj.forward(time);
        let h = match self.time_scale_shift {
            TimeScaleShift::Default => {
                let [batch, channels] = time.dims();
                normalize(&self.norm2, h + time.reshape([batch, channels, 1, 1]), true)
            }
            TimeScaleShift::ScaleShift => modulate(&self.norm2, h, time),
        };
        let h = convolve(&self.conv2, h);
        let shortcut = match &self.conv_shortcut {
            Some(layer) => convolve(layer, x),
            None => x,
        };
        shortcut + h
    }
}
