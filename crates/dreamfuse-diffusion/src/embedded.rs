//! The prior that is built into the binary: trained by this project on its toybox world.

use crate::checkpoint::CheckpointError;
use crate::pipeline::{FILES, Pipeline, WORDS};
use burn::tensor::Device;
use std::path::Path;

macro_rules! asset {
    ($path:literal) => {
        include_bytes!(concat!("../assets/embedded-prior/", $path))
    };
}

/// In the order of [`FILES`].
const ASSETS: [&[u8]; 8] = [
    asset!("unet/config.json"),
    asset!("unet/diffusion_pytorch_model.safetensors"),
    asset!("text_encoder/config.json"),
    asset!("text_encoder/model.safetensors"),
    asset!("tokenizer/vocab.json"),
    asset!("tokenizer/merges.txt"),
    asset!("tokenizer/tokenizer_config.json"),
    asset!("scheduler/scheduler_config.json"),
];

/// The words of the captions that it was trained on.
const KNOWN: &str = include_str!("../assets/embedded-prior/words.txt");

/// The words that the embedded prior knows.
pub fn words() -> Vec<&'static str> {
    KNOWN.lines().collect()
}

/// Loads the embedded prior.
///
/// # Errors
/// Never in a binary whose tests pass; the types are those of any checkpoint.
pub fn load(device: &Device) -> Result<Pipeline, CheckpointError> {
    let read = |name: &str| {
        let index = FILES.iter().position(|file| *file == name);
        let bytes = index.map(|index| ASSETS[index]).or_else(|| (name == WORDS).then_some(KNOWN.as_bytes()));
        Ok(bytes.unwrap_or_default().to_vec())
    };
    Pipeline::assemble(Path::new("<embedded prior>"), &read, device)
}
