//! CLIP's image encoder (Radford et al. 2021) with the names of transformers' `CLIPVisionModelWithProjection`.

use crate::checkpoint::{CheckpointError, KeyTolerance, Renaming, Weights, load_weights};
use crate::clip_layers::{Activation, Attends, ClipEncoder, ClipShape};
use crate::resize::Resize;
use burn::module::{Initializer, Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

/// The part of transformers' `config.json` that shapes the network; what is left out is as in ViT-L/14.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ClipVisionConfig {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// Side of its images in pixels.
    pub image_size: usize,
    pub patch_size: usize,
    pub projection_dim: usize,
    #[serde(default = "quick_gelu")]
    pub hidden_act: Activation,
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f64,
}

fn quick_gelu() -> Activation {
    Activation::QuickGelu
}

fn epsilon() -> f64 {
    1e-5
}

/// Mean and deviation of the images that CLIP was trained with, channel by channel.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const DEVIATION: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Images in, one vector an image out.
#[derive(Module, Debug)]
pub struct ClipVisionModel {
    embeddings: Embeddings,
    /// The misspelt name is that of the files.
    pre_layrnorm: LayerNorm,
    encoder: ClipEncoder,
    post_layernorm: LayerNorm,
    visual_projection: Linear,
    #[module(skip)]
    image_size: usize,
}

#[derive(Module, Debug)]
struct Embeddings {
    class_embedding: Param<Tensor<1>>,
    patch_embedding: Conv2d,
    position_embedding: Embedding,
}

const READ: &[Renaming] = &[(r"^vision_model\.", "")];
const LEEWAY: KeyTolerance = KeyTolerance {
    ignored: &["position_ids"],
    optional: &[],
};

impl ClipVisionConfig {
    /// Says what cannot be, if anything.
    ///
    /// # Errors
    /// The message names the key.
    pub fn check(&self) -> Result<(), String> {
        for (key, value, most) in [
            ("hidden_size", self.hidden_size, 8192),
            ("intermediate_size", self.intermediate_size, 65_536),
            ("num_hidden_layers", self.num_hidden_layers, 256),
            ("num_attention_heads", self.num_attention_heads, 8192),
            ("image_size", self.image_size, 1024),
            ("patch_size", self.patch_size, self.image_size),
            ("projection_dim", self.projection_dim, 8192),
        ] {
            if value == 0 || value > most {
                return Err(format!("expected {key} from 1 to {most}, got {value}"));
            }
        }
        for (key, value, divisor) in [
            ("image_size", self.image_size, self.patch_size),
            ("hidden_size", self.hidden_size, self.num_attention_heads),
        ] {
            if !value.is_multiple_of(divisor) {
                return Err(format!(
                    "expected {key} to be a multiple of {divisor}, got {value}"
                ));
            }
        }
        Ok(())
    }
}

impl ClipVisionModel {
    /// With random weights.
    fn new(config: &ClipVisionConfig, device: &Device) -> Self {
        let width = config.hidden_size;
        let shape = ClipShape {
            width,
            hidden: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            epsilon: config.layer_norm_eps,
        };
        let patches = (config.image_size / config.patch_size).pow(2);
        let patch = [config.patch_size; 2];
        Self {
            embeddings: Embeddings {
                class_embedding: Initializer::Zeros.init([width], device),
                patch_embedding: Conv2dConfig::new([3, width], patch)
                    .with_stride(patch)
                    .with_bias(false)
                    .init(device),
                position_embedding: EmbeddingConfig::new(patches + 1, width).init(device),
            },
            pre_layrnorm: shape.norm(device),
            encoder: ClipEncoder::new(&shape, device),
            post_layernorm: shape.norm(device),
            visual_projection: LinearConfig::new(width, config.projection_dim)
                .with_bias(false)
                .init(device),
            image_size: config.image_size,
        }
    }

    /// With the weights of a `model.safetensors`.
    ///
    /// # Errors
    /// When they do not fit the configuration.
    pub fn load(
        config: &ClipVisionConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        load_weights(Self::new(config, device), weights, READ, LEEWAY)
    }

    /// Embeddings `[batch, projection_dim]` of display-referred images `[batch, 3, size, size]`, which are resized as
    /// Zero123 does.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [batch, _, size, _] = images.dims();
        let device = images.device();
        let images = Resize::bicubic(size, self.image_size, &device).forward(images);
        let of_channels =
            |values: [f32; 3]| Tensor::<1>::from_floats(values, &device).reshape([1, 3, 1, 1]);
        let images = (images - of_channels(MEAN)) / of_channels(DEVIATION);
        let embeddings = &self.embeddings;
        let patches = embeddings.patch_embedding.forward(images);
        let patches = patches.flatten::<3>(2, 3).swap_dims(1, 2);
        let [_, _, width] = patches.dims();
        let class = embeddings.class_embedding.val().reshape([1, 1, width]);
        let tokens = Tensor::cat(vec![class.repeat_dim(0, batch), patches], 1);
        let tokens = tokens + embeddings.position_embedding.weight.val().unsqueeze();
        let hidden = self
            .encoder
            .forward(self.pre_layrnorm.forward(tokens), Attends::All);
        let pooled = hidden.narrow(1, 0, 1).reshape([batch, width]);
        self.visual_projection
            .forward(self.post_layernorm.forward(pooled))
    }
}
