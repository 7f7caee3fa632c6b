//! Latents to images.

use super::attention::MidBlock;
use super::config::VaeConfig;
use crate::layers::{
    Convolution, Nonlinearity, Resampler, ResnetBlock, normalize, upsample_nearest2,
};
use burn::module::Module;
use burn::nn::GroupNorm;
use burn::tensor::{Device, Tensor};

#[derive(Module, Debug)]
pub(super) struct Decoder {
    conv_in: Convolution,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Convolution,
}

/// diffusers' `UpDecoderBlock2D`.
#[derive(Module, Debug)]
struct UpBlock {
    resnets: Vec<ResnetBlock>,
    upsamplers: Vec<Resampler>,
}

impl Decoder {
    pub(super) fn new(config: &VaeConfig, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let block = |level: usize| {
            let (from, to) = (
                channels[(level + 1).min(channels.len() - 1)],
                channels[level],
            );
            let resnet = |i: usize| {
                ResnetBlock::new(
                    config.norms(),
                    None,
                    [if i == 0 { from } else { to }, to],
                    device,
                )
            };
            let twice = || Resampler {
                conv: Convolution::new([to, to], 3, 1, device),
            };
            UpBlock {
                resnets: (0..=config.layers_per_block).map(resnet).collect(),
                upsamplers: (level > 0).then(twice).into_iter().collect(),
            }
        };
        Self {
            conv_in: Convolution::new([config.latent_channels, last], 3, 1, device),
            mid_block: MidBlock::new(config, device),
            up_blocks: (0..channels.len()).rev().map(block).collect(),
            conv_norm_out: config.norms().over(first, device),
            conv_out: Convolution::new([first, config.out_channels], 3, 1, device),
        }
    }

    /// `[batch, latent_channels, h, w]` to `[batch, 3, factor · h, factor · w]`.
    pub(super) fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        let mut x = self.mid_block.resnets[0].forward(self.conv_in.forward(latents), None);
        for attention in &self.mid_block.attentions {
            x = attention.forward(x);
        }
        x = self.mid_block.resnets[1].forward(x, None);
        for block in &self.up_blocks {
            for resnet in &block.resnets {
                x = resnet.forward(x, None);
            }
            for upsampler in &block.upsamplers {
                x = upsampler.conv.forward(upsample_nearest2(x));
            }
        }
        self.conv_out
            .forward(normalize(&self.conv_norm_out, x, Some(Nonlinearity::Silu)))
    }
}
