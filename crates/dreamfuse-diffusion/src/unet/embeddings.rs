//! What joins the time embedding of a U-Net.

use super::config::{TEXT_TIME, UNetConfig};
use crate::layers::{TimestepEmbedding, linear, normalize_tokens, project};
use burn::module::{Initializer, Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};

/// What joins the time embedding beside class labels.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "parts of a module cannot be boxed, and there is one"
)]
pub(super) enum Addition {
    Text(TextTimeEmbedding),
    /// Of a pooled text and sizes (Stable Diffusion XL, Podell et al. 2023, section 2.2).
    TextTime(TimestepEmbedding),
}

impl Addition {
    /// The one that the configuration asks for, if it does.
    pub(super) fn maybe(config: &UNetConfig, device: &Device) -> Option<Self> {
        Some(match config.addition_embed_type.as_deref()? {
            TEXT_TIME => {
                let from = config
                    .projection_class_embeddings_input_dim
                    .unwrap_or_default();
                Self::TextTime(TimestepEmbedding::new(
                    from,
                    config.time_embed_dim(),
                    device,
                ))
            }
            _ => Self::Text(TextTimeEmbedding::new(config, device)),
        })
    }
}

/// The whole text as one vector (diffusers' `TextTimeEmbedding`, from DeepFloyd IF).
#[derive(Module, Debug)]
pub(super) struct TextTimeEmbedding {
    norm1: LayerNorm,
    pool: AttentionPooling,
    proj: Linear,
    norm2: LayerNorm,
}

/// One query, the mean of the tokens, attends to itself and to all of them.
#[derive(Module, Debug)]
struct AttentionPooling {
    positional_embedding: Param<Tensor<2>>,
    k_proj: Linear,
    q_proj: Linear,
    v_proj: Linear,
    #[module(skip)]
    heads: usize,
}

impl TextTimeEmbedding {
    pub(super) fn new(config: &UNetConfig, device: &Device) -> Self {
        let (width, to) = (config.text_width(), config.time_embed_dim());
        let layer = |to: usize| LinearConfig::new(width, to).init(device);
        let normal = Initializer::Normal {
            mean: 0.0,
            std: (width as f64).sqrt().recip(),
        };
        Self {
            norm1: LayerNormConfig::new(width).init(device),
            pool: AttentionPooling {
                positional_embedding: normal.init([1, width], device),
                k_proj: layer(width),
                q_proj: layer(width),
                v_proj: layer(width),
                heads: config.addition_embed_type_num_heads,
            },
            proj: layer(to),
            norm2: LayerNormConfig::new(to).init(device),
        }
    }

    /// `[batch, tokens, text_width]` to `[batch, time_embed_dim]`.
    pub(super) fn forward(&self, text: Tensor<3>) -> Tensor<2> {
        let pooled = self.pool.forward(normalize_tokens(&self.norm1, text));
        self.norm2.forward(linear(&self.proj, pooled))
    }
}

impl AttentionPooling {
    fn forward(&self, tokens: Tensor<3>) -> Tensor<2> {
        let [batch, _, width] = tokens.dims();
        let mean = tokens.clone().mean_dim(1) + self.positional_embedding.val().unsqueeze();
        let all = Tensor::cat(vec![mean.clone(), tokens], 1);
        let split = |x: Tensor<3>| {
            let [_, count, _] = x.dims();
            x.reshape([batch, count, self.heads, width / self.heads])
                .swap_dims(1, 2)
        };
        let (q, k, v) = (
            project(&self.q_proj, mean),
            project(&self.k_proj, all.clone()),
            project(&self.v_proj, all),
        );
        let attended = attention(
            split(q),
            split(k),
            split(v),
            None,
            None,
            AttentionModuleOptions::default(),
        );
        attended.reshape([batch, width])
    }
}
