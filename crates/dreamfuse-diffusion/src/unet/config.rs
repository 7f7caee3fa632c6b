//! diffusers' `unet/config.json`.

use crate::layers::{Norms, TimeInput, TimeScaleShift};
use serde::{Deserialize, Serialize};

/// One number for all levels, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerLevel {
    Same(usize),
    Each(Vec<usize>),
}

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
    pub cross_attention_dim: usize,
    /// The number of heads, for historical reasons (diffusers issue 2011).
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
    #[serde(default)]
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// `text`: the whole text, pooled, joins the time embedding.
    #[serde(default)]
    pub addition_embed_type: Option<String>,
    #[serde(default = "default_addition_heads")]
    pub addition_embed_type_num_heads: usize,
}

fn default_layers() -> usize {
    2
}
fn default_heads() -> PerLevel {
    PerLevel::Same(8)
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

impl UNetConfig {
    /// Width of the time embedding.
    pub(super) fn time_embed_dim(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// Its norms but for those of transformers.
    pub(super) fn norms(&self) -> Norms {
        Norms { groups: self.norm_num_groups, epsilon: self.norm_eps }
    }

    /// What its residual blocks take of the time.
    pub(super) fn time_input(&self) -> TimeInput {
        TimeInput { width: self.time_embed_dim(), scale_shift: self.resnet_time_scale_shift }
    }

    /// Attention heads at a level.
    pub(super) fn heads(&self, level: usize) -> usize {
        match &self.attention_head_dim {
            PerLevel::Same(heads) => *heads,
            PerLevel::Each(heads) => heads[level],
        }
    }

    /// Whether the blocks of a type attend to the text.
    pub(super) fn has_attention(block_type: &str) -> bool {
        block_type.starts_with("CrossAttn")
    }

    /// Says what of the configuration cannot be run, if anything.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let levels = self.block_out_channels.len();
        if !(1..=8).contains(&levels) || self.down_block_types.len() != levels || self.up_block_types.len() != levels {
            return Err(format!(
                "block_out_channels has {levels} levels, and down_block_types and up_block_types others"
            ));
        }
        let halved = 1 << (levels - 1).min(16);
        if !(1..=64).contains(&self.layers_per_block) {
            return Err(format!("layers_per_block {} is not within 1 and 64", self.layers_per_block));
        }
        if let Some(channels) =
            self.block_out_channels.iter().find(|c| !(2..=16_384).contains(*c) || !c.is_multiple_of(2))
        {
            return Err(format!("block_out_channels {channels} is not an even number up to 16384"));
        }
        if !(1..=4096).contains(&self.sample_size) || !self.sample_size.is_multiple_of(halved) {
            return Err(format!("sample_size {} is no multiple of {halved}", self.sample_size));
        }
        if let PerLevel::Each(heads) = &self.attention_head_dim
            && heads.len() != levels
        {
            return Err(format!("attention_head_dim has {} entries for {levels} levels", heads.len()));
        }
        for (key, types, known) in [
            ("down_block_types", &self.down_block_types, ["DownBlock2D", "CrossAttnDownBlock2D"]),
            ("up_block_types", &self.up_block_types, ["UpBlock2D", "CrossAttnUpBlock2D"]),
        ] {
            if let Some(other) = types.iter().find(|name| !known.contains(&name.as_str())) {
                return Err(format!("{key}: {other} is not one of {}", known.join(", ")));
            }
        }
        match (self.class_embed_type.as_deref(), self.projection_class_embeddings_input_dim) {
            (None, None) | (Some("projection"), Some(_)) => {}
            (kind, _) => {
                return Err(format!("class_embed_type is {kind:?}; null, or projection with its input size, would do"));
            }
        }
        let divided = |count: usize, parts: usize| parts > 0 && count.is_multiple_of(parts);
        match self.addition_embed_type.as_deref() {
            None => {}
            Some("text") if divided(self.cross_attention_dim, self.addition_embed_type_num_heads) => {}
            Some("text") => {
                let (width, heads) = (self.cross_attention_dim, self.addition_embed_type_num_heads);
                return Err(format!("cross_attention_dim {width} does not divide into {heads} heads"));
            }
            Some(kind) => return Err(format!("addition_embed_type is {kind:?}; null or text would do")),
        }
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            if !divided(channels, self.norm_num_groups) || !divided(channels, self.heads(level)) {
                let (groups, heads) = (self.norm_num_groups, self.heads(level));
                return Err(format!(
                    "{channels} channels do not divide into norm_num_groups {groups} and attention_head_dim {heads}"
                ));
            }
        }
        Ok(())
    }
}
