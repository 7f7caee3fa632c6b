//! Text encoders with their tokenizers, and what they made of texts before.

mod pack;
mod pair;

use crate::clip_text::ClipTextModel;
use crate::pipeline::PicturePrompt;
use crate::t5::T5Encoder;
use crate::tokenizer::{T5Tokenizer, Tokenizer};
use burn::tensor::{Device, Int, Tensor, TensorData};
pub use pack::TextPack;
pub use pair::ClipPair;

/// Texts as an encoder leaves them.
#[derive(Clone, Debug)]
pub struct EncodedText {
    /// `[texts, tokens, width]`.
    pub tokens: Tensor<3>,
    /// Each text as a whole, `[texts, width]`, from encoders that say that.
    pub pooled: Option<Tensor<2>>,
}

impl EncodedText {
    /// One batch of several.
    ///
    /// # Panics
    /// When there are none.
    pub fn cat(parts: &[Self]) -> Self {
        let pooled: Option<Vec<_>> = parts.iter().map(|part| part.pooled.clone()).collect();
        Self {
            tokens: Tensor::cat(parts.iter().map(|part| part.tokens.clone()).collect(), 0),
            pooled: pooled.map(|pooled| Tensor::cat(pooled, 0)),
        }
    }
}

impl From<Tensor<3>> for EncodedText {
    fn from(tokens: Tensor<3>) -> Self {
        Self {
            tokens,
            pooled: None,
        }
    }
}

/// What turns prompts into the vectors that a U-Net reads.
#[expect(clippy::large_enum_variant, reason = "a pipeline has one")]
pub enum TextEncoder {
    Clip {
        tokenizer: Tokenizer,
        model: Box<ClipTextModel>,
    },
    ClipPair(ClipPair),
    T5 {
        tokenizer: T5Tokenizer,
        model: T5Encoder,
    },
    /// Of texts that were encoded before.
    Pack(TextPack),
    /// A picture in the place of a text, which is not heard.
    Picture(Box<PicturePrompt>),
}

impl TextEncoder {
    /// A batch of prompts.
    ///
    /// # Errors
    /// When a prompt is too long or not in the pack, or the weights can no longer be read.
    pub fn encode(&self, prompts: &[String], device: &Device) -> Result<EncodedText, String> {
        match self {
            Self::Clip { tokenizer, model } => {
                let ids = prompts
                    .iter()
                    .map(|prompt| tokenizer.encode(prompt))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(model.forward(rows(&ids, device)).into())
            }
            Self::ClipPair(pair) => pair.encode(prompts, device),
            Self::T5 { tokenizer, model } => {
                // DeepFloyd IF's own preparation (diffusers' pipeline_if.py, `_text_preprocessing`).
                let plain = prompts
                    .iter()
                    .map(|prompt| prompt.to_lowercase().trim().to_owned());
                let encoded = plain
                    .map(|prompt| tokenizer.encode(&prompt))
                    .collect::<Result<Vec<_>, _>>()?;
                let (ids, lengths): (Vec<_>, Vec<_>) = encoded.into_iter().unzip();
                model
                    .forward(rows(&ids, device), &lengths)
                    .map(Into::into)
                    .map_err(|e| e.to_string())
            }
            Self::Pack(pack) => pack.encode(prompts, device),
            Self::Picture(picture) => Ok(picture.nothing(prompts.len(), device).into()),
        }
    }

    /// The parts of one that is CLIP's.
    pub fn into_clip(self) -> Option<(Tokenizer, ClipTextModel)> {
        match self {
            Self::Clip { tokenizer, model } => Some((tokenizer, *model)),
            Self::ClipPair(_) | Self::T5 { .. } | Self::Pack(_) | Self::Picture(_) => None,
        }
    }
}

fn rows(ids: &[Vec<i64>], device: &Device) -> Tensor<2, Int> {
    let tokens = ids.first().map_or(0, Vec::len);
    Tensor::from_data(TensorData::new(ids.concat(), [ids.len(), tokens]), device)
}
