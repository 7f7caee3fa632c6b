//! Zero123 (Liu et al. 2023): a picture and a turn of the camera in the place of a text.
//!
//! The U-Net of Stable Diffusion 1 gets eight channels, the noisy latents and those of the picture, and one token: CLIP's
//! embedding of the picture and four numbers of the turn, projected to the width of a text (diffusers' community pipeline
//! `pipeline_zero1to3.py`).

use super::files::Files;
use crate::checkpoint::{CheckpointError, KeyTolerance, load_weights, parse_json};
use crate::clip_vision::{ClipVisionConfig, ClipVisionModel};
use crate::vae::Vae;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::{Camera, Told};
use dreamfuse_prior::{Conditioning, Known, Leaf, ReferenceImages, References};
use serde_json::{Map, Value};
use std::f32::consts::FRAC_PI_2;

pub(super) const IMAGE_ENCODER: &str = "image_encoder/config.json";
pub(super) const IMAGE_ENCODER_STEM: &str = "image_encoder/model";

/// Folders of the projection: of kxic's conversions, and of ashawkey's and bennyguo's.
pub(super) const CC_PROJECTION: &str = "cc_projection";
const PROJECTIONS: [&str; 2] = [CC_PROJECTION, "clip_camera_projection"];
pub(super) const PROJECTION_STEM: &str = "cc_projection/diffusion_pytorch_model";

/// Numbers of a turn.
const TURN: usize = 4;

/// Zero123's world is half as large as ours: its box is ±0.5.
const DISTANCE: f32 = 0.5;

/// What the last number of a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastNumber {
    /// Zero123, Zero123-XL: how much farther the camera is.
    Distance,
    /// Stable Zero123: how far below the pole the picture was taken, in radians.
    Elevation,
}

/// The shape of the parts, before anything large is read.
#[derive(Clone, Debug, PartialEq)]
pub struct PicturePlan {
    pub encoder: ClipVisionConfig,
    /// Of the projected token.
    pub width: usize,
    pub last: LastNumber,
    folder: &'static str,
}

impl PicturePlan {
    /// That of a model with an image encoder, and none for a text.
    ///
    /// # Errors
    /// When a file is missing or malformed; the message names it.
    pub(super) fn read(files: &dyn Files, width: usize) -> Result<Self, CheckpointError> {
        let path = files.root().join(IMAGE_ENCODER);
        let encoder: ClipVisionConfig = parse_json(&path, &files.read(IMAGE_ENCODER)?)?;
        encoder
            .check()
            .map_err(|reason| CheckpointError::Unsupported { path, reason })?;
        let folder = PROJECTIONS.into_iter().find(|folder| files.has(folder));
        let folder = folder.ok_or_else(|| CheckpointError::Companion {
            path: files.root().to_owned(),
            wanted: files.root().join(PROJECTIONS[0]),
        })?;
        Ok(Self {
            encoder,
            width,
            last: last_number(files)?,
            folder,
        })
    }

    /// In words.
    pub(super) fn summary(&self) -> String {
        let name = match self.last {
            LastNumber::Distance => "Zero123",
            LastNumber::Elevation => "Stable Zero123, by its name",
        };
        let layers = self.encoder.num_hidden_layers;
        format!("takes a picture ({name}; CLIP image, {layers} layers)")
    }
}

/// Both kinds have the same tensors: `elevation_embedding` of model_index.json tells them apart, or else the word "stable"
/// in the path, as in the names of the published files.
fn last_number(files: &dyn Files) -> Result<LastNumber, CheckpointError> {
    const INDEX: &str = "model_index.json";
    let said = if files.has(INDEX) {
        let index: Map<String, Value> = parse_json(&files.root().join(INDEX), &files.read(INDEX)?)?;
        index.get("elevation_embedding").and_then(Value::as_bool)
    } else {
        None
    };
    let is_stable = || {
        let path = files.root().to_string_lossy().to_lowercase();
        path.contains("stable-zero123") || path.contains("stable_zero123")
    };
    Ok(if said.unwrap_or_else(is_stable) {
        LastNumber::Elevation
    } else {
        LastNumber::Distance
    })
}

/// `projection.weight` and `projection.bias`.
#[derive(Module, Debug)]
struct Projection {
    projection: Linear,
}

/// What makes tokens of pictures.
pub struct PicturePrompt {
    encoder: ClipVisionModel,
    projection: Projection,
    last: LastNumber,
    width: usize,
}

impl PicturePrompt {
    pub(super) fn load(
        plan: &PicturePlan,
        files: &dyn Files,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let inputs = plan.encoder.projection_dim + TURN;
        let projection = Projection {
            projection: LinearConfig::new(inputs, plan.width).init(device),
        };
        let stem = format!("{}/diffusion_pytorch_model", plan.folder);
        let weights = files.weights(IMAGE_ENCODER_STEM)?;
        Ok(Self {
            encoder: ClipVisionModel::load(&plan.encoder, weights, device)?,
            projection: load_weights(
                projection,
                files.weights(&stem)?,
                &[],
                KeyTolerance::default(),
            )?,
            last: plan.last,
            width: plan.width,
        })
    }

    /// The modules, for a fingerprint.
    pub(super) fn modules(&self) -> (&ClipVisionModel, &impl Module) {
        (&self.encoder, &self.projection)
    }

    /// What there is without a picture: zeros, whatever the text.
    pub(crate) fn nothing(&self, rows: usize, device: &Device) -> Tensor<3> {
        Tensor::zeros([rows, 1, self.width], device)
    }

    /// Pictures as embeddings `[pictures, projection_dim]` and latents `[pictures, channels, side²]`: the mode, which is not
    /// scaled.
    pub(super) fn read(
        &self,
        vae: &Vae,
        images: &ReferenceImages,
        fitted: Tensor<4>,
    ) -> Result<References, String> {
        if images.per_set > 1 {
            return Err(format!(
                "this prior takes one picture at a time, got {}",
                images.per_set
            ));
        }
        let embeddings = self.encoder.forward(images.images.clone());
        let latents = vae.encode(fitted * 2.0 - 1.0) / vae.config().scaling_factor;
        let [count, channels, height, width] = latents.dims();
        let latents = latents.reshape([count, channels, height * width]);
        let read = Conditioning::new(vec![Leaf::Flat(embeddings), Leaf::Tokens(latents)]);
        Ok(References::new(read, images.told.to_vec()))
    }

    /// The token of each image of a batch, `[batch, 1, width]`, and the latents that its noisy ones go with.
    pub(super) fn asked(&self, samples: &Tensor<4>, known: Known) -> (Tensor<3>, Tensor<4>) {
        let [count, channels, height, width] = samples.dims();
        let device = samples.device();
        let Some(shown) = known.shown else {
            return (self.nothing(count, &device), samples.zeros_like());
        };
        let rows: Vec<usize> = shown.sets.iter().map(|set| set.unwrap_or(0)).collect();
        let is_shown = shown
            .sets
            .iter()
            .map(|set| f32::from(u8::from(set.is_some())));
        let is_shown = TensorData::new(is_shown.collect::<Vec<f32>>(), [count, 1, 1]);
        let is_shown = Tensor::<3>::from_data(is_shown, &device);
        let read = shown.references.read().select(&rows);
        let told = known.views.told();
        let turns = rows.iter().enumerate().flat_map(|(image, set)| {
            let picture = &shown.references.told(*set)[0];
            self.turn(picture, told.map(|told| &told[image]))
        });
        let turns = TensorData::new(turns.collect::<Vec<f32>>(), [count, TURN]);
        let embedding = Tensor::cat(
            vec![
                read.leaves()[0].flat(),
                Tensor::<2>::from_data(turns, &device),
            ],
            1,
        );
        let token = self.projection.projection.forward(embedding);
        let token = token.reshape([count, 1, self.width]) * is_shown.clone();
        let latents = read.leaves()[1].tokens() * is_shown;
        (token, latents.reshape([count, channels, height, width]))
    }

    /// From a picture's camera to a view's: the difference of their angles from the pole, sine and cosine of that of their
    /// azimuths, and the last number.
    fn turn(&self, picture: &Told, view: Option<&Told>) -> [f32; TURN] {
        let from = picture.camera.unwrap_or(Camera::orbit(0.0, 0.0));
        let to = view.and_then(|view| view.camera).unwrap_or(from);
        let (sin, cos) = (to.azimuth - from.azimuth).sin_cos();
        let last = match self.last {
            LastNumber::Distance => DISTANCE * (to.distance - from.distance),
            LastNumber::Elevation => FRAC_PI_2 - from.elevation,
        };
        [from.elevation - to.elevation, sin, cos, last]
    }
}
