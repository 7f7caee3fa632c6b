//! The levels of the U-Net.

use super::added::AddedAttention;
use super::attention::{Attend, SpatialTransformer};
use super::config::{AttentionKind, UNetConfig};
use crate::layers::{ChangeOfSize, Convolution, Resampler, ResnetBlock, upsample_nearest2};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// `DownBlock2D`, `CrossAttnDownBlock2D`, `ResnetDownsampleBlock2D` and `SimpleCrossAttnDownBlock2D`.
#[derive(Module, Debug)]
pub(super) struct DownBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<BlockAttention>,
    downsamplers: Vec<Resizer>,
}

/// `UNetMidBlock2DCrossAttn` and `UNetMidBlock2DSimpleCrossAttn`.
#[derive(Module, Debug)]
pub(super) struct MidBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<BlockAttention>,
}

/// `UpBlock2D`, `CrossAttnUpBlock2D`, `ResnetUpsampleBlock2D` and `SimpleCrossAttnUpBlock2D`.
#[derive(Module, Debug)]
pub(super) struct UpBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<BlockAttention>,
    upsamplers: Vec<Resizer>,
}

/// How a block attends to the text.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "parts of a module cannot be boxed, and they are few"
)]
pub(super) enum BlockAttention {
    Transformer(SpatialTransformer),
    Added(AddedAttention),
}

/// How images get to the next level.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "parts of a module cannot be boxed, and they are few"
)]
enum Resizer {
    Convolution(Resampler),
    Residual(ResnetBlock),
}

impl BlockAttention {
    /// `count` of a level, or none where its block has none.
    fn several(
        config: &UNetConfig,
        kind: Option<AttentionKind>,
        level: usize,
        count: usize,
        device: &Device,
    ) -> Vec<Self> {
        let channels = config.block_out_channels[level];
        let make = |kind: AttentionKind| match (kind, config.heads(level, kind)) {
            (AttentionKind::Transformer, heads) => {
                Self::Transformer(SpatialTransformer::new(config, level, heads, device))
            }
            (AttentionKind::Added, heads) => {
                Self::Added(AddedAttention::new(config, channels, heads, device))
            }
        };
        kind.map_or(Vec::new(), |kind| (0..count).map(|_| make(kind)).collect())
    }

    fn forward(&self, x: Tensor<4>, context: &Attend) -> Tensor<4> {
        match self {
            Self::Transformer(transformer) => transformer.forward(x, context),
            Self::Added(attention) => attention.forward(x, context),
        }
    }

    /// Keys and values of a text `[batch, tokens, cross_attention_dim]`, in the order in which they are taken.
    pub(super) fn keys_values(&self, text: &Tensor<3>) -> Vec<[Tensor<3>; 2]> {
        match self {
            Self::Transformer(transformer) => transformer.keys_values(text).collect(),
            Self::Added(attention) => vec![attention.keys_values(text)],
        }
    }
}

impl Resizer {
    /// One of `channels` where it is wanted.
    fn maybe(
        wanted: bool,
        config: &UNetConfig,
        block_type: &str,
        change: ChangeOfSize,
        channels: usize,
        device: &Device,
    ) -> Vec<Self> {
        let stride = if change == ChangeOfSize::Halve { 2 } else { 1 };
        let make = || {
            if UNetConfig::resizes_in_resnets(block_type) {
                Self::Residual(residual(config, [channels, channels], device).resizing(change))
            } else {
                Self::Convolution(Resampler {
                    conv: Convolution::new([channels, channels], 3, stride, device),
                })
            }
        };
        wanted.then(make).into_iter().collect()
    }

    fn prepare(&mut self) {
        match self {
            Self::Convolution(resampler) => resampler.conv.prepare(),
            Self::Residual(resnet) => resnet.prepare(),
        }
    }
}

/// See [`Convolution::prepare`].
fn prepare(resnets: &mut [ResnetBlock], resizers: &mut [Resizer]) {
    resnets.iter_mut().for_each(ResnetBlock::prepare);
    resizers.iter_mut().for_each(Resizer::prepare);
}

fn residual(config: &UNetConfig, channels: [usize; 2], device: &Device) -> ResnetBlock {
    ResnetBlock::new(config.norms(), Some(config.time_input()), channels, device)
        .with_nonlinearity(config.act_fn)
}

/// One residual block and, where there is one, its attention.
fn layer(
    resnet: &ResnetBlock,
    attention: Option<&BlockAttention>,
    x: Tensor<4>,
    context: &Attend,
) -> Tensor<4> {
    let x = resnet.forward(x, Some(&context.time));
    match attention {
        Some(attention) => attention.forward(x, context),
        None => x,
    }
}

impl DownBlock {
    pub(super) fn new(config: &UNetConfig, level: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (from, to, kind) = (
            channels[level.saturating_sub(1)],
            channels[level],
            &config.down_block_types[level],
        );
        let layers = config.layers_per_block;
        Self {
            resnets: (0..layers)
                .map(|i| residual(config, [if i == 0 { from } else { to }, to], device))
                .collect(),
            attentions: BlockAttention::several(
                config,
                AttentionKind::of(kind),
                level,
                layers,
                device,
            ),
            downsamplers: Resizer::maybe(
                level + 1 < channels.len(),
                config,
                kind,
                ChangeOfSize::Halve,
                to,
                device,
            ),
        }
    }

    /// In the order of the network.
    pub(super) fn attentions(&self) -> &[BlockAttention] {
        &self.attentions
    }

    pub(super) fn prepare(&mut self) {
        prepare(&mut self.resnets, &mut self.downsamplers);
    }

    /// Pushes what the way up will take again.
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        context: &Attend,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = layer(resnet, self.attentions.get(i), x, context);
            skips.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = match downsampler {
                Resizer::Convolution(resampler) => resampler.conv.forward(x),
                Resizer::Residual(resnet) => resnet.forward(x, Some(&context.time)),
            };
            skips.push(x.clone());
        }
        x
    }
}

impl MidBlock {
    pub(super) fn new(config: &UNetConfig, channels: usize, device: &Device) -> Self {
        let (last, kind) = (
            config.block_out_channels.len() - 1,
            AttentionKind::of(&config.mid_block_type),
        );
        Self {
            resnets: (0..2)
                .map(|_| residual(config, [channels, channels], device))
                .collect(),
            attentions: BlockAttention::several(config, kind, last, 1, device),
        }
    }

    /// In the order of the network.
    pub(super) fn attentions(&self) -> &[BlockAttention] {
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
        let (below, to) = (
            channels[(level + 1).min(channels.len() - 1)],
            channels[level],
        );
        let above = channels[level.saturating_sub(1)];
        let (layers, kind) = (config.layers_per_block + 1, &config.up_block_types[step]);
        let resnet = |i: usize| {
            let own = if i == 0 { below } else { to };
            let skip = if i + 1 == layers { above } else { to };
            residual(config, [own + skip, to], device)
        };
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: BlockAttention::several(
                config,
                AttentionKind::of(kind),
                level,
                layers,
                device,
            ),
            upsamplers: Resizer::maybe(level > 0, config, kind, ChangeOfSize::Double, to, device),
        }
    }

    /// In the order of the network.
    pub(super) fn attentions(&self) -> &[BlockAttention] {
        &self.attentions
    }

    pub(super) fn prepare(&mut self) {
        prepare(&mut self.resnets, &mut self.upsamplers);
    }

    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        context: &Attend,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("as many skips as the way down pushed");
            x = layer(
                resnet,
                self.attentions.get(i),
                Tensor::cat(vec![x, skip], 1),
                context,
            );
        }
        for upsampler in &self.upsamplers {
            x = match upsampler {
                Resizer::Convolution(resampler) => resampler.conv.forward(upsample_nearest2(x)),
                Resizer::Residual(resnet) => resnet.forward(x, Some(&context.time)),
            };
        }
        x
    }
}
