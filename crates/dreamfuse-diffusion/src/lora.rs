//! Low-rank adaptations (LoRA, Hu et al. 2021), merged into the weights of a model when it is loaded: `W + s α / r B A`.

use crate::checkpoint::ldm::unet_key;
use crate::checkpoint::{CheckpointError, Weights};
use burn::store::bridge::{deferred, to_data};
use burn::store::burn_pack::{Error as PackError, Tensor as Packed};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
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

/// The part of a model that an adaptation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    UNet,
    Text,
    /// The second text encoder of Stable Diffusion XL.
    SecondText,
}

/// What a file calls the part, and how the names of modules are written there.
const PREFIXES: [(&str, Part); 7] = [
    ("lora_unet_", Part::UNet),
    ("unet.", Part::UNet),
    ("lora_te_", Part::Text),
    ("lora_te1_", Part::Text),
    ("text_encoder.", Part::Text),
    ("lora_te2_", Part::SecondText),
    ("text_encoder_2.", Part::SecondText),
];
/// Ends of keys in kohya's files, diffusers' and PEFT's: of A, which comes first, of B, and of α.
const DOWN: [&str; 5] = [
    ".lora_down.weight",
    ".lora.down.weight",
    "_lora.down.weight",
    ".lora_linear_layer.down.weight",
    ".lora_A.weight",
];
const UP: [&str; 5] = [
    ".lora_up.weight",
    ".lora.up.weight",
    "_lora.up.weight",
    ".lora_linear_layer.up.weight",
    ".lora_B.weight",
];
const ALPHA: [&str; 1] = [".alpha"];

/// The adaptations of a file, by part and module.
pub(crate) struct Lora {
    source: LoraSource,
    modules: BTreeMap<(Part, String), Adaptation>,
    /// α / r of each part where no tensor says it.
    without_alpha: [f32; 3],
}

/// How much of a product is added.
#[derive(Clone, Copy)]
struct Strength {
    scale: f32,
    without_alpha: f32,
}

#[derive(Clone, Default)]
struct Adaptation {
    /// A key of the file, for errors.
    key: String,
    down: Option<Packed>,
    up: Option<Packed>,
    alpha: Option<Packed>,
}

impl Lora {
    /// Reads the header of a file and finds its pairs.
    ///
    /// # Errors
    /// When it cannot be read, or a key is of none of the known kinds.
    pub(crate) fn open(source: &LoraSource) -> Result<Self, CheckpointError> {
        let mut modules: BTreeMap<_, Adaptation> = BTreeMap::new();
        let weights = Weights::open(&source.path)?;
        let unsupported = |reason: String| CheckpointError::Unsupported {
            path: source.path.clone(),
            reason,
        };
        let without_alpha = peft_strengths(&weights).map_err(unsupported)?;
        for tensor in weights.into_tensors() {
            let key = tensor.name.clone();
            let strip = |ends: &[&str]| ends.iter().find_map(|end| key.strip_suffix(end));
            let (down, up, alpha) = (strip(&DOWN), strip(&UP), strip(&ALPHA));
            let Some(module) = down.or(up).or(alpha).and_then(module_name) else {
                return Err(CheckpointError::UnknownKey {
                    path: source.path.clone(),
                    key,
                });
            };
            let adaptation = modules.entry(module).or_default();
            let place = match () {
                () if down.is_some() => &mut adaptation.down,
                () if up.is_some() => &mut adaptation.up,
                () => &mut adaptation.alpha,
            };
            *place = Some(tensor);
            adaptation.key = key;
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
        let mut places: BTreeMap<String, &mut Packed> = weights
            .tensors_mut()
            .filter_map(|tensor| Some((flat(tensor.name.strip_suffix(".weight")?), tensor)))
            .collect();
        let is_first =
            |name: &&String| name.starts_with("down_blocks_0_resnets_") && name.ends_with("_conv1");
        let layers = places.keys().filter(is_first).count();
        for ((_, module), adaptation) in self.modules.iter().filter(|((of, _), _)| *of == part) {
            let unknown = || CheckpointError::UnknownKey {
                path: self.source.path.clone(),
                key: adaptation.key.clone(),
            };
            let weight = match places.remove(module) {
                Some(weight) => weight,
                None => of_ldm(module, layers)
                    .and_then(|module| places.remove(&module))
                    .ok_or_else(unknown)?,
            };
            let strength = Strength {
                scale: self.source.scale,
                without_alpha: self.without_alpha[part as usize],
            };
            let merged = adaptation.merged(weight, strength);
            *weight = merged.map_err(|reason| CheckpointError::Malformed {
                path: self.source.path.clone(),
                reason: format!("{}: {reason}", adaptation.key),
            })?;
        }
        Ok(weights)
    }
}

impl Adaptation {
    /// The weight with the product of the pair added, once it is asked for; a convolution's as the matrix that it is over
    /// patches.
    fn merged(&self, weight: &Packed, strength: Strength) -> Result<Packed, String> {
        let (Some(down), Some(up)) = (&self.down, &self.up) else {
            return Err("one of the two factors is missing".into());
        };
        let rows = |tensor: &Packed| tensor.shape.first().copied().unwrap_or(0);
        let (rank, out) = (rows(down), rows(weight));
        let columns = |tensor: &Packed| tensor.shape.iter().skip(1).product::<usize>();
        let fits = rank > 0
            && out > 0
            && columns(up) == rank
            && rows(up) == out
            && columns(down) == columns(weight);
        if !fits {
            return Err(format!(
                "factors {} and {} do not make {}",
                up.shape, down.shape, weight.shape
            ));
        }
        let (alpha, shape) = (self.alpha.clone(), weight.shape.clone());
        let (weight, down, up, inner) = (weight.clone(), down.clone(), up.clone(), columns(weight));
        Ok(deferred(
            weight.name.clone(),
            DType::F32,
            shape.clone(),
            None,
            move || {
                let alpha = alpha
                    .as_ref()
                    .map(numbers)
                    .transpose()?
                    .and_then(|alpha| alpha.first().copied());
                let strength = strength.scale
                    * alpha.map_or(strength.without_alpha, |alpha| alpha / rank as f32);
                let matrix = |tensor: &Packed, shape: [usize; 2]| -> Result<Tensor<2>, PackError> {
                    Ok(Tensor::from_data(
                        TensorData::new(numbers(tensor)?, shape),
                        &Device::flex(),
                    ))
                };
                let product = matrix(&up, [out, rank])?.matmul(matrix(&down, [rank, inner])?);
                let sum = matrix(&weight, [out, inner])? + product * strength;
                let values = sum
                    .into_data()
                    .try_to_vec::<f32>()
                    .map_err(|e| PackError::ValidationError(format!("{e:?}")))?;
                Ok(TensorData::new(values, shape.clone()))
            },
        ))
    }
}

fn numbers(tensor: &Packed) -> Result<Vec<f32>, PackError> {
    let data = to_data(tensor)?.convert_dtype(DType::F32);
    data.try_to_vec()
        .map_err(|e| PackError::ValidationError(format!("{e:?}")))
}

/// α / r of U-Net and text encoders by PEFT's configuration, which diffusers writes into the header; 1 where there is none.
fn peft_strengths(weights: &Weights) -> Result<[f32; 3], String> {
    const NOTE: &str = "lora_adapter_metadata";
    let Some(note) = weights.note(NOTE) else {
        return Ok([1.0; 3]);
    };
    let config: serde_json::Value =
        serde_json::from_str(note).map_err(|e| format!("{NOTE}: {e}"))?;
    let strength = |part: &str| {
        let value = |key: &str| &config[format!("{part}.{key}")];
        let is_plain = |key: &str| value(key).as_object().is_none_or(serde_json::Map::is_empty);
        if !(is_plain("alpha_pattern") && is_plain("rank_pattern")) || value("use_rslora") == true {
            return Err(format!("{NOTE} has ranks or strengths of single modules"));
        }
        let (alpha, rank) = (value("lora_alpha").as_f64(), value("r").as_f64());
        Ok(alpha
            .zip(rank)
            .map_or(1.0, |(alpha, rank)| (alpha / rank) as f32))
    };
    Ok([
        strength("unet")?,
        strength("text_encoder")?,
        strength("text_encoder_2")?,
    ])
}

/// Part and module of a key without its end: dots and underscores are one, as in kohya's files.
fn module_name(stem: &str) -> Option<(Part, String)> {
    let (prefix, part) = PREFIXES
        .iter()
        .find(|(prefix, _)| stem.starts_with(prefix))?;
    let mut module = flat(&stem[prefix.len()..].replace(".processor", ""));
    if module.ends_with("_to_out") {
        module += "_0"; // diffusers' first files name the list, not its entry
    }
    Some((*part, module))
}

/// The module that a name of latent diffusion stands for, in a network of `layers` residual blocks a level: so most files for Stable
/// Diffusion XL name them.
fn of_ldm(module: &str, layers: usize) -> Option<String> {
    const KINDS: [(&str, usize); 6] = [
        ("input_blocks", 2),
        ("middle_block", 1),
        ("output_blocks", 2),
        ("time_embed", 1),
        ("label_emb", 2),
        ("out", 1),
    ];
    let (kind, numbers) = KINDS
        .into_iter()
        .find(|(kind, _)| module.starts_with(kind))?;
    let rest = module[kind.len()..].strip_prefix('_')?;
    let parts: Vec<&str> = rest.splitn(numbers + 1, '_').collect();
    let dotted = parts.join(".").replace("layers_", "layers.");
    Some(flat(&unet_key(&format!("{kind}.{dotted}"), layers)))
}

/// transformers 5 leaves out a prefix that earlier versions and all adaptations have.
fn flat(name: &str) -> String {
    let flat = name.replace('.', "_");
    flat.strip_prefix("text_model_")
        .map_or(flat.clone(), str::to_owned)
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

    #[test]
    fn modules_are_found_under_all_their_names() {
        let same = [
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out",
        ];
        let names = same.map(|stem| module_name(stem).unwrap());
        assert!(
            names
                .iter()
                .all(|name| *name == names[0] && name.0 == Part::UNet),
            "{names:?}"
        );
        let of_ldm = |name: &str| of_ldm(name, 2);
        let right = |name: &str| Some(name.to_owned());
        let attention = "transformer_blocks_1_attn1_to_q";
        assert_eq!(
            of_ldm(&format!("input_blocks_4_1_{attention}")),
            right(&format!("down_blocks_1_attentions_0_{attention}"))
        );
        assert_eq!(
            of_ldm(&format!("middle_block_1_{attention}")),
            right(&format!("mid_block_attentions_0_{attention}"))
        );
        assert_eq!(
            of_ldm("output_blocks_5_0_in_layers_2"),
            right("up_blocks_1_resnets_2_conv1")
        );
        assert_eq!(of_ldm("time_embed_2"), right("time_embedding_linear_2"));
        assert_eq!(of_ldm("label_emb_0_0"), right("add_embedding_linear_1"));
        assert_eq!(of_ldm("out_2"), right("conv_out"));
        assert_eq!(
            [
                of_ldm("down_blocks_0_resnets_0_conv1"),
                of_ldm("time_embedding_linear_1")
            ],
            [None, None]
        );
        let text = [
            "lora_te_text_model_encoder_layers_0_mlp_fc1",
            "text_encoder.text_model.encoder.layers.0.mlp.fc1",
        ];
        assert!(
            text.iter()
                .all(|stem| module_name(stem)
                    == Some((Part::Text, "encoder_layers_0_mlp_fc1".into())))
        );
        assert_eq!(
            module_name("lora_te2_x"),
            Some((Part::SecondText, "x".into()))
        );
        assert_eq!(module_name("lora_te3_x"), None);
    }
}
