//! What the pixels are conditioned on: text and what is told of the image, which meet here first.

use super::config::UVitConfig;
use crate::layers::{
    Attention, FeedForward, Nonlinearity, TimestepEmbedding, linear, normalize_tokens, sinusoidal,
};
use burn::module::{Initializer, Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use dreamfuse_core::Told;

/// Sines and cosines of a timestep.
const TIME_SIZE: usize = 128;

/// Makes tokens and one vector of text, noise level and what is told.
#[derive(Module, Debug)]
pub(super) struct ContextEncoder {
    time_embedding: TimestepEmbedding,
    told_embedding: TimestepEmbedding,
    told_tokens: TimestepEmbedding,
    /// `[told tokens, text_size]`.
    told_position: Param<Tensor<2>>,
    layers: Vec<Layer>,
    pooled: Linear,
}

/// A pre-norm transformer layer.
#[derive(Module, Debug)]
struct Layer {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    ff: FeedForward,
}

impl ContextEncoder {
    pub(super) fn new(config: &UVitConfig, device: &Device) -> Self {
        let (width, to) = (config.text_size, config.conditioning_size);
        let position = Initializer::Normal {
            mean: 0.0,
            std: 0.5,
        };
        let layer = |_| Layer {
            norm1: LayerNormConfig::new(width).init(device),
            attn1: Attention::new([width, width], config.context_heads, device),
            norm2: LayerNormConfig::new(width).init(device),
            ff: FeedForward::new(width, 4 * width, device),
        };
        Self {
            time_embedding: TimestepEmbedding::new(TIME_SIZE, to, device),
            told_embedding: TimestepEmbedding::new(config.told_size, to, device),
            told_tokens: TimestepEmbedding::new(
                config.told_size,
                config.told_tokens * width,
                device,
            ),
            told_position: position.init([config.told_tokens, width], device),
            layers: (0..config.context_layers).map(layer).collect(),
            pooled: LinearConfig::new(width, to).init(device),
        }
    }

    /// See [`UVit::with_told_gains`](super::UVit::with_told_gains).
    pub(super) fn with_told_gains(
        self,
        gains: &[f32; Told::CONDITIONING],
        device: &Device,
    ) -> Self {
        Self {
            told_embedding: self.told_embedding.with_gains(gains, device),
            told_tokens: self.told_tokens.with_gains(gains, device),
            ..self
        }
    }

    /// Texts `[batch, tokens, text_size]` to the context `[batch, tokens + told tokens, text_size]` and the
    /// embedding `[batch, conditioning_size]`.
    pub(super) fn forward(
        &self,
        timesteps: &[usize],
        text: Tensor<3>,
        told: &[Told],
        dtype: FloatDType,
    ) -> (Tensor<3>, Tensor<2>) {
        let ([batch, _, width], device) = (text.dims(), text.device());
        let values: Vec<f32> = told.iter().flat_map(Told::conditioning).collect();
        let values = TensorData::new(values, [batch, Told::CONDITIONING]);
        let values = Tensor::<2>::from_data(values, &device).cast(dtype);
        let position = self.told_position.val();
        let [count, _] = position.dims();
        let told = self
            .told_tokens
            .forward(values.clone(), Nonlinearity::Silu)
            .reshape([batch, count, width])
            + position.unsqueeze();
        let tokens = Tensor::cat(vec![text, told], 1);
        let tokens = self
            .layers
            .iter()
            .fold(tokens, |tokens, layer| layer.forward(tokens));
        let sines = sinusoidal(timesteps, TIME_SIZE, &device).cast(dtype);
        let embedding = self.time_embedding.forward(sines, Nonlinearity::Silu)
            + self.told_embedding.forward(values, Nonlinearity::Silu)
            + linear(
                &self.pooled,
                tokens.clone().mean_dim(1).reshape([batch, width]),
            );
        (tokens, embedding)
    }
}

impl Layer {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let h = normalize_tokens(&self.norm1, x.clone());
        let of_own = self.attn1.keys_values(h.clone());
        let x = x + self.attn1.forward(h, of_own);
        x.clone() + self.ff.forward(normalize_tokens(&self.norm2, x))
    }
}
