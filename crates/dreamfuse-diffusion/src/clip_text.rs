//! CLIP's text encoder (Radford et al. 2021) with the names of transformers' `CLIPTextModel`.

use crate::checkpoint::{
    CheckpointError, KeyTolerance, Renaming, Weights, load_weights, save_weights,
};
pub use crate::clip_layers::Activation;
use crate::clip_layers::{Attends, ClipEncoder, ClipShape};
use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, Linear, LinearConfig};
use burn::tensor::{DType, Device, Int, Tensor};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The part of transformers' `config.json` that shapes the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipTextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub max_position_embeddings: usize,
    pub hidden_act: Activation,
    #[serde(default = "default_epsilon")]
    pub layer_norm_eps: f64,
    /// Width of a pooled text, in models that project it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection_dim: Option<usize>,
}

fn default_epsilon() -> f64 {
    1e-5
}

/// Tokens in, one vector a token out.
#[derive(Module, Debug)]
pub struct ClipTextModel {
    embeddings: Embeddings,
    encoder: ClipEncoder,
    final_layer_norm: LayerNorm,
    /// Of transformers' `CLIPTextModelWithProjection`.
    text_projection: Option<Linear>,
}

#[derive(Module, Debug)]
struct Embeddings {
    token_embedding: Embedding,
    position_embedding: Embedding,
}

/// Files of transformers before 5 have the prefix, later ones do not.
const READ: &[Renaming] = &[(r"^text_model\.", "")];
const LEEWAY: KeyTolerance = KeyTolerance {
    ignored: &["position_ids"],
    optional: &[],
};
const WRITE: &[Renaming] = &[("^(.*)$", "text_model.$1")];

impl ClipTextModel {
    /// With random weights.
    pub fn new(config: &ClipTextConfig, device: &Device) -> Self {
        let width = config.hidden_size;
        let shape = ClipShape {
            width,
            hidden: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            epsilon: config.layer_norm_eps,
        };
        // Not CLIP's 0.02: beside layers whose outputs are of order 0.1, words of that size are lost in the
        // residual stream; an encoder that was trained from that start collapsed to one constant output.
        let embedding = |count: usize, std: f64| {
            let normal = burn::module::Initializer::Normal { mean: 0.0, std };
            EmbeddingConfig::new(count, width)
                .with_initializer(normal)
                .init(device)
        };
        Self {
            embeddings: Embeddings {
                token_embedding: embedding(config.vocab_size, 1.0),
                position_embedding: embedding(config.max_position_embeddings, 0.3),
            },
            encoder: ClipEncoder::new(&shape, device),
            final_layer_norm: shape.norm(device),
            text_projection: None,
        }
    }

    /// With a random projection of pooled texts, if the configuration has its width.
    fn with_projection(mut self, config: &ClipTextConfig, device: &Device) -> Self {
        let linear = |to: usize| {
            LinearConfig::new(config.hidden_size, to)
                .with_bias(false)
                .init(device)
        };
        self.text_projection = config.projection_dim.map(linear);
        self
    }

    /// With the weights of a `model.safetensors`.
    ///
    /// # Errors
    /// When they do not fit the configuration.
    pub fn load(
        config: &ClipTextConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        load_weights(Self::new(config, device), weights, READ, LEEWAY)
    }

    /// As [`ClipTextModel::load`], of transformers' `CLIPTextModelWithProjection`.
    ///
    /// # Errors
    /// As there.
    pub fn load_projecting(
        config: &ClipTextConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        load_weights(
            Self::new(config, device).with_projection(config, device),
            weights,
            READ,
            LEEWAY,
        )
    }

    /// The network with another vocabulary: token `i` is this one's token `ids[i]`, and as in `fresh` where there is none.
    ///
    /// # Panics
    /// When `fresh` has other widths or not as many tokens.
    pub fn with_tokens(mut self, ids: &[Option<usize>], fresh: &Self) -> Self {
        let weight = |model: &Self| model.embeddings.token_embedding.weight.val();
        let (own, fresh) = (weight(&self), weight(fresh));
        let rows = ids.iter().enumerate().map(|(row, id)| match id {
            Some(id) => own.clone().narrow(0, *id, 1),
            None => fresh.clone().narrow(0, row, 1),
        });
        self.embeddings.token_embedding.weight =
            Param::from_tensor(Tensor::cat(rows.collect(), 0).detach());
        self
    }

    /// Writes a `model.safetensors` that every version of transformers reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), CheckpointError> {
        save_weights(self, path, dtype, WRITE)
    }

    /// Ids `[batch, tokens]` to the last hidden state `[batch, tokens, hidden_size]`, normalised.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let hidden = self.encoder.forward(self.embed(ids), Attends::Before);
        self.final_layer_norm.forward(hidden)
    }

    /// What Stable Diffusion XL takes of ids `[batch, tokens]`: the hidden state before the last layer `[batch, tokens,
    /// hidden_size]`, not normalised, and, of a model that projects, each text pooled `[batch, projection_dim]` where it `ends`.
    ///
    /// # Panics
    /// When it has no layers, or there are not as many ends as texts.
    pub fn penultimate(
        &self,
        ids: Tensor<2, Int>,
        ends: &[usize],
    ) -> (Tensor<3>, Option<Tensor<2>>) {
        let (before, last) = self.encoder.before_last(self.embed(ids), Attends::Before);
        let pooled = self.text_projection.as_ref().map(|projection| {
            let whole = self.final_layer_norm.forward(last);
            let [batch, _, width] = whole.dims();
            assert_eq!(batch, ends.len(), "one end a text");
            let at_end = |(row, &end): (usize, &usize)| {
                whole
                    .clone()
                    .narrow(0, row, 1)
                    .narrow(1, end, 1)
                    .reshape([1, width])
            };
            projection.forward(Tensor::cat(
                ends.iter().enumerate().map(at_end).collect(),
                0,
            ))
        });
        (before, pooled)
    }

    /// Ids to the first hidden state.
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let positions =
            Tensor::<1, Int>::arange(0..tokens as i64, &ids.device()).reshape([1, tokens]);
        let embeddings = &self.embeddings;
        embeddings.token_embedding.forward(ids) + embeddings.position_embedding.forward(positions)
    }
}
