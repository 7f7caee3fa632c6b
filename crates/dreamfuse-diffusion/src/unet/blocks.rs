//! The levels of the U-Net.

use super::attention::{Attend, SpatialTransformer};
use super::config::UNetConfig;
use crate::layers::{Convolution, Resampler, ResnetBlock, upsample_nearest2};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// `DownBlock2D` and `CrossAttnDownBlock2D`.
#[derive(Module, Debug)]
pub(super) struct DownBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<SpatialTransformer>,
    downsamplers: Vec<Resampler>,
}

/// `UNetMidBlock2DCrossAttn`.
#[derive(Module, Debug)]
pub(super) struct MidBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<SpatialTransformer>,
}

/// `UpBlock2D` and `CrossAttnUpBlock2D`.
#[derive(Module, Debug)]
pub(super) struct UpBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<SpatialTransformer>,
    upsamplers: Vec<Resampler>,
}

/// See [`Convolution::prepare`].
fn prepare(resnets: &mut [ResnetBlock], resamplers: &mut [Resampler]) {
    resnets.iter_mut().for_each(ResnetBlock::prepare);
    resamplers.iter_mut().for_each(|resampler| resampler.conv.prepare());
}

/// `count` transformers, or none where the block type has none.
fn transformers(
    config: &UNetConfig,
    block_type: &str,
    level: usize,
    count: usize,
    device: &Device,
) -> Vec<SpatialTransformer> {
    let count = if UNetConfig::has_attention(block_type) { count } else { 0 };
    let channels = config.block_out_channels[level];
    (0..count).map(|_| SpatialTransformer::new(config, channels, config.heads(level), device)).collect()
}

fn residual(config: &UNetConfig, channels: [usize; 2], device: &Device) -> ResnetBlock {
    ResnetBlock::new(config.norms(), Some(config.time_input()), channels, device)
}

fn resampler(wanted: bool, channels: usize, stride: usize, device: &Device) -> Vec<Resampler> {
    let make = || Resampler { conv: Convolution::new([channels, channels], 3, stride, device) };
    wanted.then(make).into_iter().collect()
}

/// One residual block and, where there is one, its transformer.
fn layer(resnet: &ResnetBlock, attention: Option<&SpatialTransformer>, x: Tensor<4>, context: &Attend) -> Tensor<4> {
    let x = resnet.forward(x, Some(&context.time));
    match attention {
        Some(attention) => attention.forward(x, context),
        None => x,
    }
}

impl DownBlock {
    pub(super) fn new(config: &UNetConfig, level: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (from, to) = (channels[level.saturating_sub(1)], channels[level]);
        let layers = config.layers_per_block;
        Self {
            resnets: (0..layers).map(|i| residual(config, [if i == 0 { from } else { to }, to], device)).collect(),
            attentions: transformers(config, &config.down_block_types[level], level, layers, device),
            downsamplers: resampler(level + 1 < channels.len(), to, 2, device),
        }
    }

    /// In the order of the network.
    pub(super) fn attentions(&self) -> &[SpatialTransformer] {
        &self.attentions
    }

    pub(super) fn prepare(&mut self) {
        prepare(&mut self.resnets, &mut self.downsamplers);
    }

    /// Pushes what the way up will take again.
    pub(super) fn forward(&self, mut x: Tensor<4>, context: &Attend, skips: &mut Vec<Tensor<4>>) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = layer(resnet, self.attentions.get(i), x, context);
            skips.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = downsampler.conv.forward(x);
            skips.push(x.clone());
        }
        x
    }
}

impl MidBlock {
    pub(super) fn new(config: &UNetConfig, channels: usize, device: &Device) -> Self {
        let heads = config.heads(config.block_out_channels.len() - 1);
        Self {
            resnets: (0..2).map(|_| residual(config, [channels, channels], device)).collect(),
            attentions: vec![SpatialTransformer::new(config, channels, heads, device)],
        }
    }

    /// In the order of the network.
    pub(super) fn attentions(&self) -> &[SpatialTransformer] {
        &self.attentions
    }

    pub(super) fn prepare(&mut self) {
        prepare(&mut self.resnets, &mut []);
    }

    pub(super) fn forward(&self, x: Tensor<4>, context: &Attend) -> Tensor<4> {
        let x = layer(&self.resnets[0], self.attentions.first(), x, context);
        self.resnets[1].forward(x, Some(&context.time))
    }
}

impl UpBlock {
    /// `step` counts from the deepest level up.
    pub(super) fn new(config: &UNetConfig, step: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let level = channels.len() - 1 - step;
        let (below, to) = (channels[(level + 1).min(channels.len() - 1)], channels[level]);
        let above = channels[level.saturating_sub(1)];
        let layers = config.layers_per_block + 1;
        let resnet = |i: usize| {
            let own = if i == 0 { below } else { to };
            let skip = if i + 1 == layers { above } else { to };
            residual(config, [own + skip, to], device)
        };
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: transformers(config, &config.up_block_types[step], level, layers, device),
            upsamplers: resampler(level > 0, to, 1, device),
        }
    }

    /// In the order of the network.
    pub(super) fn attentions(&self) -> &[SpatialTransformer] {
        &self.attentions
    }

    pub(super) fn prepare(&mut self) {
        prepare(&mut self.resnets, &mut self.upsamplers);
    }

    pub(super) fn forward(&self, mut x: Tensor<4>, context: &Attend, skips: &mut Vec<Tensor<4>>) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("as many skips as the way down pushed");
            x = layer(resnet, self.attentions.get(i), Tensor::cat(vec![x, skip], 1), context);
        }
        for upsampler in &self.upsamplers {
            x = upsampler.conv.forward(upsample_nearest2(x));
        }
        x
    }
}
