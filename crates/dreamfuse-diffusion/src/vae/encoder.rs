//! Images to moments.

use super::attention::MidBlock;
use super::config::VaeConfig;
use crate::layers::{Convolution, Nonlinearity, Resampler, ResnetBlock, normalize};
use burn::module::Module;
use burn::nn::GroupNorm;
use burn::tensor::{Device, Tensor};

#[derive(Module, Debug)]
pub(super) struct Encoder {
    conv_in: Convolution,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Convolution,
}

/// diffusers' `DownEncoderBlock2D`.
#[derive(Module, Debug)]
struct DownBlock {
    resnets: Vec<ResnetBlock>,
    downsamplers: Vec<Resampler>,
}

impl Encoder {
    pub(super) fn new(config: &VaeConfig, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let block = |level: usize| {
            let (from, to) = (channels[level.saturating_sub(1)], channels[level]);
            let resnet = |i: usize| {
                ResnetBlock::new(
                    config.norms(),
                    None,
                    [if i == 0 { from } else { to }, to],
                    device,
                )
            };
            let half = || Resampler {
                conv: Convolution::new([to, to], 3, 2, device).unpadded(),
            };
            DownBlock {
                resnets: (0..config.layers_per_block).map(resnet).collect(),
                downsamplers: (level + 1 < channels.len())
                    .then(half)
                    .into_iter()
                    .collect(),
            }
        };
        Self {
            conv_in: Convolution::new([config.in_channels, first], 3, 1, device),
            down_blocks: (0..channels.len()).map(block).collect(),
            mid_block: MidBlock::new(config, device),
            conv_norm_out: config.norms().over(last, device),
            conv_out: Convolution::new([last, 2 * config.latent_channels], 3, 1, device),
        }
    }

    /// Its layers in order, each from `[batch, channels, h, w]` to the next.
    pub(super) fn stages(&self) -> Vec<Box<dyn Fn(Tensor<4>) -> Tensor<4> + '_>> {
        let mut stages: Vec<Box<dyn Fn(Tensor<4>) -> Tensor<4> + '_>> =
            vec![Box::new(|x| self.conv_in.forward(x))];
        for block in &self.down_blocks {
            for resnet in &block.resnets {
                stages.push(Box::new(|x| resnet.forward(x, None)));
            }
            for downsampler in &block.downsamplers {
                // A row and a column of zeros at the far ends alone.
                stages.push(Box::new(|x| {
                    downsampler.conv.forward(x.pad((0, 1, 0, 1), 0.0))
                }));
            }
        }
        let [first, last] = [&self.mid_block.resnets[0], &self.mid_block.resnets[1]];
        stages.push(Box::new(|x| first.forward(x, None)));
        for attention in &self.mid_block.attentions {
            stages.push(Box::new(|x| attention.forward(x)));
        }
        stages.push(Box::new(|x| last.forward(x, None)));
        stages.push(Box::new(|x| {
            self.conv_out
                .forward(normalize(&self.conv_norm_out, x, Some(Nonlinearity::Silu)))
        }));
        stages
    }
}
