//! Texts that were encoded before: a safetensors file with a tensor for each text, named by the text's SHA-256.

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
}

const FORMAT: (&str, &str) = ("format", "dreamfuse-texts-1");

fn key(text: &str) -> String {
    hex(&Sha256::digest(text))
}

impl TextPack {
    /// Looks at the header of a file.
    ///
    /// # Errors
    /// When it cannot be read or is no pack.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let weights = Weights::open(path)?;
        let malformed = |reason: &str| CheckpointError::Malformed { path: path.to_owned(), reason: reason.into() };
        if weights.note(FORMAT.0) != Some(FORMAT.1) {
            return Err(malformed("no pack of texts; `dreamfuse prior embed` makes one"));
        }
        let shapes: Vec<&[usize]> = weights.keys().filter_map(|key| weights.shape(key)).collect();
        let Some(&&[tokens, width]) = shapes.first() else { return Err(malformed("it holds no texts")) };
        if shapes.iter().any(|shape| *shape != [tokens, width]) {
            return Err(malformed("its texts have different shapes"));
        }
        Ok(Self { shape: [tokens, width], weights })
    }

    /// Width of its texts.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// `[prompts, tokens, width]`.
    ///
    /// # Errors
    /// When it lacks a text, which the message names, or can no longer be read.
    pub fn encode(&self, prompts: &[String], device: &Device) -> Result<Tensor<3>, String> {
        let one = |text: &String| match self.weights.tensor::<2>(&key(text), device) {
            Ok(tensor) => Ok(tensor.unsqueeze()),
            Err(CheckpointError::MissingKey { path, .. }) => {
                let path = path.display();
                Err(format!("{path} does not hold the text {text:?}; `dreamfuse prior embed` makes one that does"))
            }
            Err(other) => Err(other.to_string()),
        };
        Ok(Tensor::cat(prompts.iter().map(one).collect::<Result<_, _>>()?, 0))
    }

    /// Writes texts with their embeddings `[texts, tokens, width]`.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When there are not as many embeddings as texts.
    pub fn write(path: &Path, texts: &[String], embeddings: Tensor<3>) -> Result<(), CheckpointError> {
        let [count, tokens, width] = embeddings.dims();
        assert_eq!(count, texts.len(), "one embedding a text");
        let values = embeddings.into_data().convert::<f32>();
        let bytes: Vec<&[u8]> = values.as_bytes().chunks_exact(4 * tokens * width).collect();
        let malformed = |reason: String| CheckpointError::Malformed { path: path.to_owned(), reason };
        let views = texts
            .iter()
            .zip(bytes)
            .map(|(text, bytes)| TensorView::new(Dtype::F32, vec![tokens, width], bytes).map(|view| (key(text), view)));
        let views: BTreeMap<_, _> = views.collect::<Result<_, _>>().map_err(|e| malformed(e.to_string()))?;
        let note = HashMap::from([(FORMAT.0.to_owned(), FORMAT.1.to_owned())]);
        let file = serialize(views, Some(note)).map_err(|e| malformed(e.to_string()))?;
        Ok(write_atomically(path, &file)?)
    }
}
