//! The two text encoders of Stable Diffusion XL (Podell et al. 2023), side by side.

use super::{EncodedText, rows};
use crate::clip_text::ClipTextModel;
use crate::tokenizer::Tokenizer;
use burn::tensor::{Device, Tensor, TensorData};

/// Texts are what both say of each token; the second says besides what each text is as a whole.
pub struct ClipPair {
    pub tokenizers: [Tokenizer; 2],
    pub models: Box<[ClipTextModel; 2]>,
    /// Whether the empty text is zeros, as where training left the text out (`force_zeros_for_empty_prompt` in diffusers).
    pub empty_is_zero: bool,
}

impl ClipPair {
    pub(super) fn encode(
        &self,
        prompts: &[String],
        device: &Device,
    ) -> Result<EncodedText, String> {
        let [(first, _), (second, pooled)] = [
            self.hidden(0, prompts, device)?,
            self.hidden(1, prompts, device)?,
        ];
        let kept = prompts
            .iter()
            .map(|prompt| f32::from(!(self.empty_is_zero && prompt.is_empty())));
        let kept = Tensor::<1>::from_data(TensorData::new(kept.collect(), [prompts.len()]), device);
        Ok(EncodedText {
            tokens: Tensor::cat(vec![first, second], 2) * kept.clone().reshape([-1, 1, 1]),
            pooled: pooled.map(|pooled| pooled * kept.reshape([-1, 1])),
        })
    }

    /// Of one of the two.
    fn hidden(
        &self,
        index: usize,
        prompts: &[String],
        device: &Device,
    ) -> Result<(Tensor<3>, Option<Tensor<2>>), String> {
        let tokenizer = &self.tokenizers[index];
        let ids = prompts
            .iter()
            .map(|prompt| tokenizer.encode(prompt))
            .collect::<Result<Vec<_>, _>>()?;
        let end = |ids: &Vec<i64>| {
            ids.iter()
                .position(|&id| id == tokenizer.end())
                .unwrap_or_default()
        };
        let ends: Vec<usize> = ids.iter().map(end).collect();
        Ok(self.models[index].penultimate(rows(&ids, device), &ends))
    }
}
