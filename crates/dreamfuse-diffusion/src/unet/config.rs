//! diffusers' `unet/config.json`.

use crate::layers::{Nonlinearity, Norms, TimeInput, TimeScaleShift};
use serde::{Deserialize, Deserializer, Serialize};

/// One number for all levels, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerLevel {
    Same(usize),
    Each(Vec<usize>),
}

/// The kind of addition of Stable Diffusion XL.
pub(super) const TEXT_TIME: &str = "text_time";
/// Sizes that it is told: height and width of the original image, where it was cropped, and height and width of what is wanted.
pub(super) const SIZES: usize = 6;

/// Shape of the network. Fields and their defaults are those of diffusers 0.42's
/// `UNet2DConditionModel`; what is not listed has to have its default there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UNetConfig {
    pub sample_size: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub down_block_types: Vec<String>,
    pub up_block_types: Vec<String>,
    pub block_out_channels: Vec<usize>,
    #[serde(default = "default_layers")]
    pub layers_per_block: usize,
    #[serde(default = "default_mid_block")]
    pub mid_block_type: String,
    #[serde(default)]
    pub act_fn: Nonlinearity,
    pub cross_attention_dim: usize,
    /// What the text is normalised by before blocks that add it to their keys and values read it: `group_norm`, or nothing.
    #[serde(default)]
    pub cross_attention_norm: Option<String>,
    /// Width of the texts, where they are brought to `cross_attention_dim` first.
    #[serde(default)]
    pub encoder_hid_dim: Option<usize>,
    #[serde(default)]
    pub encoder_hid_dim_type: Option<String>,
    /// The number of heads, for historical reasons (diffusers issue 2011); their width in blocks that add the text.
    #[serde(default = "default_heads")]
    pub attention_head_dim: PerLevel,
    #[serde(default = "default_groups")]
    pub norm_num_groups: usize,
    #[serde(default = "default_epsilon")]
    pub norm_eps: f64,
    /// Whether transformers end in linear layers instead of 1 × 1 convolutions, which are the same.
    #[serde(default)]
    pub use_linear_projection: bool,
    #[serde(default)]
    pub resnet_time_scale_shift: TimeScaleShift,
    #[serde(default)]
    pub class_embed_type: Option<String>,
    /// Numbers of a class label, or of what `text_time` makes its embedding from.
    #[serde(default)]
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// Views that attend to each other. A key of ours: diffusers has no such network.
    #[serde(default = "default_views", skip_serializing_if = "is_one")]
    pub num_views: usize,
    /// Blocks of a transformer.
    #[serde(
        default = "default_transformer_layers",
        deserialize_with = "layers_or_default",
        skip_serializing_if = "is_one_for_all"
    )]
    pub transformer_layers_per_block: PerLevel,
    /// `text`: the whole text, pooled, joins the time embedding; `text_time`: it comes pooled, and the sizes of the image with it.
    #[serde(default)]
    pub addition_embed_type: Option<String>,
    /// Numbers that each of those sizes becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addition_time_embed_dim: Option<usize>,
    #[serde(default = "default_addition_heads")]
    pub addition_embed_type_num_heads: usize,
}

fn default_layers() -> usize {
    2
}
fn default_mid_block() -> String {
    UNetConfig::MID_BLOCKS[0].into()
}
fn default_heads() -> PerLevel {
    PerLevel::Same(8)
}
fn default_views() -> usize {
    1
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(views: &usize) -> bool {
    *views == 1
}
fn default_transformer_layers() -> PerLevel {
    PerLevel::Same(1)
}
fn layers_or_default<'de, D: Deserializer<'de>>(from: D) -> Result<PerLevel, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_else(default_transformer_layers))
}
fn is_one_for_all(layers: &PerLevel) -> bool {
    *layers == default_transformer_layers()
}
fn default_addition_heads() -> usize {
    64
}
fn default_groups() -> usize {
    32
}
fn default_epsilon() -> f64 {
    1e-5
}

impl PerLevel {
    /// The number of a level.
    fn at(&self, level: usize) -> usize {
        match self {
            Self::Same(number) => *number,
            Self::Each(numbers) => numbers[level],
        }
    }

    fn has(&self, levels: usize) -> bool {
        !matches!(self, Self::Each(numbers) if numbers.len() != levels)
    }
}

/// How a block attends to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttentionKind {
    /// A transformer: to the pixels, then to the text.
    Transformer,
    /// To both at once.
    Added,
}

impl AttentionKind {
    /// That of a block type, if it has any.
    pub(crate) fn of(block_type: &str) -> Option<Self> {
        match block_type {
            simple if simple.contains("SimpleCrossAttn") => Some(Self::Added),
            cross if cross.contains("CrossAttn") => Some(Self::Transformer),
            _ => None,
        }
    }
}

impl UNetConfig {
    /// The known ones; the first is diffusers' default.
    pub const MID_BLOCKS: [&str; 2] = ["UNetMidBlock2DCrossAttn", "UNetMidBlock2DSimpleCrossAttn"];
    const DOWN_BLOCKS: [&str; 4] = [
        "DownBlock2D",
        "CrossAttnDownBlock2D",
        "ResnetDownsampleBlock2D",
        "SimpleCrossAttnDownBlock2D",
    ];
    const UP_BLOCKS: [&str; 4] = [
        "UpBlock2D",
        "CrossAttnUpBlock2D",
        "ResnetUpsampleBlock2D",
        "SimpleCrossAttnUpBlock2D",
    ];

    /// Width of the texts that it reads.
    pub fn text_width(&self) -> usize {
        self.encoder_hid_dim.unwrap_or(self.cross_attention_dim)
    }

    /// Width of the time embedding.
    pub(super) fn time_embed_dim(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// Its norms but for those of transformers.
    pub(super) fn norms(&self) -> Norms {
        Norms {
            groups: self.norm_num_groups,
            epsilon: self.norm_eps,
        }
    }

    /// What its residual blocks take of the time.
    pub(super) fn time_input(&self) -> TimeInput {
        TimeInput {
            width: self.time_embed_dim(),
            scale_shift: self.resnet_time_scale_shift,
        }
    }

    /// Numbers of a camera, if it takes one.
    pub fn camera_numbers(&self) -> Option<usize> {
        self.class_embed_type
            .as_ref()
            .and(self.projection_class_embeddings_input_dim)
    }

    /// Width of the pooled texts that it takes beside the texts, if it does.
    pub fn pooled_width(&self) -> Option<usize> {
        if self.addition_embed_type.as_deref() != Some(TEXT_TIME) {
            return None;
        }
        let sizes = SIZES.checked_mul(self.addition_time_embed_dim?)?;
        self.projection_class_embeddings_input_dim?
            .checked_sub(sizes)
    }

    /// Blocks of the transformers of a level.
    pub(crate) fn transformer_layers(&self, level: usize) -> usize {
        self.transformer_layers_per_block.at(level)
    }

    /// `attention_head_dim` of a level.
    fn head_dim(&self, level: usize) -> usize {
        self.attention_head_dim.at(level)
    }

    /// Attention heads of a level.
    pub(super) fn heads(&self, level: usize, kind: AttentionKind) -> usize {
        match kind {
            AttentionKind::Transformer => self.head_dim(level),
            AttentionKind::Added => self.block_out_channels[level] / self.head_dim(level),
        }
    }

    /// Whether the blocks of a type change the size of images in residual blocks.
    pub(super) fn resizes_in_resnets(block_type: &str) -> bool {
        block_type.starts_with("Resnet") || block_type.starts_with("Simple")
    }

    /// Says what of the configuration cannot be run, if anything.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        self.check_sizes()?;
        self.check_kinds()?;
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            if !divides(self.norm_num_groups, channels) || !divides(self.head_dim(level), channels)
            {
                let (groups, heads) = (self.norm_num_groups, self.head_dim(level));
                return Err(format!(
                    "{channels} channels do not divide into norm_num_groups {groups} and attention_head_dim {heads}"
                ));
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), String> {
        let levels = self.block_out_channels.len();
        if !(1..=8).contains(&levels)
            || self.down_block_types.len() != levels
            || self.up_block_types.len() != levels
        {
            return Err(format!(
                "block_out_channels has {levels} levels, and down_block_types and up_block_types others"
            ));
        }
        let halved = 1 << (levels - 1).min(16);
        if !(1..=64).contains(&self.layers_per_block) {
            return Err(format!(
                "layers_per_block {} is not between 1 and 64",
                self.layers_per_block
            ));
        }
        if let Some(channels) = self
            .block_out_channels
            .iter()
            .find(|c| !(2..=16_384).contains(*c) || !c.is_multiple_of(2))
        {
            return Err(format!(
                "block_out_channels {channels} is not an even number up to 16384"
            ));
        }
        if !(1..=4096).contains(&self.sample_size) || !self.sample_size.is_multiple_of(halved) {
            return Err(format!(
                "sample_size {} is no multiple of {halved}",
                self.sample_size
            ));
        }
        for (key, numbers) in [
            ("attention_head_dim", &self.attention_head_dim),
            (
                "transformer_layers_per_block",
                &self.transformer_layers_per_block,
            ),
        ] {
            if !numbers.has(levels) {
                return Err(format!(
                    "{key} has not one entry for each of {levels} levels"
                ));
            }
        }
        match (0..levels)
            .map(|level| self.transformer_layers(level))
            .find(|layers| !(1..=64).contains(layers))
        {
            Some(layers) => Err(format!(
                "transformer_layers_per_block {layers} is not between 1 and 64"
            )),
            None => Ok(()),
        }
    }

    /// Every kind of thing is one that our network has.
    fn check_kinds(&self) -> Result<(), String> {
        let mid = std::slice::from_ref(&self.mid_block_type);
        for (key, types, known) in [
            (
                "down_block_types",
                &self.down_block_types[..],
                &Self::DOWN_BLOCKS[..],
            ),
            ("mid_block_type", mid, &Self::MID_BLOCKS),
            ("up_block_types", &self.up_block_types, &Self::UP_BLOCKS),
        ] {
            if let Some(other) = types.iter().find(|name| !known.contains(&name.as_str())) {
                return Err(format!("{key}: {other} is not one of {}", known.join(", ")));
            }
        }
        match (
            self.class_embed_type.as_deref(),
            self.projection_class_embeddings_input_dim,
        ) {
            (None, None) if self.num_views == 1 => {}
            (None, Some(_)) if self.num_views == 1 && self.addition_embed_type.is_some() => {}
            (Some("projection"), Some(_)) if (1..=16).contains(&self.num_views) => {}
            (_, _) if self.num_views != 1 => {
                return Err(format!(
                    "num_views is {}; 1 to 16, with cameras as class labels, would do",
                    self.num_views
                ));
            }
            (kind, _) => {
                return Err(format!(
                    "class_embed_type is {kind:?}; null, or projection with its input size, would do"
                ));
            }
        }
        match (self.encoder_hid_dim_type.as_deref(), self.encoder_hid_dim) {
            (None, _) | (Some("text_proj"), Some(_)) => {}
            (kind, _) => {
                return Err(format!(
                    "encoder_hid_dim_type is {kind:?}; null, or text_proj with its size, would do"
                ));
            }
        }
        match self.cross_attention_norm.as_deref() {
            None => {}
            Some("group_norm") if divides(32, self.cross_attention_dim) => {}
            Some(kind) => {
                return Err(format!(
                    "cross_attention_norm {kind} of {} numbers; null, or group_norm of a multiple of 32, would do",
                    self.cross_attention_dim
                ));
            }
        }
        match (
            self.addition_embed_type.as_deref(),
            self.text_width(),
            self.addition_embed_type_num_heads,
        ) {
            (None, ..) => Ok(()),
            (Some(TEXT_TIME), ..) => self.check_text_time(),
            (Some("text"), width, heads) if divides(heads, width) => Ok(()),
            (Some("text"), width, heads) => Err(format!(
                "texts of width {width} do not divide into {heads} heads"
            )),
            (Some(kind), ..) => Err(format!(
                "addition_embed_type is {kind:?}; null, text or text_time would do"
            )),
        }
    }

    fn check_text_time(&self) -> Result<(), String> {
        let is_even = self
            .addition_time_embed_dim
            .is_some_and(|width| width > 0 && width.is_multiple_of(2));
        match self.pooled_width() {
            Some(1..) if is_even && self.class_embed_type.is_none() => Ok(()),
            _ => Err(format!(
                "addition_embed_type is text_time, and addition_time_embed_dim {:?} and projection_class_embeddings_input_dim {:?} \
                 leave no pooled text",
                self.addition_time_embed_dim, self.projection_class_embeddings_input_dim
            )),
        }
    }
}

fn divides(parts: usize, count: usize) -> bool {
    parts > 0 && count.is_multiple_of(parts)
}
