//! Adaptations, merged into the weights of a model when it is loaded: LoRA (Hu et al. 2021), LoHa (Hyeon-Woo et al. 2022, as
//! in LyCORIS) and differences of whole weights.

mod adaptation;
mod keys;

use crate::checkpoint::{CheckpointError, Weights};
use crate::pipeline::what_a_name_is;
use adaptation::{Adaptation, Strength};
use burn::store::burn_pack::Tensor as Packed;
pub(crate) use keys::Part;
use keys::{Kind, flat, of_ldm};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A file of adaptations and how much of them is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoraSource {
    pub path: PathBuf,
    pub scale: f32,
}

impl FromStr for LoraSource {
    type Err = String;

    /// `FILE` or `FILE:SCALE`.
    fn from_str(text: &str) -> Result<Self, String> {
        // What follows a colon and is no number belongs to the name.
        let split = text
            .rsplit_once(':')
            .and_then(|(path, scale)| Some((path, scale.parse::<f32>().ok()?)));
        let (path, scale) = split.unwrap_or((text, 1.0));
        if path.is_empty() || !scale.is_finite() {
            return Err(format!("{text} is not FILE or FILE:SCALE"));
        }
        Ok(Self {
            path: path.into(),
            scale,
        })
    }
}

impl TryFrom<String> for LoraSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LoraSource> for String {
    fn from(source: LoraSource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for LoraSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.scale)
    }
}

/// The adaptations of a file, by part and module.
pub(crate) struct Lora {
    source: LoraSource,
    modules: BTreeMap<(Part, String), Adaptation>,
    /// α / r of each part where no tensor says it.
    without_alpha: [f32; 3],
}

impl Lora {
    /// Reads the header of a file and finds its adaptations.
    ///
    /// # Errors
    /// When it cannot be read, or a key is of none of the kinds that are merged; the message names the kind, if it is known.
    pub(crate) fn open(source: &LoraSource) -> Result<Self, CheckpointError> {
        check_path(&source.path)?;
        let weights = Weights::open(&source.path)?;
        let unsupported = |reason: String| CheckpointError::Unsupported {
            path: source.path.clone(),
            reason,
        };
        let without_alpha = strengths(&source.path, &weights).map_err(unsupported)?;
        let mut modules: BTreeMap<_, Adaptation> = BTreeMap::new();
        for tensor in weights.into_tensors() {
            let key = tensor.name.clone();
            match keys::read(&key) {
                Kind::Factor {
                    part,
                    module,
                    factor,
                } => {
                    let adaptation = modules.entry((part, module)).or_default();
                    adaptation.key = key;
                    adaptation.factors.insert(factor, tensor);
                }
                Kind::Known(name) => return Err(unsupported(format!("{key} is of {name}"))),
                Kind::Unknown => {
                    return Err(CheckpointError::UnknownKey {
                        path: source.path.clone(),
                        key,
                    });
                }
            }
        }
        if modules.is_empty() {
            return Err(unsupported("it holds no adaptation".into()));
        }
        Ok(Self {
            source: source.clone(),
            modules,
            without_alpha,
        })
    }

    /// For models without a part: an adaptation of it would be left out without a word.
    ///
    /// # Errors
    /// When there is one.
    pub(crate) fn check_without(&self, part: Part) -> Result<(), CheckpointError> {
        match self.modules.iter().find(|((of, _), _)| *of == part) {
            None => Ok(()),
            Some((_, Adaptation { key, .. })) => Err(CheckpointError::UnknownKey {
                path: self.source.path.clone(),
                key: key.clone(),
            }),
        }
    }

    /// Merges the adaptations of a part into its weights.
    ///
    /// # Errors
    /// When one belongs to no weight, or does not fit it.
    pub(crate) fn merge_into(
        &self,
        part: Part,
        mut weights: Weights,
    ) -> Result<Weights, CheckpointError> {
        let (mut places, mut biases) = (BTreeMap::new(), BTreeMap::new());
        for tensor in weights.tensors_mut() {
            if let Some(module) = tensor.name.strip_suffix(".weight") {
                places.insert(flat(module), tensor);
            } else if let Some(module) = tensor.name.strip_suffix(".bias") {
                biases.insert(flat(module), tensor);
            }
        }
        let is_first =
            |name: &&String| name.starts_with("down_blocks_0_resnets_") && name.ends_with("_conv1");
        let layers = places.keys().filter(is_first).count();
        let text_layers = places.keys().filter_map(|name| text_layer(name)).max();
        for ((_, module), adaptation) in self.modules.iter().filter(|((of, _), _)| *of == part) {
            // The one that a U-Net does not read, which the model then does not have either.
            let is_left_out = |layer: usize| text_layers.is_some_and(|last| layer == last + 1);
            if text_layer(module).is_some_and(is_left_out) {
                continue;
            }
            let unknown = || CheckpointError::UnknownKey {
                path: self.source.path.clone(),
                key: adaptation.key.clone(),
            };
            let module = if places.contains_key(module) {
                module.clone()
            } else {
                of_ldm(module, layers).ok_or_else(unknown)?
            };
            let strength = Strength {
                scale: self.source.scale,
                without_alpha: self.without_alpha[part as usize],
            };
            let malformed = |reason: String| CheckpointError::Malformed {
                path: self.source.path.clone(),
                reason: format!("{}: {reason}", adaptation.key),
            };
            let weight: &mut &mut Packed = places.get_mut(&module).ok_or_else(unknown)?;
            if adaptation.changes_weight() {
                **weight = adaptation.merged(weight, strength).map_err(malformed)?;
            }
            if adaptation.changes_bias() {
                let bias = biases.get_mut(&module).ok_or_else(unknown)?;
                **bias = adaptation.merged_bias(bias, strength).map_err(malformed)?;
            }
        }
        Ok(weights)
    }
}

/// The layer of a text encoder that a module belongs to.
fn text_layer(module: &str) -> Option<usize> {
    module
        .strip_prefix("encoder_layers_")?
        .split('_')
        .next()?
        .parse()
        .ok()
}

/// Says what a path is that is no file.
fn check_path(path: &Path) -> Result<(), CheckpointError> {
    let malformed = |reason: String| {
        let path = path.to_owned();
        Err(CheckpointError::Malformed { path, reason })
    };
    if path.is_dir() {
        const NAMES: [&str; 2] = [
            "pytorch_lora_weights.safetensors",
            "adapter_model.safetensors",
        ];
        let found = NAMES
            .iter()
            .map(|name| path.join(name))
            .find(|file| file.is_file());
        return malformed(match found {
            Some(file) => format!("this is a folder; give the file in it, {}", file.display()),
            None => "this is a folder; give the safetensors file of the LoRA".into(),
        });
    }
    if path.exists() {
        return Ok(());
    }
    let name = path.to_string_lossy();
    if let Some(reason) = what_a_name_is(&name) {
        return malformed(reason);
    }
    let is_hub_name = name.split('/').count() == 2 && path.extension().is_none();
    if is_hub_name && !name.starts_with('.') {
        return malformed(
            "no such file; a LoRA of the Hub is downloaded first, then given by its file's path"
                .into(),
        );
    }
    Ok(())
}

/// α / r of U-Net and text encoders by PEFT's configuration, in the header where diffusers writes it or in a file beside; 1 where
/// there is none.
fn strengths(path: &Path, weights: &Weights) -> Result<[f32; 3], String> {
    const NOTE: &str = "lora_adapter_metadata";
    const BESIDE: &str = "adapter_config.json";
    if let Some(note) = weights.note(NOTE) {
        let config = serde_json::from_str(note).map_err(|e| format!("{NOTE}: {e}"))?;
        let of = |part: &str| strength(&config, &format!("{part}."), NOTE);
        return Ok([of("unet")?, of("text_encoder")?, of("text_encoder_2")?]);
    }
    // Only PEFT's own files have their configuration beside them.
    let is_peft = weights
        .keys()
        .any(|key| key.starts_with("base_model.model."));
    match std::fs::read(path.with_file_name(BESIDE)) {
        Ok(text) if is_peft => {
            let config = serde_json::from_slice(&text).map_err(|e| format!("{BESIDE}: {e}"))?;
            Ok([strength(&config, "", BESIDE)?; 3])
        }
        _ => Ok([1.0; 3]),
    }
}

fn strength(config: &serde_json::Value, prefix: &str, place: &str) -> Result<f32, String> {
    let value = |key: &str| &config[format!("{prefix}{key}")];
    let is_plain = |key: &str| value(key).as_object().is_none_or(serde_json::Map::is_empty);
    if !(is_plain("alpha_pattern") && is_plain("rank_pattern")) {
        return Err(format!("{place} has ranks or strengths of single modules"));
    }
    if value("use_dora") == true {
        return Err(format!("{place} says that it is DoRA, which is not merged"));
    }
    let (Some(alpha), Some(rank)) = (value("lora_alpha").as_f64(), value("r").as_f64()) else {
        return Ok(1.0);
    };
    if rank <= 0.0 {
        return Err(format!("{place} has the rank {rank}"));
    }
    // Rank-stabilized LoRA (Kalajdzievski 2023).
    let divisor = if value("use_rslora") == true {
        rank.sqrt()
    } else {
        rank
    };
    Ok((alpha / divisor) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_may_follow_the_file() {
        let parsed = |text: &str| {
            text.parse::<LoraSource>()
                .map(|source| (source.path.display().to_string(), source.scale))
        };
        assert_eq!(
            parsed("a/b.safetensors"),
            Ok(("a/b.safetensors".into(), 1.0))
        );
        assert_eq!(
            parsed("a/b.safetensors:0.6"),
            Ok(("a/b.safetensors".into(), 0.6))
        );
        assert_eq!(
            parsed("C:\\b.safetensors"),
            Ok(("C:\\b.safetensors".into(), 1.0))
        );
        assert!(parsed(":0.5").is_err() && parsed("a:inf").is_err());
    }
}
