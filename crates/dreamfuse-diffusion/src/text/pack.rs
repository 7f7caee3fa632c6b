//! Texts that were encoded before: a safetensors file with a tensor for each text, named by the text's SHA-256, and another where
//! the encoder says what each text is as a whole.

use super::EncodedText;
use crate::checkpoint::{CheckpointError, Weights};
use burn::tensor::{Device, Tensor};
use dreamfuse_core::files::{hex, write_atomically};
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The file, opened.
#[derive(Clone, Debug)]
pub struct TextPack {
    weights: Weights,
    /// Tokens and their width, the same for every text.
    shape: [usize; 2],
    /// Width of its pooled texts, if it has them.
    pooled: Option<usize>,
}

const FORMAT: (&str, &str) = ("format", "dreamfuse-texts-1");

/// What the name of a pooled text ends with.
const POOLED: &str = ".pooled";

fn key(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn pooled_key(text: &str) -> String {
    key(text) + POOLED
}

impl TextPack {
    /// Looks at the header of a file.
    ///
    /// # Errors
    /// When it cannot be read or is no pack.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let weights = Weights::open(path)?;
        let malformed = |reason: &str| CheckpointError::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        };
        if weights.note(FORMAT.0) != Some(FORMAT.1) {
            return Err(malformed(
                "no pack of texts; `dreamfuse prior embed` makes one",
            ));
        }
        let (pooled, whole): (Vec<&str>, Vec<&str>) =
            weights.keys().partition(|key| key.ends_with(POOLED));
        let shapes = |keys: &[&str]| {
            keys.iter()
                .filter_map(|key| weights.shape(key))
                .collect::<Vec<_>>()
        };
        let (pooled, whole) = (shapes(&pooled), shapes(&whole));
        let Some(&&[tokens, width]) = whole.first() else {
            return Err(malformed("it holds no texts"));
        };
        let pooled_width = pooled.first().and_then(|shape| shape.first()).copied();
        let is_like_first = |shape: &&[usize]| pooled_width.is_some_and(|width| *shape == [width]);
        if whole.iter().any(|shape| *shape != [tokens, width]) || !pooled.iter().all(is_like_first)
        {
            return Err(malformed("its texts have different shapes"));
        }
        if !(pooled.is_empty() || pooled.len() == whole.len()) {
            return Err(malformed("it holds some of its texts pooled and some not"));
        }
        Ok(Self {
            shape: [tokens, width],
            pooled: pooled_width,
            weights,
        })
    }

    /// Width of its texts.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// Width of its pooled texts, if it has them.
    pub fn pooled_width(&self) -> Option<usize> {
        self.pooled
    }

    /// A batch of prompts.
    ///
    /// # Errors
    /// When it lacks a text, which the message names, or can no longer be read.
    pub fn encode(&self, prompts: &[String], device: &Device) -> Result<EncodedText, String> {
        let in_words = |text: &str, error: CheckpointError| match error {
            CheckpointError::MissingKey { path, .. } => {
                let path = path.display();
                format!(
                    "{path} does not hold the text {text:?}; `dreamfuse prior embed` makes one that does"
                )
            }
            other => other.to_string(),
        };
        let one = |text: &String| {
            let tokens = self.weights.tensor::<2>(&key(text), device)?.unsqueeze();
            let pooled = self
                .pooled
                .map(|_| self.weights.tensor::<1>(&pooled_key(text), device))
                .transpose()?;
            Ok(EncodedText {
                tokens,
                pooled: pooled.map(Tensor::unsqueeze),
            })
        };
        let texts = prompts
            .iter()
            .map(|text| one(text).map_err(|error| in_words(text, error)));
        Ok(EncodedText::cat(&texts.collect::<Result<Vec<_>, _>>()?))
    }

    /// Writes texts as they were encoded.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When there are not as many embeddings as texts.
    pub fn write(
        path: &Path,
        texts: &[String],
        encoded: EncodedText,
    ) -> Result<(), CheckpointError> {
        let [count, tokens, width] = encoded.tokens.dims();
        assert_eq!(count, texts.len(), "one embedding a text");
        let pooled_width = encoded.pooled.as_ref().map_or(0, |pooled| pooled.dims()[1]);
        let whole = encoded.tokens.into_data().convert::<f32>();
        let pooled = encoded
            .pooled
            .map(|pooled| pooled.into_data().convert::<f32>());
        let pooled = pooled.as_ref().map_or(&[][..], |pooled| pooled.as_bytes());
        let malformed = |reason: String| CheckpointError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let view = |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes);
        let whole = whole.as_bytes().chunks_exact(4 * tokens * width);
        let whole = texts
            .iter()
            .zip(whole)
            .map(|(text, bytes)| (key(text), view(&[tokens, width], bytes)));
        let pooled = texts
            .iter()
            .zip(pooled.chunks_exact(4 * pooled_width.max(1)));
        let pooled = pooled.map(|(text, bytes)| (pooled_key(text), view(&[pooled_width], bytes)));
        let views: BTreeMap<_, _> = whole
            .chain(pooled)
            .map(|(key, view)| view.map(|view| (key, view)))
            .collect::<Result<_, _>>()
            .map_err(|e| malformed(e.to_string()))?;
        let note = HashMap::from([(FORMAT.0.to_owned(), FORMAT.1.to_owned())]);
        let file = serialize(views, Some(note)).map_err(|e| malformed(e.to_string()))?;
        Ok(write_atomically(path, &file)?)
    }
}
