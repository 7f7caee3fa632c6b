//! Pixels at the lowest resolution attend to each other.

use super::config::VaeConfig;
use crate::layers::{Norms, ResnetBlock, normalize, project};
use burn::module::Module;
use burn::nn::{GroupNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use dreamfuse_kernels::attention;

/// diffusers' `UNetMidBlock2D`: attention, where there is one, between two residual blocks.
#[derive(Module, Debug)]
pub(super) struct MidBlock {
    pub(super) resnets: Vec<ResnetBlock>,
    pub(super) attentions: Vec<PixelAttention>,
}

/// One head over all channels.
#[derive(Module, Debug)]
pub(super) struct PixelAttention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Vec<Linear>,
}

impl MidBlock {
    pub(super) fn new(config: &VaeConfig, device: &Device) -> Self {
        let channels = *config
            .block_out_channels
            .last()
            .expect("a checked configuration has levels");
        let resnet = || ResnetBlock::new(config.norms(), None, [channels, channels], device);
        let attention = || PixelAttention::new(config.norms(), channels, device);
        Self {
            resnets: vec![resnet(), resnet()],
            attentions: config
                .mid_block_add_attention
                .then(attention)
                .into_iter()
                .collect(),
        }
    }
}

impl PixelAttention {
    fn new(norms: Norms, channels: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(channels, channels).init(device);
        Self {
            group_norm: norms.over(channels, device),
            to_q: linear(),
            to_k: linear(),
            to_v: linear(),
            to_out: vec![linear()],
        }
    }

    /// `[batch, channels, h, w]` to the same.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let h = normalize(&self.group_norm, x.clone(), None);
        let tokens = h.reshape([batch, channels, height * width]).swap_dims(1, 2);
        let [q, k, v] =
            [&self.to_q, &self.to_k, &self.to_v].map(|linear| project(linear, tokens.clone()));
        let attended = project(&self.to_out[0], attention(q, k, v, 1));
        x + attended
            .swap_dims(1, 2)
            .reshape([batch, channels, height, width])
    }
}
