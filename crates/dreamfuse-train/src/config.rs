//! What a training run is made of: `configs/*.toml`.

use crate::rows::RowsConfig;
use dreamfuse_core::{Camera, CameraRange, LightRange, Told};
use dreamfuse_diffusion::NetworkConfig;
use dreamfuse_diffusion::clip_text::{Activation, ClipTextConfig};
use dreamfuse_diffusion::unet::{Nonlinearity, PerLevel, TimeScaleShift, UNetConfig};
use dreamfuse_diffusion::uvit::UVitConfig;
use dreamfuse_prior::ScheduleConfig;
use dreamfuse_toybox::{CaptionShares, parse, toy};
use serde::{Deserialize, Serialize};

/// Attention heads of the text encoder.
const TEXT_HEADS: usize = 4;

/// Tokens that every sentence of the grammar with a view word fits into.
const LONGEST_CAPTION: usize = 40;

/// Everything that decides a trained prior, besides the world and the seed's luck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Side of an image in pixels.
    pub size: usize,
    pub batch: usize,
    pub seed: u64,
    /// Learning rate after the warm-up.
    pub rate: f32,
    pub warmup_steps: u64,
    /// The rate falls linearly to zero over this last part of the steps asked for.
    pub decay_part: f64,
    pub weight_decay: f32,
    /// The gradient of all parameters together is clipped to this norm.
    pub clip_norm: f64,
    pub ema_decay: f64,
    /// Share of the images that show a sentence's canonical scene; the others show an instance that varies.
    pub canonical: f64,
    /// Probability that the text is replaced by the empty one.
    pub drop_text: f64,
    /// Probability that the camera is not told.
    pub drop_camera: f64,
    /// Whether the network is told all that the renderer knows of an image ([`Told`]), not the camera alone.
    #[serde(default)]
    pub told: bool,
    /// Probability of each group beside the camera (shading, light, background, canonical bit) that it is
    /// not told.
    #[serde(default)]
    pub drop_told: f64,
    /// Probability that the caption names the view.
    pub view_words: f64,
    /// Shares of albedo and of textureless images; the rest is lit.
    pub albedo: f64,
    pub textureless: f64,
    /// t is `1 / (1 + e^−z)` of a normal z with this mean and deviation (Esser et al. 2024, section 3.1): less
    /// time goes to noise that hides nothing or everything.
    pub time_mean: f64,
    pub time_deviation: f64,
    /// Tokens of a padded caption.
    pub tokens: usize,
    /// Shape of the transformer over patches. Without it, a U-Net of the three keys below is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uvit: Option<UVitShape>,
    /// Channels of the U-Net's levels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<usize>,
    /// The first level of the U-Net, from the top, that attends to the text and to itself.
    #[serde(default)]
    pub text_from_level: usize,
    /// Attention heads of the U-Net.
    #[serde(default)]
    pub heads: usize,
    /// Weight of what the UVit's features have to predict besides (see [`crate::buffers`]); they are not shipped.
    #[serde(default)]
    pub auxiliary: f64,
    /// A pixel counts `1 + coverage_weight · opacity`, before the mean of these weights is made 1.
    #[serde(default)]
    pub coverage_weight: f64,
    pub text_width: usize,
    pub text_layers: usize,
    /// Images that come with references. Without it the network takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsConfig>,
    /// A world of these sentences alone, for trials; the grammar's by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentences: Vec<String>,
    #[serde(default)]
    pub captions: CaptionShares,
    #[serde(default)]
    pub cameras: CameraRange,
    #[serde(default)]
    pub lights: LightRange,
}

/// Shape of a [`dreamfuse_diffusion::uvit::UVit`]; the rest follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UVitShape {
    /// Of the convolutions.
    pub channels: usize,
    /// Of the tokens.
    pub hidden_size: usize,
    pub blocks: usize,
    pub heads: usize,
}

impl TrainConfig {
    /// Says what cannot be, if anything, before anything heavy is done.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let captions = &self.captions;
        for (key, share) in [
            ("canonical", self.canonical),
            ("drop_text", self.drop_text),
            ("drop_camera", self.drop_camera),
            ("drop_told", self.drop_told),
            ("view_words", self.view_words),
            ("albedo", self.albedo),
            ("textureless", self.textureless),
            ("decay_part", self.decay_part),
            ("ema_decay", self.ema_decay),
            ("captions.pairs", captions.pairs),
            ("captions.colors", captions.colors),
            ("captions.materials", captions.materials),
            ("captions.extras", captions.extras),
            ("captions.sizes", captions.sizes),
            ("captions.counts", captions.counts),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{key} = {share} is not between 0 and 1"));
            }
        }
        self.check_sizes()?;
        let mut is_shown = self.sentences.is_empty();
        for sentence in &self.sentences {
            let parsed =
                parse(sentence).map_err(|reason| format!("sentences: {sentence:?}: {reason}"))?;
            is_shown |= !toy::is_unseen(&parsed);
        }
        if self.rows.is_some() && !is_shown {
            return Err("sentences has only kinds that rows never show".into());
        }
        self.cameras.check()?;
        self.lights.check()?;
        if let Some(rows) = &self.rows {
            rows.check()?;
        }
        self.check_network()
    }

    fn check_sizes(&self) -> Result<(), String> {
        for (key, value, [least, most]) in [
            ("batch", self.batch, [1, 1 << 16]),
            ("size", self.size, [1, 1024]),
            ("tokens", self.tokens, [LONGEST_CAPTION, 4096]),
            ("text_layers", self.text_layers, [1, 64]),
            ("text_width", self.text_width, [4, 4096]),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{key} = {value} is not between {least} and {most}"));
            }
        }
        if !self.text_width.is_multiple_of(TEXT_HEADS) {
            return Err(format!(
                "text_width = {} is no multiple of {TEXT_HEADS}",
                self.text_width
            ));
        }
        let numbers = [
            self.rate,
            self.weight_decay,
            self.clip_norm as f32,
            self.time_mean as f32,
        ];
        let is_spread = self.time_deviation.is_finite() && self.time_deviation > 0.0;
        if !numbers.iter().all(|number| number.is_finite()) || !is_spread {
            return Err("rate, weight_decay, clip_norm and time_mean have to be numbers, time_deviation above 0".into());
        }
        Ok(())
    }

    fn check_network(&self) -> Result<(), String> {
        let is_weight = |weight: f64| (0.0..=1e3).contains(&weight);
        if !is_weight(self.auxiliary) || !is_weight(self.coverage_weight) {
            return Err("expected auxiliary and coverage_weight from 0 to 1000".into());
        }
        let sizes = self.uvit.map(|shape| [shape.channels, shape.hidden_size]);
        if sizes.into_iter().flatten().any(|size| size > 8192) {
            return Err("expected channels and hidden_size up to 8192".into());
        }
        match self.network() {
            NetworkConfig::UNet(_) if self.auxiliary > 0.0 => {
                Err("auxiliary is for [uvit] alone".into())
            }
            NetworkConfig::UNet(_) if self.rows.is_some() => {
                Err("[rows] is for [uvit] alone".into())
            }
            NetworkConfig::UNet(config) => config.check(),
            NetworkConfig::UVit(_) if !(self.channels.is_empty() && self.told) => {
                Err("[uvit] takes told = true, and no channels of a U-Net".into())
            }
            NetworkConfig::UVit(config) => config.check(),
        }
    }

    /// Reads what a training state says of its configuration. States of version 0.1 have a key for
    /// three favoured captions, which are gone: captions come from the grammar alone.
    pub(crate) fn of_state(text: &str) -> Result<Self, String> {
        let message = |error: toml::de::Error| error.message().replace('\n', " ");
        let mut keys: toml::Table = toml::from_str(text).map_err(message)?;
        if let Some(toml::Value::Table(captions)) = keys.get_mut("captions") {
            captions.remove("famous");
        }
        keys.try_into().map_err(message)
    }

    /// The configuration as TOML.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("every field has a place in TOML")
    }

    /// The network that the configuration describes.
    pub fn network(&self) -> NetworkConfig {
        match self.uvit {
            None => NetworkConfig::UNet(self.unet()),
            Some(UVitShape {
                channels,
                hidden_size,
                blocks,
                heads,
            }) => NetworkConfig::UVit(UVitConfig {
                blocks,
                heads,
                references: self.rows.is_some(),
                ..UVitConfig::new(self.size, channels, hidden_size, self.text_width)
            }),
        }
    }

    fn unet(&self) -> UNetConfig {
        let levels = self.channels.len();
        let has_text = |level: usize| level >= self.text_from_level;
        let types = |order: &mut dyn Iterator<Item = usize>, with: &str, without: &str| {
            order
                .map(|level| if has_text(level) { with } else { without }.to_owned())
                .collect::<Vec<_>>()
        };
        UNetConfig {
            sample_size: self.size,
            in_channels: 3,
            out_channels: 3,
            down_block_types: types(&mut (0..levels), "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types: types(&mut (0..levels).rev(), "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels: self.channels.clone(),
            layers_per_block: 1,
            mid_block_type: UNetConfig::MID_BLOCKS[0].into(),
            act_fn: Nonlinearity::Silu,
            cross_attention_norm: None,
            encoder_hid_dim: None,
            encoder_hid_dim_type: None,
            num_views: 1,
            cross_attention_dim: self.text_width,
            attention_head_dim: PerLevel::Same(self.heads),
            norm_num_groups: 8,
            norm_eps: 1e-5,
            use_linear_projection: false,
            resnet_time_scale_shift: TimeScaleShift::ScaleShift,
            class_embed_type: Some("projection".into()),
            projection_class_embeddings_input_dim: Some(self.conditioning_width()),
            transformer_layers_per_block: PerLevel::Same(1),
            addition_embed_type: Some("text".into()),
            addition_time_embed_dim: None,
            addition_embed_type_num_heads: self.heads,
        }
    }

    /// Values that the network is told of an image.
    pub fn conditioning_width(&self) -> usize {
        if self.told {
            Told::CONDITIONING
        } else {
            Camera::CONDITIONING
        }
    }

    /// The text encoder, for a tokenizer of `vocab_size` tokens.
    pub fn text_encoder(&self, vocab_size: usize) -> ClipTextConfig {
        ClipTextConfig {
            vocab_size,
            hidden_size: self.text_width,
            intermediate_size: 4 * self.text_width,
            num_hidden_layers: self.text_layers,
            num_attention_heads: TEXT_HEADS,
            max_position_embeddings: self.tokens,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            projection_dim: None,
        }
    }

    /// The forward process.
    pub fn schedule(&self) -> ScheduleConfig {
        ScheduleConfig::cosine_v()
    }

    /// The learning rate of step `step` (from 1) of `total`.
    pub fn rate_at(&self, step: u64, total: u64) -> f32 {
        let warm = (step as f64 / self.warmup_steps.max(1) as f64).min(1.0);
        let left = total.saturating_sub(step) as f64 / (self.decay_part * total as f64).max(1.0);
        self.rate * (warm * left.min(1.0)) as f32
    }
}
