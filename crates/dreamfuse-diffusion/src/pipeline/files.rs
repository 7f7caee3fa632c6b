//! Where the files of a pipeline come from.

use crate::checkpoint::{CheckpointError, Weights};
use std::io;
use std::path::Path;

/// The files of a model by their paths in the layout of diffusers.
pub trait Files {
    /// Names the model in errors.
    fn root(&self) -> &Path;

    /// A whole file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, name: &str) -> Result<Vec<u8>, CheckpointError>;

    /// Whether there is such a file or folder.
    fn has(&self, name: &str) -> bool;

    /// The token that pads the texts of the tokenizer in `folder`, where the model says it and not the tokenizer's files.
    fn padding(&self, _folder: &str) -> Option<&'static str> {
        None
    }

    /// The safetensors file called `stem`, perhaps with diffusers' name of a variant.
    ///
    /// # Errors
    /// When there is none, or only a pickle.
    fn weights(&self, stem: &str) -> Result<Weights, CheckpointError>;
}

/// A folder on the disk.
pub struct Folder<'a>(pub &'a Path);

/// What diffusers adds to the names of files with other numbers.
const VARIANTS: [&str; 4] = ["", ".fp16", ".bf16", ".non_ema"];
const PICKLES: [&str; 6] = [
    ".bin",
    ".ckpt",
    ".pt",
    ".fp16.bin",
    ".bin.index.json",
    ".bin.index.fp16.json",
];

impl Files for Folder<'_> {
    fn root(&self) -> &Path {
        self.0
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let path = self.0.join(name);
        std::fs::read(&path).map_err(|source| CheckpointError::Read { path, source })
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    fn weights(&self, stem: &str) -> Result<Weights, CheckpointError> {
        let path = |ending: &str| self.0.join(format!("{stem}{ending}"));
        let files = VARIANTS.map(|variant| path(&format!("{variant}.safetensors")));
        if let Some(found) = files.iter().find(|path| path.exists()) {
            return Weights::open(found);
        }
        let indices = VARIANTS.iter().flat_map(|variant| {
            [
                path(&format!(".safetensors.index{variant}.json")),
                path(&format!("{variant}.safetensors.index.json")),
            ]
        });
        if let Some(index) = indices.into_iter().find(|index| index.exists()) {
            return Weights::open_shards(&index);
        }
        // transformers calls pickles otherwise than its safetensors.
        let stems = [stem.to_owned(), stem.replace("/model", "/pytorch_model")];
        let mut pickles = stems
            .iter()
            .flat_map(|stem| PICKLES.map(|ending| self.0.join(format!("{stem}{ending}"))));
        match pickles.find(|path| path.exists()) {
            Some(path) => Err(CheckpointError::Pickle { path }),
            None => {
                let [path, ..] = files;
                Err(CheckpointError::Read {
                    path,
                    source: io::ErrorKind::NotFound.into(),
                })
            }
        }
    }
}
