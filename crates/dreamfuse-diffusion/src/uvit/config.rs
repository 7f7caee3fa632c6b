//! What shapes the network: `config.json` of its weights.

use dreamfuse_core::Told;
use serde::{Deserialize, Serialize};

/// Shapes of a [`UVit`](super::UVit).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UVitConfig {
    /// Side of its images in pixels, a multiple of 4.
    pub sample_size: usize,
    pub in_channels: usize,
    /// Of the convolutions at half the resolution, a multiple of 8.
    pub channels: usize,
    /// Of the two convolutions at the whole resolution.
    pub head_channels: usize,
    /// Width of the transformer's tokens, of which there are `(sample_size / 4)²`.
    pub hidden_size: usize,
    pub blocks: usize,
    pub heads: usize,
    /// Values between the layers of a feed-forward block.
    pub feed_forward_size: usize,
    /// Width of the embedding of noise level, text and what is told.
    pub conditioning_size: usize,
    /// Width of the text's tokens.
    pub text_size: usize,
    /// Layers in which the tokens of text and of what is told attend to each other.
    pub context_layers: usize,
    pub context_heads: usize,
    /// Tokens of what is told.
    pub told_tokens: usize,
    /// Values of what is told.
    pub told_size: usize,
    /// Whether it takes reference images.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub references: bool,
}

impl UVitConfig {
    /// The class in `config.json` and `model_index.json`.
    pub const CLASS: &'static str = "UVit";

    /// A network of this size for images of `sample_size` pixels and texts of `text_size` values.
    pub fn new(sample_size: usize, channels: usize, hidden_size: usize, text_size: usize) -> Self {
        Self {
            sample_size,
            in_channels: 3,
            channels,
            head_channels: channels / 4,
            hidden_size,
            blocks: 4,
            heads: 8,
            feed_forward_size: 5 * hidden_size / 2,
            conditioning_size: 2 * hidden_size,
            text_size,
            context_layers: 3,
            context_heads: 4,
            told_tokens: 4,
            told_size: Told::CONDITIONING,
            references: false,
        }
    }

    /// Tokens of an image.
    pub(crate) fn tokens(&self) -> usize {
        (self.sample_size / 4).pow(2)
    }

    /// Says what cannot be, if anything.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        for (key, value, most) in [
            ("sample_size", self.sample_size, 1024),
            ("in_channels", self.in_channels, 3),
            ("channels", self.channels, 4096),
            ("head_channels", self.head_channels, 4096),
            ("hidden_size", self.hidden_size, 8192),
            ("blocks", self.blocks, 128),
            ("heads", self.heads, self.hidden_size),
            ("feed_forward_size", self.feed_forward_size, 65_536),
            ("conditioning_size", self.conditioning_size, 16_384),
            ("text_size", self.text_size, 8192),
            ("context_layers", self.context_layers, 128),
            ("context_heads", self.context_heads, self.text_size),
            ("told_tokens", self.told_tokens, 256),
        ] {
            if value == 0 || value > most {
                return Err(format!("expected {key} from 1 to {most}, got {value}"));
            }
        }
        for (key, value, divisor) in [
            ("sample_size", self.sample_size, 4),
            ("channels", self.channels, 8),
            ("hidden_size", self.hidden_size, self.heads),
            (
                "hidden_size / heads",
                self.hidden_size / self.heads,
                if self.references {
                    super::frames::HEAD
                } else {
                    1
                },
            ),
            ("text_size", self.text_size, self.context_heads),
        ] {
            if !value.is_multiple_of(divisor) {
                return Err(format!(
                    "expected {key} to be a multiple of {divisor}, got {value}"
                ));
            }
        }
        if self.told_size == Told::CONDITIONING {
            return Ok(());
        }
        Err(format!(
            "expected told_size {}, got {}",
            Told::CONDITIONING,
            self.told_size
        ))
    }
}
