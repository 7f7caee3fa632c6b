//! Weights and configurations in the files of diffusers and transformers.

pub(crate) mod ldm;
pub(crate) mod recognise;
mod weights;

use crate::layers::PointwiseShapes;
use burn::module::Module;
use burn::store::{
    ApplyError, BurnToPyTorchAdapter, FloatCastAdapter, ModuleAdapter, ModuleSnapshot,
    PyTorchToBurnAdapter, SafetensorsStore,
};
use burn::tensor::DType;
use dreamfuse_core::files::{FileError, write_atomically};
use recognise::recognise_bytes;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
pub use weights::Weights;

/// A checkpoint cannot be read; the message names file and key.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: {reason}")]
    Malformed { path: PathBuf, reason: String },
    #[error("{path}: {key} is missing")]
    MissingKey { path: PathBuf, key: String },
    #[error("{path}: {key} belongs to no part of this model")]
    UnknownKey { path: PathBuf, key: String },
    /// File and tensor.
    #[error(
        "{0} has values that are not finite (NaN or infinity); the file is damaged, or was saved in too small a dtype"
    )]
    NotFinite(String),
    #[error("{path}: {reason}; dreamfuse cannot run it")]
    Unsupported { path: PathBuf, reason: String },
    #[error("{path} is a pickle, which can run code of others; dreamfuse reads safetensors alone")]
    Pickle { path: PathBuf },
    #[error(
        "{path}: a single file does not hold all of a model; this is missing beside it: {wanted}"
    )]
    Companion { path: PathBuf, wanted: PathBuf },
    #[error(transparent)]
    Write(#[from] FileError),
}

/// A name in files and the name in our modules, as a regular expression and its replacement.
pub type Renaming = (&'static str, &'static str);

/// Reads a JSON file into a configuration.
///
/// # Errors
/// When the file is missing or does not fit; the message names it.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, CheckpointError> {
    let text = std::fs::read(path).map_err(|source| CheckpointError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse_json(path, &text)
}

/// As [`read_json`], from the bytes of the file called `path`.
///
/// # Errors
/// When the bytes do not fit; the message names `path`.
pub fn parse_json<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, CheckpointError> {
    let malformed = |e: serde_path_to_error::Error<_>| CheckpointError::Malformed {
        path: path.to_owned(),
        reason: one_line(&e.to_string()), // begins with the key
    };
    let malformed = |e| recognise_bytes(path, text).unwrap_or_else(|| malformed(e));
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(text))
        .map_err(malformed)
}

/// Where a file of weights and a module may differ.
#[derive(Clone, Copy, Default)]
pub struct KeyTolerance<'a> {
    /// Parts of keys that the file may have and the module does not.
    pub ignored: &'a [&'a str],
    /// Parts of keys that the file may lack; the module's own values stay.
    pub optional: &'a [&'a str],
}

/// Fills `module` with the tensors of a safetensors file, widened to f32. Every parameter has to be there, and nothing
/// else, but for the `tolerance`.
///
/// # Errors
/// When a key is missing or unknown, a shape is wrong, or the file cannot be read.
pub fn load_weights<M: Module + ModuleSnapshot>(
    mut module: M,
    weights: Weights,
    renamings: &[Renaming],
    tolerance: KeyTolerance<'_>,
) -> Result<M, CheckpointError> {
    let path = weights.path().to_owned();
    let header = weights.clone();
    let adapter = PointwiseShapes
        .chain(PyTorchToBurnAdapter)
        .chain(FloatCastAdapter::to(DType::F32));
    let result = module.apply(
        weights.renamed(renamings),
        None,
        Some(Box::new(adapter)),
        true,
    );
    if let Some(error) = result.errors.first() {
        return Err(in_words(path, error));
    }
    let among = |parts: &[&str], key: &str| parts.iter().any(|part| key.contains(part));
    if let Some((key, _)) = result
        .missing
        .iter()
        .find(|(key, _)| !among(tolerance.optional, key))
    {
        return Err(header.missing(&in_files(key)));
    }
    match result
        .unused
        .iter()
        .find(|key| !among(tolerance.ignored, key) && !is_count(&header, key))
    {
        Some(key) => Err(CheckpointError::UnknownKey {
            path,
            key: key.clone(),
        }),
        None => Ok(module),
    }
}

/// Norms name their parameters otherwise in Burn than in files.
fn in_files(key: &str) -> String {
    let renamed =
        |burn: &str, file: &str| key.strip_suffix(burn).map(|stem| format!("{stem}{file}"));
    renamed(".gamma", ".weight")
        .or_else(|| renamed(".beta", ".bias"))
        .unwrap_or_else(|| key.to_owned())
}

/// Stand around the part of a message that names a file and a tensor that is not finite: libraries between add
/// words of their own.
const NOT_FINITE: [char; 2] = ['⟦', '⟧'];

/// The error for a tensor whose values cannot be had.
fn unreadable(path: PathBuf, message: &str) -> CheckpointError {
    let [open, close] = NOT_FINITE;
    let named = message
        .split_once(open)
        .and_then(|(_, rest)| rest.split_once(close));
    match named {
        Some((named, _)) => CheckpointError::NotFinite(named.to_owned()),
        None => CheckpointError::Read {
            path,
            source: io::Error::other(one_line(message)),
        },
    }
}

/// Whether a tensor counts something, as buffers of norms and of positions do: networks that are run do not read it.
fn is_count(weights: &Weights, key: &str) -> bool {
    weights.dtype(key).is_some_and(|dtype| !dtype.is_float())
}

fn in_words(file: PathBuf, error: &ApplyError) -> CheckpointError {
    let reason = match error {
        ApplyError::ShapeMismatch {
            path,
            expected,
            found,
        } => format!(
            "{} has the shape {found} where {expected} is right",
            in_files(path)
        ),
        ApplyError::DTypeMismatch { path, found, .. } => {
            format!("{} has the dtype {found:?}", in_files(path))
        }
        ApplyError::LoadError { message, .. } => return unreadable(file, message),
        other => one_line(&other.to_string()),
    };
    CheckpointError::Malformed { path: file, reason }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes the module's tensors in PyTorch's layout, in `dtype`. `renamings` lead from our names to
/// the file's.
///
/// # Errors
/// When the file cannot be written.
pub fn save_weights<M: Module + ModuleSnapshot>(
    module: &M,
    path: &Path,
    dtype: DType,
    renamings: &[Renaming],
) -> Result<(), CheckpointError> {
    let adapter = BurnToPyTorchAdapter.chain(FloatCastAdapter::to(dtype));
    let mut store = SafetensorsStore::from_bytes(None).with_to_adapter(adapter);
    store = store.skip_enum_variants(true).metadata("format", "pt");
    for (from, to) in renamings {
        store = store.with_key_remapping(*from, *to);
    }
    let malformed = |reason: String| CheckpointError::Malformed {
        path: path.to_owned(),
        reason: one_line(&reason),
    };
    module
        .save_into(&mut store)
        .map_err(|e| malformed(e.to_string()))?;
    let bytes = store.get_bytes().map_err(|e| malformed(e.to_string()))?;
    Ok(write_atomically(path, &bytes)?)
}
