//! diffusers' `vae/config.json`.

use crate::layers::Norms;
use serde::{Deserialize, Serialize};

/// Shape of the network. Fields and their defaults are those of diffusers 0.42's `AutoencoderKL`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VaeConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    pub latent_channels: usize,
    pub block_out_channels: Vec<usize>,
    pub down_block_types: Vec<String>,
    pub up_block_types: Vec<String>,
    #[serde(default = "default_layers")]
    pub layers_per_block: usize,
    #[serde(default = "default_groups")]
    pub norm_num_groups: usize,
    /// Latents of deviation one are the encoder's times this.
    #[serde(default = "default_scaling")]
    pub scaling_factor: f64,
    #[serde(default = "yes")]
    pub use_quant_conv: bool,
    #[serde(default = "yes")]
    pub use_post_quant_conv: bool,
    #[serde(default = "yes")]
    pub mid_block_add_attention: bool,
}

fn default_layers() -> usize {
    1
}
fn default_groups() -> usize {
    32
}
fn default_scaling() -> f64 {
    0.18215
}
fn yes() -> bool {
    true
}

impl VaeConfig {
    /// Pixels along the side of a latent.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    pub(super) fn norms(&self) -> Norms {
        Norms {
            groups: self.norm_num_groups,
            epsilon: 1e-6,
        }
    }

    /// Says what of the configuration cannot be run, if anything.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let levels = self.block_out_channels.len();
        if !(1..=8).contains(&levels) {
            return Err(format!(
                "block_out_channels has {levels} levels, not 1 to 8"
            ));
        }
        for (key, types, known) in [
            (
                "down_block_types",
                &self.down_block_types,
                "DownEncoderBlock2D",
            ),
            ("up_block_types", &self.up_block_types, "UpDecoderBlock2D"),
        ] {
            if types.len() != levels {
                return Err(format!(
                    "{key} has {} entries for {levels} levels",
                    types.len()
                ));
            }
            if let Some(other) = types.iter().find(|name| *name != known) {
                return Err(format!("{key}: {other} is not {known}"));
            }
        }
        if [self.in_channels, self.out_channels] != [3, 3] {
            return Err(format!(
                "in_channels {} and out_channels {} are no images, which have 3",
                self.in_channels, self.out_channels
            ));
        }
        if !(1..=64).contains(&self.latent_channels) || !(1..=64).contains(&self.layers_per_block) {
            return Err("latent_channels and layers_per_block have to be within 1 and 64".into());
        }
        let groups = self.norm_num_groups;
        if let Some(channels) = self
            .block_out_channels
            .iter()
            .find(|c| groups == 0 || **c == 0 || !c.is_multiple_of(groups))
        {
            return Err(format!(
                "{channels} channels do not divide into norm_num_groups {groups}"
            ));
        }
        if !(self.scaling_factor.is_finite() && self.scaling_factor > 0.0) {
            return Err(format!(
                "scaling_factor {} is not a positive number",
                self.scaling_factor
            ));
        }
        Ok(())
    }
}
