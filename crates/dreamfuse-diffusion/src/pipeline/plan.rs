//! What a model's small files say, before anything large is read.

use super::files::Files;
use super::picture_prompt::{IMAGE_ENCODER, LastNumber, PicturePlan};
use super::tokenizers::{
    CLIP, ClipFiles, SECOND_CLIP, SENTENCE_PIECE, clip_tokenizer, second_clip_tokenizer,
    t5_tokenizer,
};
use super::{Additions, WORDS};
use crate::checkpoint::{CheckpointError, parse_json};
use crate::clip_text::{Activation, ClipTextConfig};
use crate::defaults;
use crate::network::NetworkConfig;
use crate::t5::T5Config;
use crate::text::TextPack;
use crate::tokenizer::{T5Tokenizer, Tokenizer};
use crate::unet::UNetConfig;
use crate::uvit::UVitConfig;
use crate::vae::VaeConfig;
use dreamfuse_core::{Camera, Told};
use dreamfuse_prior::{Prediction, ScheduleConfig};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

const UNET: &str = "unet/config.json";
const VAE: &str = "vae/config.json";
const TEXT: &str = CLIP.config;
const SECOND_TEXT: &str = SECOND_CLIP.config;
const INDEX: &str = "model_index.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// No text encoder has more layers.
const MOST_LAYERS: usize = 256;

/// The shapes of a model's parts, which fit together.
pub struct Plan {
    pub network: NetworkConfig,
    /// Of models that diffuse latents.
    pub vae: Option<VaeConfig>,
    pub text: TextPlan,
    pub schedule: ScheduleConfig,
    /// Words that training used, if the model says so.
    pub words: Vec<String>,
}

/// A text encoder's shape, and its tokenizer.
#[expect(clippy::large_enum_variant, reason = "a model has one")]
pub enum TextPlan {
    Clip {
        config: ClipTextConfig,
        tokenizer: Tokenizer,
    },
    ClipPair {
        configs: [ClipTextConfig; 2],
        tokenizers: [Tokenizer; 2],
        empty_is_zero: bool,
    },
    T5 {
        config: T5Config,
        tokenizer: T5Tokenizer,
    },
    Pack(TextPack),
    /// A picture in the place of a text.
    Picture(PicturePlan),
}

impl TextPlan {
    fn read(files: &dyn Files, network: &NetworkConfig) -> Result<Self, CheckpointError> {
        if files.has(IMAGE_ENCODER) && !files.has(TEXT) {
            let (width, _) = network.text_width();
            return Ok(Self::Picture(PicturePlan::read(files, width)?));
        }
        let (path, text) = (files.root().join(TEXT), files.read(TEXT)?);
        let keys: Map<String, Value> = parse_json(&path, &text)?;
        match keys.get("model_type").and_then(Value::as_str) {
            Some("t5") => Ok(Self::T5 {
                config: parse_json(&path, &text)?,
                tokenizer: t5_tokenizer(files)?,
            }),
            None | Some("clip_text_model" | "clip") if files.has(SECOND_TEXT) => {
                let second =
                    parse_json(&files.root().join(SECOND_TEXT), &files.read(SECOND_TEXT)?)?;
                Ok(Self::ClipPair {
                    configs: [parse_json(&path, &text)?, second],
                    tokenizers: [clip_tokenizer(files)?, second_clip_tokenizer(files)?],
                    empty_is_zero: empty_is_zero(files)?,
                })
            }
            None | Some("clip_text_model" | "clip") => Ok(Self::Clip {
                config: parse_json(&path, &text)?,
                tokenizer: clip_tokenizer(files)?,
            }),
            Some(other) => {
                let reason = format!("model_type is {other}; clip_text_model or t5 would do");
                Err(CheckpointError::Unsupported { path, reason })
            }
        }
    }

    /// Whether the text encoder can read a text.
    ///
    /// # Errors
    /// When it is too long, or not in a pack; the message says by how much.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Clip { tokenizer, .. } => tokenizer.encode(text).map(drop),
            Self::ClipPair { tokenizers, .. } => tokenizers
                .iter()
                .try_for_each(|tokenizer| tokenizer.encode(text).map(drop)),
            Self::T5 { tokenizer, .. } => tokenizer.encode(&text.to_lowercase()).map(drop),
            Self::Pack(pack) => pack
                .encode(&[text.to_owned()], &burn::tensor::Device::flex())
                .map(drop),
            // It is not heard.
            Self::Picture(_) => Ok(()),
        }
    }

    fn summary(&self) -> String {
        let clip = |config: &ClipTextConfig, tokenizer: &Tokenizer| {
            let (name, act) = match config.hidden_act {
                Activation::Gelu => ("OpenCLIP", "gelu"),
                Activation::QuickGelu => ("CLIP", "quick_gelu"),
            };
            let (layers, padding) = (config.num_hidden_layers, tokenizer.padding_token());
            format!("{name} text, {layers} layers, {act}, pads with {padding}")
        };
        match self {
            Self::Clip { config, tokenizer } => clip(config, tokenizer),
            Self::ClipPair {
                configs: [first, second],
                tokenizers: [one, two],
                ..
            } => format!("{} and {}", clip(first, one), clip(second, two)),
            Self::T5 { config, .. } => format!("T5 text, {} layers", config.num_layers),
            Self::Pack(_) => "texts of a pack".into(),
            Self::Picture(plan) => plan.summary(),
        }
    }

    /// Width of its texts.
    fn width(&self) -> usize {
        match self {
            Self::Clip { config, .. } => config.hidden_size,
            Self::ClipPair { configs, .. } => configs.iter().map(|config| config.hidden_size).sum(),
            Self::T5 { config, .. } => config.d_model,
            Self::Pack(pack) => pack.width(),
            Self::Picture(plan) => plan.width,
        }
    }

    /// Width of its pooled texts, if it has them.
    fn pooled_width(&self) -> Option<usize> {
        match self {
            Self::Clip { .. } | Self::T5 { .. } | Self::Picture(_) => None,
            Self::ClipPair {
                configs: [_, second],
                ..
            } => second.projection_dim,
            Self::Pack(pack) => pack.pooled_width(),
        }
    }

    /// Says which file keeps encoder and tokenizer from working together, and why, if any does.
    fn misfit(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Pack(_) | Self::Picture(_) => None,
            Self::T5 { config, tokenizer } => {
                too_many_words(tokenizer.largest_id(), config.vocab_size)
                    .map(|reason| (SENTENCE_PIECE, reason))
                    .or_else(|| config.check().err().map(|reason| (TEXT, reason)))
            }
            Self::Clip { config, tokenizer } => clip_misfit(config, tokenizer, &CLIP),
            Self::ClipPair {
                configs: [first, second],
                tokenizers: [one, two],
                ..
            } => {
                let without_layers = [first, second]
                    .iter()
                    .any(|config| config.num_hidden_layers == 0);
                let reason = || {
                    (
                        SECOND_TEXT,
                        "a pair of text encoders has layers, and the second projection_dim".into(),
                    )
                };
                (without_layers || second.projection_dim.is_none())
                    .then(reason)
                    .or_else(|| clip_misfit(first, one, &CLIP))
                    .or_else(|| clip_misfit(second, two, &SECOND_CLIP))
                    .or_else(|| {
                        let [length, other] = [one, two].map(Tokenizer::max_length);
                        let reason = format!(
                            "model_max_length {other} is not the first tokenizer's {length}"
                        );
                        (length != other).then_some((SECOND_CLIP.tokenizer, reason))
                    })
            }
        }
    }
}

fn too_many_words(largest_id: usize, embedded: usize) -> Option<String> {
    let reason = || format!("ids up to {largest_id} are more than the text encoder's {embedded}");
    (largest_id >= embedded).then(reason)
}

fn clip_misfit(
    config: &ClipTextConfig,
    tokenizer: &Tokenizer,
    files: &ClipFiles,
) -> Option<(&'static str, String)> {
    if let Some(reason) = too_many_words(tokenizer.largest_id(), config.vocab_size) {
        return Some((files.vocabulary, reason));
    }
    let (width, heads) = (config.hidden_size, config.num_attention_heads);
    let (length, positions) = (tokenizer.max_length(), config.max_position_embeddings);
    if config.num_hidden_layers > MOST_LAYERS {
        let layers = config.num_hidden_layers;
        return Some((
            files.config,
            format!("num_hidden_layers {layers} is more than {MOST_LAYERS}"),
        ));
    }
    if heads == 0 || !width.is_multiple_of(heads) {
        return Some((
            files.config,
            format!("hidden_size {width} does not divide into num_attention_heads {heads}"),
        ));
    }
    let reason =
        format!("model_max_length {length} is more than the text encoder's {positions} positions");
    (length > positions).then_some((files.tokenizer, reason))
}

impl Plan {
    /// As [`Plan::read`], with what is added to the model.
    ///
    /// # Errors
    /// As there.
    pub fn open(files: &dyn Files, additions: &Additions) -> Result<Self, CheckpointError> {
        Self::read(files, additions.texts.map(TextPack::open).transpose()?)
    }

    /// Reads and checks the configurations of all parts; a pack of texts takes the text encoder's place.
    ///
    /// # Errors
    /// When one is missing, malformed, not supported, or does not fit the others; the message names the file.
    pub fn read(files: &dyn Files, texts: Option<TextPack>) -> Result<Self, CheckpointError> {
        let network = network(files)?;
        let vae: Option<VaeConfig> = files
            .has(VAE)
            .then(|| checked(files, VAE, &defaults::vae()))
            .transpose()?;
        if let Some(vae) = &vae {
            unsupported_if(files, VAE, vae.check())?;
        }
        let words = files.read(WORDS).map(|text| {
            String::from_utf8_lossy(&text)
                .lines()
                .map(Into::into)
                .collect()
        });
        let keys: Map<String, Value> =
            parse_json(&files.root().join(SCHEDULER), &files.read(SCHEDULER)?)?;
        unsupported_if(files, SCHEDULER, defaults::check_scheduler(&keys))?;
        let text = match texts {
            Some(pack) => TextPlan::Pack(pack),
            None => TextPlan::read(files, &network)?,
        };
        let plan = Self {
            network,
            vae,
            text,
            schedule: checked(files, SCHEDULER, &defaults::scheduler())?,
            words: words.unwrap_or_default(),
        };
        match plan.text.misfit().or_else(|| plan.misfit()) {
            Some((file, reason)) => unsupported_if(files, file, Err(reason)).map(|()| plan),
            None => Ok(plan),
        }
    }

    /// What decides what the weights compute, in words that never change.
    pub(crate) fn identity(&self) -> String {
        let network = match &self.network {
            NetworkConfig::UNet(_) => "unet",
            NetworkConfig::UVit(_) => "uvit",
        };
        let predicts = match self.schedule.prediction_type {
            Prediction::Epsilon => "epsilon",
            Prediction::V => "v",
        };
        let act = |config: &ClipTextConfig| match config.hidden_act {
            Activation::Gelu => "gelu",
            Activation::QuickGelu => "quick_gelu",
        };
        let text = match &self.text {
            TextPlan::Clip { config, .. } => act(config),
            TextPlan::ClipPair { configs, .. } => act(&configs[0]),
            TextPlan::T5 { .. } => "t5",
            TextPlan::Pack(_) => "pack",
            TextPlan::Picture(plan) => match plan.last {
                LastNumber::Distance => "picture",
                LastNumber::Elevation => "picture and elevation",
            },
        };
        format!("{network} {predicts} {text}")
    }

    /// What was inferred or read of the model, in one line.
    pub fn summary(&self) -> String {
        let size = self.network.sample_size();
        let network = match (&self.network, &self.vae) {
            (NetworkConfig::UVit(_), _) => format!("UVit of {size} × {size} pixels"),
            (NetworkConfig::UNet(_), None) => format!("U-Net of {size} × {size} pixels"),
            (NetworkConfig::UNet(_), Some(_)) => format!("U-Net of {size} × {size} latents"),
        };
        let views = match self.network.views_per_group() {
            1 => String::new(),
            views => format!(", {views} views at once"),
        };
        let predicts = match self.schedule.prediction_type {
            Prediction::Epsilon => "ε",
            Prediction::V => "v",
        };
        format!(
            "{network}{views}, {}, predicts {predicts}",
            self.text.summary()
        )
    }

    /// Says which file keeps the parts from working as one model, and why, if any does.
    fn misfit(&self) -> Option<(&'static str, String)> {
        let Self {
            network,
            vae,
            text,
            schedule,
            ..
        } = self;
        let (wanted, what) = match vae {
            None => (3, format!("no pixels, which have 3, and there is no {VAE}")),
            Some(vae) => (
                vae.latent_channels,
                format!(
                    "not the latents of the vae, which have {}",
                    vae.latent_channels
                ),
            ),
        };
        let channels = network.channels();
        // Zero123's noisy latents come with those of the picture.
        let taken = match text {
            TextPlan::Picture(_) => 2 * wanted,
            _ => wanted,
        };
        if vae.is_none() && taken > wanted {
            return Some((UNET, format!("a prior of pictures needs {VAE}")));
        }
        let predicted = if schedule.learns_variance() {
            2 * wanted
        } else {
            wanted
        };
        let (pooled, pooled_taken) = (text.pooled_width(), network.pooled_width());
        let (width, (heard, key)) = (text.width(), network.text_width());
        let (start, end) = (schedule.beta_start, schedule.beta_end);
        Some(match () {
            () if channels != [taken, predicted] => {
                (UNET, format!("{channels:?} channels in and out are {what}"))
            }
            () if width != heard => (
                UNET,
                format!("{key} is {heard}, and the text is {width} wide"),
            ),
            () if pooled != pooled_taken => {
                let numbers = |width: Option<usize>| {
                    width.map_or("none".into(), |width| format!("one {width} wide"))
                };
                (
                    UNET,
                    format!(
                        "it takes {} beside the text as a whole, and the text encoder gives {}",
                        numbers(pooled_taken),
                        numbers(pooled)
                    ),
                )
            }
            () if !(2..=100_000).contains(&schedule.num_train_timesteps) => (
                SCHEDULER,
                format!(
                    "num_train_timesteps {} is not between 2 and 100000",
                    schedule.num_train_timesteps
                ),
            ),
            () if !(0.0 < start && start <= end && end < 1.0) => (
                SCHEDULER,
                format!("beta_start {start} and beta_end {end} are not in order within 0 and 1"),
            ),
            () => return None,
        })
    }
}

/// The network's configuration, checked by itself.
fn network(files: &dyn Files) -> Result<NetworkConfig, CheckpointError> {
    let (path, text) = (files.root().join(UNET), files.read(UNET)?);
    if NetworkConfig::is_uvit(&parse_json(&path, &text)?) {
        let config: UVitConfig = parse_json(&path, &text)?;
        unsupported_if(files, UNET, config.check())?;
        return Ok(NetworkConfig::UVit(config));
    }
    let unet: UNetConfig = checked(files, UNET, &defaults::unet())?;
    unsupported_if(files, UNET, unet.check())?;
    unsupported_if(files, UNET, check_camera(&unet))?;
    Ok(NetworkConfig::UNet(unet))
}

fn check_camera(unet: &UNetConfig) -> Result<(), String> {
    let known: &[usize] = if unet.num_views == 1 {
        &[Camera::CONDITIONING, Told::CONDITIONING]
    } else {
        &[Camera::MATRIX]
    };
    match unet.camera_numbers() {
        Some(labels) if !known.contains(&labels) => Err(format!(
            "expected class labels of a camera ({known:?} values), got {labels} values"
        )),
        _ => Ok(()),
    }
}

/// A configuration whose other keys have to have these values.
fn checked<T: DeserializeOwned>(
    files: &dyn Files,
    name: &str,
    defaults: &Value,
) -> Result<T, CheckpointError> {
    let (path, text) = (files.root().join(name), files.read(name)?);
    let keys: Map<String, Value> = parse_json(&path, &text)?;
    unsupported_if(files, name, defaults::check(&keys, defaults))?;
    parse_json(&path, &text)
}

fn unsupported_if(
    files: &dyn Files,
    name: &str,
    result: Result<(), String>,
) -> Result<(), CheckpointError> {
    result.map_err(|reason| CheckpointError::Unsupported {
        path: files.root().join(name),
        reason,
    })
}

/// Whether the empty text of a pair of text encoders is zeros: yes, unless the model's index says no. So diffusers has it for a
/// negative prompt that is not given, which is what the empty one is here.
fn empty_is_zero(files: &dyn Files) -> Result<bool, CheckpointError> {
    if !files.has(INDEX) {
        return Ok(true);
    }
    let index: Value = parse_json(&files.root().join(INDEX), &files.read(INDEX)?)?;
    Ok(index["force_zeros_for_empty_prompt"] != false)
}
