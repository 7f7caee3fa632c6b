//! The prior that is built into the binary: trained by this project on its toybox world.

use crate::checkpoint::{CheckpointError, Weights};
use crate::pipeline::{Additions, Cost, Files, Pipeline, Plan};
use burn::tensor::Device;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;

macro_rules! assets {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_bytes!(concat!("../assets/embedded-prior/", $path)) as &[u8])),*]
    };
}

static ASSETS: [(&str, &[u8]); 9] = assets![
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "scheduler/scheduler_config.json",
    "words.txt",
];

/// The words of the captions that it was trained on.
const KNOWN: &str = include_str!("../assets/embedded-prior/words.txt");

/// The words that the embedded prior knows.
pub fn words() -> Vec<&'static str> {
    KNOWN.lines().collect()
}

/// SHA-256 of its files.
pub fn digest() -> [u8; 32] {
    let mut digest = Sha256::new();
    for (path, bytes) in ASSETS {
        digest.update(path);
        digest.update(bytes);
    }
    digest.finalize().into()
}

/// Loads the embedded prior.
///
/// # Errors
/// Never in a binary whose tests pass; the types are those of any checkpoint.
pub fn load(device: &Device) -> Result<Pipeline, CheckpointError> {
    load_with(&Additions::default(), device)
}

/// Loads the embedded prior with what is added to it.
///
/// # Errors
/// When that does not fit.
pub fn load_with(additions: &Additions, device: &Device) -> Result<Pipeline, CheckpointError> {
    Pipeline::assemble(&Embedded, additions, device)
}

/// What its work costs.
///
/// # Errors
/// As [`load`].
pub fn cost(additions: &Additions) -> Result<Cost, CheckpointError> {
    Cost::read(&Embedded, additions)
}

/// What its small files say.
///
/// # Errors
/// As [`load`].
pub fn plan(additions: &Additions) -> Result<Plan, CheckpointError> {
    Plan::open(&Embedded, additions)
}

struct Embedded;

impl Files for Embedded {
    fn root(&self) -> &Path {
        Path::new("<embedded prior>")
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let asset = ASSETS.iter().find(|(path, _)| *path == name);
        let missing = || CheckpointError::Read {
            path: self.root().join(name),
            source: io::ErrorKind::NotFound.into(),
        };
        asset.map(|(_, bytes)| bytes.to_vec()).ok_or_else(missing)
    }

    fn has(&self, name: &str) -> bool {
        ASSETS.iter().any(|(path, _)| *path == name)
    }

    fn weights(&self, stem: &str) -> Result<Weights, CheckpointError> {
        let name = format!("{stem}.safetensors");
        Weights::from_bytes(&self.root().join(&name), &self.read(&name)?)
    }
}
