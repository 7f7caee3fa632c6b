//! The part of transformers' `config.json` that shapes a CLIP.

use crate::{ClipError, read};
use candle_transformers::models::clip::ClipConfig;
use candle_transformers::models::clip::text_model::{Activation, ClipTextConfig};
use candle_transformers::models::clip::vision_model::ClipVisionConfig;
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
pub(crate) struct Config {
    pub projection_dim: usize,
    pub text_config: TextConfig,
    pub vision_config: VisionConfig,
}

/// What files leave out has the values of ViT-B/32, as in transformers.
#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct TextConfig {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    pub max_position_embeddings: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_act: String,
}

#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct VisionConfig {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    pub image_size: usize,
    patch_size: usize,
    hidden_act: String,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            max_position_embeddings: 77,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            hidden_act: ACTIVATION.into(),
        }
    }
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: ACTIVATION.into(),
        }
    }
}

/// The one activation that candle's CLIP has: OpenAI's models use it, OpenCLIP's do not.
const ACTIVATION: &str = "quick_gelu";

impl Config {
    pub fn load(path: &Path) -> Result<Self, ClipError> {
        let malformed = |reason: String| ClipError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let config: Self =
            serde_json::from_slice(&read(path)?).map_err(|e| malformed(e.to_string()))?;
        for (part, activation) in [
            ("text_config", &config.text_config.hidden_act),
            ("vision_config", &config.vision_config.hidden_act),
        ] {
            if activation != ACTIVATION {
                return Err(malformed(format!(
                    "{part}.hidden_act is {activation}; only {ACTIVATION} is known here"
                )));
            }
        }
        config.check().map_err(malformed)?;
        Ok(config)
    }

    /// Says which number makes no network, if any.
    fn check(&self) -> Result<(), String> {
        let (text, vision) = (&self.text_config, &self.vision_config);
        for (part, whole, piece, of) in [
            (
                "text_config.num_attention_heads",
                text.hidden_size,
                text.num_attention_heads,
                "hidden_size",
            ),
            (
                "vision_config.num_attention_heads",
                vision.hidden_size,
                vision.num_attention_heads,
                "hidden_size",
            ),
            (
                "vision_config.patch_size",
                vision.image_size,
                vision.patch_size,
                "image_size",
            ),
        ] {
            if piece == 0 || whole == 0 || !whole.is_multiple_of(piece) {
                return Err(format!(
                    "{part} is {piece} and does not divide {of}, which is {whole}"
                ));
            }
        }
        if text.max_position_embeddings < 2 {
            return Err("text_config.max_position_embeddings is less than 2".into());
        }
        Ok(())
    }

    pub fn for_candle(&self) -> ClipConfig {
        let (text, vision) = (&self.text_config, &self.vision_config);
        ClipConfig {
            text_config: ClipTextConfig {
                vocab_size: text.vocab_size,
                embed_dim: text.hidden_size,
                activation: Activation::QuickGelu,
                intermediate_size: text.intermediate_size,
                max_position_embeddings: text.max_position_embeddings,
                pad_with: None,
                num_hidden_layers: text.num_hidden_layers,
                num_attention_heads: text.num_attention_heads,
                projection_dim: self.projection_dim,
            },
            vision_config: ClipVisionConfig {
                embed_dim: vision.hidden_size,
                activation: Activation::QuickGelu,
                intermediate_size: vision.intermediate_size,
                num_hidden_layers: vision.num_hidden_layers,
                num_attention_heads: vision.num_attention_heads,
                projection_dim: self.projection_dim,
                num_channels: vision.num_channels,
                image_size: vision.image_size,
                patch_size: vision.patch_size,
            },
            logit_scale_init_value: 0.0, // the order of similarities does not depend on it
            image_size: vision.image_size,
        }
    }
}
