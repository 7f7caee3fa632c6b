//! Spatial transformers: pixels attend to each other and to the text.

use super::config::UNetConfig;
use super::text::TextConditioning;
use crate::layers::{Attention, Convolution, FeedForward, Norms, normalize, normalize_tokens};
use burn::module::Module;
use burn::nn::{GroupNorm, LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use std::cell::Cell;

/// What blocks are conditioned on.
pub(super) struct Attend {
    /// `[batch, time_embed_dim]`, after the nonlinearity.
    pub time: Tensor<2>,
    pub text: TextConditioning,
    /// Images in a row that attend to each other.
    pub views: usize,
    /// Cross-attentions that have had their keys and values.
    pub used: Cell<usize>,
}

impl Attend {
    pub(super) fn next_keys_values(&self) -> [Tensor<3>; 2] {
        let next = self.used.get();
        self.used.set(next + 1);
        self.text.keys_values[next].clone()
    }
}

/// diffusers' `Transformer2DModel`.
#[derive(Module, Debug)]
pub(super) struct SpatialTransformer {
    norm: GroupNorm,
    proj_in: Convolution,
    transformer_blocks: Vec<TransformerBlock>,
    proj_out: Convolution,
}

#[derive(Module, Debug)]
struct TransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl SpatialTransformer {
    /// Of a level.
    pub(super) fn new(config: &UNetConfig, level: usize, heads: usize, device: &Device) -> Self {
        let (channels, layers) = (
            config.block_out_channels[level],
            config.transformer_layers(level),
        );
        let block = |_| TransformerBlock::new(channels, config.cross_attention_dim, heads, device);
        Self {
            norm: Norms {
                epsilon: 1e-6,
                ..config.norms()
            }
            .over(channels, device),
            proj_in: Convolution::new([channels, channels], 1, 1, device),
            transformer_blocks: (0..layers).map(block).collect(),
            proj_out: Convolution::new([channels, channels], 1, 1, device).zeroed(),
        }
    }

    /// `[batch, channels, h, w]` to the same.
    pub(super) fn forward(&self, x: Tensor<4>, context: &Attend) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let h = self.proj_in.forward(normalize(&self.norm, x.clone(), None));
        let mut tokens = h.reshape([batch, channels, height * width]).swap_dims(1, 2);
        for block in &self.transformer_blocks {
            tokens = block.forward(tokens, context);
        }
        let h = tokens
            .swap_dims(1, 2)
            .reshape([batch, channels, height, width]);
        x + self.proj_out.forward(h)
    }

    /// Keys and values that its blocks make of a text `[batch, tokens, cross_attention_dim]`.
    pub(super) fn keys_values(&self, text: &Tensor<3>) -> impl Iterator<Item = [Tensor<3>; 2]> {
        self.transformer_blocks
            .iter()
            .map(|block| block.attn2.keys_values(text.clone()))
    }
}

impl TransformerBlock {
    fn new(width: usize, text_width: usize, heads: usize, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(width).init(device);
        Self {
            norm1: norm(),
            attn1: Attention::new([width, width], heads, device),
            norm2: norm(),
            attn2: Attention::new([width, text_width], heads, device),
            norm3: norm(),
            ff: FeedForward::new(width, 4 * width, device),
        }
    }

    fn forward(&self, x: Tensor<3>, context: &Attend) -> Tensor<3> {
        let [batch, count, width] = x.dims();
        // Tokens of views that belong together attend to each other as one image's do (MVDream, Shi et al. 2023).
        let own = normalize_tokens(&self.norm1, x.clone());
        let own = own.reshape([batch / context.views, context.views * count, width]);
        let of_own = self.attn1.keys_values(own.clone());
        let x = x + self
            .attn1
            .forward(own, of_own)
            .reshape([batch, count, width]);
        let x = x.clone()
            + self
                .attn2
                .forward(normalize_tokens(&self.norm2, x), context.next_keys_values());
        x.clone() + self.ff.forward(normalize_tokens(&self.norm3, x))
    }
}
