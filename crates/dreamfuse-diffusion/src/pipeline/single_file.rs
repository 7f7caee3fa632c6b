//! A whole model in one safetensors file, in the layout of latent diffusion's own checkpoints.

use super::files::{Files, Folder};
use super::infer;
use super::picture_prompt::{CC_PROJECTION, IMAGE_ENCODER, IMAGE_ENCODER_STEM, PROJECTION_STEM};
use super::{SECOND_TEXT_STEM, TEXT_STEM, UNET_STEM, VAE_STEM};
use crate::checkpoint::ldm::{open_clip_key, unet_key, vae_key, visual_key};
use crate::checkpoint::{CheckpointError, Weights};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub(super) const UNET: &str = "model.diffusion_model.";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
pub(super) const VAE: &str = "first_stage_model.";
/// The text encoder of Stable Diffusion 1, with transformers' names.
pub(super) const CLIP: &str = "cond_stage_model.transformer.";
/// The text encoder of Stable Diffusion 2, with OpenCLIP's.
pub(super) const OPEN_CLIP: &str = "cond_stage_model.model.";

/// The image encoder of Zero123, beside a text encoder that it does not use, and the projection of what it makes.
pub(super) const VISUAL: &str = "cond_stage_model.model.visual.";
pub(super) const PROJECTION: &str = "cc_projection.";

/// The text encoders of Stable Diffusion XL, with transformers' names and with OpenCLIP's.
pub(super) const XL_CLIP: &str = "conditioner.embedders.0.transformer.";
pub(super) const XL_OPEN_CLIP: &str = "conditioner.embedders.1.model.";

/// What the keys of other models begin with.
const OTHERS: [(&str, &str); 4] = [
    (
        "conditioner.embedders.0.model.",
        "the refiner of Stable Diffusion XL",
    ),
    ("ztsnr", "a model whose last noise level holds no image"),
    ("edm_", "a model with EDM's noise levels"),
    (
        "model.diffusion_model.joint_blocks.",
        "a Stable Diffusion 3",
    ),
];

/// The file and a folder of its name beside it, for what such files do not hold: the tokenizer, and configurations where
/// they differ from Stable Diffusion's.
pub struct SingleFile {
    path: PathBuf,
    beside: PathBuf,
    weights: Weights,
}

impl SingleFile {
    /// Looks at the header of a file.
    ///
    /// # Errors
    /// When it is no safetensors file, or holds no latent diffusion model.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let weights = Weights::open(path)?;
        for (prefix, name) in OTHERS {
            if weights.keys().any(|key| key.starts_with(prefix)) {
                return Err(CheckpointError::Unsupported {
                    path: path.to_owned(),
                    reason: format!("this is {name}"),
                });
            }
        }
        if let Some(reason) = what_it_is(&weights) {
            return Err(CheckpointError::Unsupported {
                path: path.to_owned(),
                reason,
            });
        }
        for prefix in [UNET, VAE] {
            if !weights.keys().any(|key| key.starts_with(prefix)) {
                return Err(CheckpointError::MissingKey {
                    path: path.to_owned(),
                    key: format!("{prefix}…"),
                });
            }
        }
        let projection = format!("{XL_OPEN_CLIP}text_projection");
        let weights = weights.with_keys(with_text_model);
        infer::check_header(&weights).map_err(|reason| CheckpointError::Unsupported {
            path: path.to_owned(),
            reason,
        })?;
        if infer::is_xl(&weights) && weights.shape(&projection).is_none() {
            return Err(CheckpointError::MissingKey {
                path: path.to_owned(),
                key: projection,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            beside: path.with_extension(""),
            weights,
        })
    }

    /// What a configuration beside the file says, or what is inferred.
    fn config(&self, name: &str) -> Value {
        let text = Folder(&self.beside).read(name).unwrap_or_default();
        serde_json::from_slice(&text)
            .ok()
            .or_else(|| self.inferred(name))
            .unwrap_or_default()
    }

    fn predicts_v(&self) -> bool {
        self.config(SCHEDULER)["prediction_type"] == "v_prediction"
    }

    /// The text encoder's blocks that are used: those behind them are left out of what is read.
    fn text_layers(&self) -> usize {
        let layers = self.config("text_encoder/config.json")["num_hidden_layers"].as_u64();
        layers.map_or(usize::MAX, |layers| layers as usize)
    }

    fn inferred(&self, name: &str) -> Option<Value> {
        match name {
            "unet/config.json" => infer::unet(&self.weights, self.predicts_v()),
            "vae/config.json" => infer::vae(&self.weights),
            "text_encoder/config.json" => infer::text(&self.weights),
            "text_encoder_2/config.json" => infer::second_text(&self.weights),
            IMAGE_ENCODER => infer::image_encoder(&self.weights),
            // A folder, in the layout of diffusers.
            CC_PROJECTION => infer::takes_picture(&self.weights).then_some(Value::Null),
            SCHEDULER => infer::scheduler(&self.weights),
            _ => None,
        }
    }
}

impl Files for SingleFile {
    fn root(&self) -> &Path {
        &self.path
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let beside = Folder(&self.beside);
        if beside.has(name) {
            return beside.read(name);
        }
        let inferred = self
            .inferred(name)
            .map(|value| value.to_string().into_bytes());
        inferred.ok_or_else(|| CheckpointError::Companion {
            path: self.path.clone(),
            wanted: self.beside.join(name),
        })
    }

    fn padding(&self, folder: &str) -> Option<&'static str> {
        infer::padding(&self.weights, folder)
    }

    fn has(&self, name: &str) -> bool {
        Folder(&self.beside).has(name) || self.inferred(name).is_some()
    }

    fn weights(&self, stem: &str) -> Result<Weights, CheckpointError> {
        let under = |prefix: &str| self.weights.clone().under(prefix);
        Ok(match stem {
            UNET_STEM => {
                let layers = infer::unet_layers(&self.weights);
                under(UNET).with_keys(|key| unet_key(key, layers))
            }
            VAE_STEM => {
                let levels = infer::vae_levels(&self.weights);
                under(VAE).with_keys(|key| vae_key(key, levels))
            }
            IMAGE_ENCODER_STEM => with_parts(under(VISUAL).with_keys(visual_key))
                .with_transposed("proj", "visual_projection.weight"),
            PROJECTION_STEM => under(PROJECTION).with_keys(|key| format!("projection.{key}")),
            TEXT_STEM if infer::has_open_clip(&self.weights) => {
                let used = under(OPEN_CLIP).without(&["text_projection"]);
                let layers = self.text_layers();
                open_clip(used.with_layers("transformer.resblocks.", layers))
            }
            TEXT_STEM if infer::is_xl(&self.weights) => under(XL_CLIP),
            TEXT_STEM => {
                let used = under(CLIP).without(&["text_projection", "text_model.text_projection"]);
                used.with_layers("text_model.encoder.layers.", self.text_layers())
            }
            SECOND_TEXT_STEM => open_clip(under(XL_OPEN_CLIP))
                .with_transposed("text_projection", "text_projection.weight"),
            other => {
                return Err(CheckpointError::MissingKey {
                    path: self.path.clone(),
                    key: other.to_owned(),
                });
            }
        })
    }
}

/// Says what a file without a U-Net under latent diffusion's names is, if its keys show it.
fn what_it_is(weights: &Weights) -> Option<String> {
    let starts = |start: &str| weights.keys().any(|key| key.starts_with(start));
    if starts(UNET) {
        return None;
    }
    let contains = |part: &str| weights.keys().any(|key| key.contains(part));
    let of_folder = |part: &str| {
        format!(
            "this is a {part} alone, of a model in diffusers' layout (no {UNET}… keys); give the folder of the \
             whole model"
        )
    };
    Some(
        if contains("lora") || contains("hada_") || contains("lokr_") {
            "this is a LoRA and no model; give it with --lora, and its model with --prior".into()
        } else if starts("control_model.") || starts("controlnet_") || starts("input_hint_block.") {
            "this is a ControlNet, which is not run here".into()
        } else if starts("double_blocks.")
            || starts("joint_blocks.")
            || starts("transformer_blocks.")
        {
            "this is a transformer (Stable Diffusion 3, FLUX), which is not run here".into()
        } else if starts("emb_params") || starts("string_to_param") {
            "this is textual inversion, a new word and no model".into()
        } else if starts("down_blocks.") {
            of_folder("U-Net")
        } else if starts("text_model.") || starts("encoder.block.") {
            of_folder("text encoder")
        } else if starts("encoder.") && starts("decoder.") {
            of_folder("VAE")
        } else {
            return None;
        },
    )
}

/// Some files leave out a part of the name that others have.
fn with_text_model(key: &str) -> String {
    for prefix in [CLIP, XL_CLIP] {
        let bare = key.strip_prefix(prefix);
        if let Some(rest) = bare.filter(|rest| !rest.starts_with("text_model.")) {
            return format!("{prefix}text_model.{rest}");
        }
    }
    key.to_owned()
}

/// OpenCLIP's text encoder with transformers' names.
fn open_clip(weights: Weights) -> Weights {
    let used = weights.without(&["logit_scale", "attn_mask"]);
    with_parts(used.with_keys(open_clip_key))
}

/// With queries, keys and values by themselves.
fn with_parts(weights: Weights) -> Weights {
    let parts = [
        ".self_attn.q_proj.",
        ".self_attn.k_proj.",
        ".self_attn.v_proj.",
    ];
    weights.with_thirds(".self_attn.in_proj_", parts)
}
