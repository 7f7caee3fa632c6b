//! CLIP (Radford et al. 2021) from a user's folder, as a judge of images: candle-transformers runs it. A room of its own,
//! for nothing else here needs candle.

mod config;
mod precision;

pub use precision::{Query, r_precision};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::ClipModel;
use config::Config;
use dreamfuse_core::Image;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// A folder holds no CLIP that can be used; the message names the file.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {reason}")]
    Malformed { path: PathBuf, reason: String },
    #[error("{path} does not fit its config.json: {source}")]
    Weights {
        path: PathBuf,
        source: candle_core::Error,
    },
    #[error("the text {0:?} cannot be read: {1}")]
    Text(String, String),
    #[error("CLIP failed: {0}")]
    Candle(#[from] candle_core::Error),
}

/// Means and standard deviations of the channels that CLIP was trained with (transformers, `OPENAI_CLIP_MEAN`).
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const DEVIATION: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Images at a time.
const BATCH: usize = 8;

/// A text and an image encoder with a common space.
pub struct Clip {
    model: ClipModel,
    tokenizer: Tokenizer,
    config: Config,
}

impl Clip {
    /// Reads `config.json`, `model.safetensors` and `tokenizer.json` of a folder in transformers' layout.
    ///
    /// # Errors
    /// When one is missing or unfit.
    pub fn load(folder: &Path) -> Result<Self, ClipError> {
        let config = Config::load(&folder.join("config.json"))?;
        let path = folder.join("tokenizer.json");
        let bytes = read(&path)?;
        let tokenizer = Tokenizer::from_bytes(bytes).map_err(|e| ClipError::Malformed {
            path,
            reason: e.to_string().replace('\n', " "),
        })?;
        let path = folder.join("model.safetensors");
        let weights = |source| ClipError::Weights {
            path: path.clone(),
            source,
        };
        let variables =
            VarBuilder::from_buffered_safetensors(read(&path)?, DType::F32, &Device::Cpu)
                .map_err(weights)?;
        let model = ClipModel::new(variables, &config.for_candle()).map_err(weights)?;
        Ok(Self {
            model,
            tokenizer,
            config,
        })
    }

    /// Side of the images that it sees.
    pub fn image_size(&self) -> usize {
        self.config.vision_config.image_size
    }

    /// The ids of a text, padded or cut to what the encoder takes; a cut text keeps its end token.
    fn ids(&self, text: &str) -> Result<Vec<u32>, ClipError> {
        let encoded = self
            .tokenizer
            .encode(text, true)
            .map_err(|e| ClipError::Text(text.into(), e.to_string()))?;
        let mut ids = encoded.get_ids().to_vec();
        let end = *ids
            .last()
            .ok_or_else(|| ClipError::Text(text.into(), "it has no tokens".into()))?;
        let length = self.config.text_config.max_position_embeddings;
        if ids.len() > length {
            ids.truncate(length);
            ids[length - 1] = end;
        }
        ids.resize(length, end);
        Ok(ids)
    }

    /// A unit vector for each text.
    ///
    /// # Errors
    /// When a text cannot be tokenized.
    pub fn embed_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ClipError> {
        let one = |text: &String| {
            let ids = Tensor::new(self.ids(text)?, &Device::Cpu)?.unsqueeze(0)?;
            Ok(unit_rows(&self.model.get_text_features(&ids)?)?.swap_remove(0))
        };
        texts.iter().map(one).collect()
    }

    /// A unit vector for each image, which has to be [`Clip::image_size`] wide and high.
    ///
    /// # Errors
    /// When an image has another size.
    pub fn embed_images(&self, images: &[Image]) -> Result<Vec<Vec<f32>>, ClipError> {
        let size = self.image_size();
        let batch = |images: &[Image]| {
            let mut planes = Vec::new();
            images
                .iter()
                .for_each(|image| image.push_planes(&mut planes));
            let area = size * size;
            let scaled = planes.iter().enumerate().map(|(i, value)| {
                let channel = i / area % 3;
                (value - MEAN[channel]) / DEVIATION[channel]
            });
            let pixels =
                Tensor::from_iter(scaled, &Device::Cpu)?.reshape((images.len(), 3, size, size))?;
            Ok(unit_rows(&self.model.get_image_features(&pixels)?)?)
        };
        let rows = images
            .chunks(BATCH)
            .map(batch)
            .collect::<Result<Vec<_>, ClipError>>()?;
        Ok(rows.concat())
    }
}

fn unit_rows(features: &Tensor) -> candle_core::Result<Vec<Vec<f32>>> {
    let norms = features.sqr()?.sum_keepdim(1)?.sqrt()?;
    features.broadcast_div(&norms)?.to_vec2::<f32>()
}

fn read(path: &Path) -> Result<Vec<u8>, ClipError> {
    std::fs::read(path).map_err(|source| ClipError::Read {
        path: path.to_owned(),
        source,
    })
}
