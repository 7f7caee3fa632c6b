//! The weights of a model's parts, with what adapts them.

use super::files::Files;
use super::{Additions, PicturePrompt, SECOND_TEXT_STEM, TEXT_STEM, TextPlan};
use crate::checkpoint::{CheckpointError, Weights};
use crate::clip_text::ClipTextModel;
use crate::fingerprint::Fingerprint;
use crate::lora::{Lora, Part};
use crate::t5::T5Encoder;
use crate::text::{ClipPair, TextEncoder};
use burn::tensor::Device;

/// Where the parts of a model are loaded from.
pub(super) struct Parts<'a> {
    files: &'a dyn Files,
    loras: Vec<Lora>,
    device: &'a Device,
}

impl<'a> Parts<'a> {
    /// The files of a model, whose texts are encoded as `text` says, and of its LoRAs.
    pub(super) fn open(
        files: &'a dyn Files,
        additions: &Additions,
        text: &TextPlan,
        device: &'a Device,
    ) -> Result<Self, CheckpointError> {
        let loras: Vec<Lora> = additions
            .loras
            .iter()
            .map(Lora::open)
            .collect::<Result<_, _>>()?;
        if !matches!(text, TextPlan::ClipPair { .. } | TextPlan::Pack(_)) {
            loras
                .iter()
                .try_for_each(|lora| lora.check_without(Part::SecondText))?;
        }
        Ok(Self {
            files,
            loras,
            device,
        })
    }

    /// The weights of a part, with the LoRAs merged.
    pub(super) fn adapted(&self, part: Part, stem: &str) -> Result<Weights, CheckpointError> {
        let weights = self.files.weights(stem)?;
        self.loras
            .iter()
            .try_fold(weights, |weights, lora| lora.merge_into(part, weights))
    }

    /// What encodes texts, or stands in their place.
    pub(super) fn text(&self, plan: TextPlan) -> Result<TextEncoder, CheckpointError> {
        let device = self.device;
        let weights = || self.adapted(Part::Text, TEXT_STEM);
        Ok(match plan {
            TextPlan::Clip { config, tokenizer } => {
                let model = Box::new(ClipTextModel::load(&config, weights()?, device)?);
                TextEncoder::Clip { tokenizer, model }
            }
            TextPlan::ClipPair {
                configs: [first, second],
                tokenizers,
                empty_is_zero,
            } => {
                let second_weights = self.adapted(Part::SecondText, SECOND_TEXT_STEM)?;
                let second = ClipTextModel::load_projecting(&second, second_weights, device)?;
                let models = Box::new([ClipTextModel::load(&first, weights()?, device)?, second]);
                TextEncoder::ClipPair(ClipPair {
                    tokenizers,
                    models,
                    empty_is_zero,
                })
            }
            TextPlan::T5 { config, tokenizer } => TextEncoder::T5 {
                model: T5Encoder::open(&config, weights()?, device)?,
                tokenizer,
            },
            TextPlan::Pack(pack) => TextEncoder::Pack(pack),
            TextPlan::Picture(plan) => {
                let picture = PicturePrompt::load(&plan, self.files, device)?;
                TextEncoder::Picture(Box::new(picture))
            }
        })
    }
}

impl TextEncoder {
    /// A fingerprint with the encoder's weights.
    pub(super) fn add_to(&self, fingerprint: Fingerprint) -> Fingerprint {
        match self {
            Self::Clip { model, .. } => fingerprint.with(&**model),
            Self::ClipPair(pair) => pair.models.iter().fold(fingerprint, Fingerprint::with),
            Self::Picture(picture) => {
                let (encoder, projection) = picture.modules();
                fingerprint.with(encoder).with(projection)
            }
            Self::T5 { .. } | Self::Pack(_) => fingerprint,
        }
    }
}
