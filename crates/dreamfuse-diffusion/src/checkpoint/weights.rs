//! The tensors of a safetensors file, none of which is read before it is needed.

use super::{CheckpointError, Renaming, read_json};
use burn::store::KeyRemapper;
use burn::store::bridge::from_data;
use burn::store::burn_pack::{Error as PackError, Tensor as Packed};
use burn::tensor::{Bytes, DType, Device, Tensor, TensorData};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Named tensors and the file that they come from.
#[derive(Clone, Debug)]
pub struct Weights {
    path: PathBuf,
    /// What the header says besides.
    metadata: HashMap<String, String>,
    tensors: Vec<Packed>,
}

/// What `model.safetensors.index.json` says.
#[derive(Deserialize)]
struct Index {
    /// Files by the names of tensors.
    weight_map: BTreeMap<String, String>,
}

/// Bytes of the header's length, with which a safetensors file begins.
const HEADER_LENGTH: u64 = 8;
/// The longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

impl Weights {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// When it cannot be read, is no safetensors file, or was cut short.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let (header, length) = read_header(path).map_err(|source| CheckpointError::Read {
            path: path.to_owned(),
            source,
        })?;
        let damaged =
            |e: serde_json::Error| no_safetensors(path, &format!("its header is damaged: {e}"));
        let metadata: Metadata = serde_json::from_slice(&header).map_err(damaged)?;
        let data_at = HEADER_LENGTH + header.len() as u64;
        let whole = data_at.checked_add(metadata.data_len() as u64);
        if whole != Some(length) {
            let whole = whole.map_or("more than there can be".into(), |whole| whole.to_string());
            return Err(no_safetensors(
                path,
                &format!("it has {length} bytes, and its header speaks of {whole}"),
            ));
        }
        let tensors = metadata.tensors().into_iter().map(|(key, info)| {
            let (from, to) = info.data_offsets;
            let (file, at, count) = (path.to_owned(), data_at + from as u64, to - from);
            let read =
                move || read_part(&file, at, count).map_err(|e| PackError::IoError(e.to_string()));
            let dtype = dtype_of(path, &key, info)?;
            Ok::<_, CheckpointError>(Packed::deferred(
                key,
                dtype,
                info.shape.clone(),
                None,
                count,
                read,
            ))
        });
        let tensors = tensors.collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            metadata: metadata.metadata().clone().unwrap_or_default(),
            tensors,
        })
    }

    /// Reads the headers of the files that an index names, each for the tensors that it is said to hold.
    ///
    /// # Errors
    /// When a file or one of its tensors is missing, or as [`Weights::open`].
    pub fn open_shards(index: &Path) -> Result<Self, CheckpointError> {
        let Index { weight_map } = read_json(index)?;
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        weight_map
            .iter()
            .for_each(|(key, file)| files.entry(file).or_default().push(key));
        let mut tensors = Vec::new();
        for (file, keys) in files {
            if Path::new(file).components().count() != 1 || file.starts_with('.') {
                let reason = format!("{file} is no name of a file beside it");
                return Err(CheckpointError::Malformed {
                    path: index.to_owned(),
                    reason,
                });
            }
            let path = index.with_file_name(file);
            let shard = Self::open(&path)?;
            for key in keys {
                let found = shard
                    .tensors
                    .iter()
                    .find(|tensor| tensor.name == key)
                    .cloned();
                tensors.push(found.ok_or_else(|| CheckpointError::MissingKey {
                    path: path.clone(),
                    key: key.into(),
                })?);
            }
        }
        Ok(Self {
            path: index.to_owned(),
            metadata: HashMap::new(),
            tensors,
        })
    }

    /// From the bytes of the file called `path`.
    ///
    /// # Errors
    /// When they are no safetensors file.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let file =
            SafeTensors::deserialize(bytes).map_err(|e| no_safetensors(path, &e.to_string()))?;
        let tensors = file.tensors().into_iter().map(|(key, view)| {
            let info = TensorInfo {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                data_offsets: (0, view.data().len()),
            };
            let dtype = dtype_of(path, &key, &info)?;
            let data = TensorData::from_bytes(
                Bytes::from_bytes_vec(view.data().to_vec()),
                info.shape,
                dtype,
            );
            Ok::<_, CheckpointError>(from_data(data, key, None))
        });
        let tensors = tensors.collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            metadata: HashMap::new(),
            tensors,
        })
    }

    /// The file that they come from, for errors.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A note in the header, by its name.
    pub(crate) fn note(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    /// Their names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|tensor| tensor.name.as_str())
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, key: &str) -> Option<&[usize]> {
        self.tensors
            .iter()
            .find(|tensor| tensor.name == key)
            .map(|tensor| tensor.shape.as_slice())
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// When it is not there, has not `D` dimensions, or can no longer be read.
    pub fn tensor<const D: usize>(
        &self,
        key: &str,
        device: &Device,
    ) -> Result<Tensor<D>, CheckpointError> {
        let path = || self.path.clone();
        let found = self.tensors.iter().find(|tensor| tensor.name == key);
        let found = found.ok_or_else(|| CheckpointError::MissingKey {
            path: path(),
            key: key.to_owned(),
        })?;
        if found.shape.as_slice().len() != D {
            let reason = format!(
                "{key} has the shape {:?}, and {D} dimensions are right",
                found.shape.as_slice()
            );
            return Err(CheckpointError::Malformed {
                path: path(),
                reason,
            });
        }
        let unreadable = |e: PackError| CheckpointError::Read {
            path: path(),
            source: io::Error::other(e.to_string()),
        };
        let data = TensorData::from_bytes(
            found.to_bytes().map_err(unreadable)?,
            found.shape.clone(),
            found.dtype,
        );
        Ok(Tensor::from_data(data.convert::<f32>(), device))
    }

    pub(crate) fn into_tensors(self) -> Vec<Packed> {
        self.tensors
    }

    pub(crate) fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Packed> {
        self.tensors.iter_mut()
    }

    /// Those whose names begin so, by the rest of the name.
    pub(crate) fn under(mut self, prefix: &str) -> Self {
        self.tensors.retain_mut(|tensor| {
            let rest = tensor.name.strip_prefix(prefix).map(str::to_owned);
            rest.is_some_and(|rest| {
                tensor.name = rest;
                true
            })
        });
        self
    }

    /// Those whose names begin with none of these.
    pub(crate) fn without(mut self, prefixes: &[&str]) -> Self {
        self.tensors.retain(|tensor| {
            !prefixes
                .iter()
                .any(|prefix| tensor.name.starts_with(prefix))
        });
        self
    }

    /// With other names.
    pub(crate) fn with_keys(mut self, name: impl Fn(&str) -> String) -> Self {
        self.tensors
            .iter_mut()
            .for_each(|tensor| tensor.name = name(&tensor.name));
        self
    }

    /// The matrix `name` with zeros behind its columns, until it has `columns` of them.
    pub(crate) fn with_zero_columns(mut self, name: &str, columns: usize) -> Self {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.name == name) {
            let &[rows, before] = tensor.shape.as_slice() else {
                continue;
            };
            if before >= columns {
                continue;
            }
            let (size, source) = (tensor.dtype.size(), tensor.clone());
            *tensor = Packed::deferred(
                name.to_owned(),
                tensor.dtype,
                vec![rows, columns],
                None,
                size * rows * columns,
                move || {
                    let bytes = source.to_bytes()?;
                    let mut padded = Vec::with_capacity(size * rows * columns);
                    for row in bytes.chunks_exact(size * before) {
                        padded.extend_from_slice(row);
                        padded.resize(padded.len() + size * (columns - before), 0);
                    }
                    Ok(Bytes::from_bytes_vec(padded))
                },
            );
        }
        self
    }

    /// The matrix `name` under another name, its rows as columns.
    pub(crate) fn with_transposed(mut self, name: &str, new: &str) -> Self {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.name == name) {
            let &[rows, columns] = tensor.shape.as_slice() else {
                continue;
            };
            let (size, count, source) = (tensor.dtype.size(), tensor.byte_len(), tensor.clone());
            *tensor = Packed::deferred(
                new.to_owned(),
                tensor.dtype,
                vec![columns, rows],
                None,
                count,
                move || {
                    let bytes = source.to_bytes()?;
                    let places = (0..columns).flat_map(|column| {
                        (0..rows).map(move |row| size * (row * columns + column))
                    });
                    Ok(Bytes::from_bytes_vec(
                        places
                            .flat_map(|at| bytes[at..at + size].to_vec())
                            .collect(),
                    ))
                },
            );
        }
        self
    }

    /// Tensors whose names contain `joined` hold three others one below the other, which get these parts of names instead.
    pub(crate) fn with_thirds(mut self, joined: &str, parts: [&str; 3]) -> Self {
        // What does not divide stays, and belongs to no part.
        let is_whole = |tensor: &Packed| {
            tensor.name.contains(joined)
                && tensor
                    .shape
                    .first()
                    .is_some_and(|rows| rows.is_multiple_of(3))
        };
        let (whole, mut tensors): (Vec<_>, Vec<_>) = self.tensors.drain(..).partition(is_whole);
        for tensor in whole {
            tensors.extend((0..3).map(|third| {
                let mut shape = tensor.shape.to_vec();
                shape[0] /= 3;
                let (name, count, source) = (
                    tensor.name.replace(joined, parts[third]),
                    tensor.byte_len() / 3,
                    tensor.clone(),
                );
                Packed::deferred(name, tensor.dtype, shape, None, count, move || {
                    let bytes = source.to_bytes()?;
                    Ok(Bytes::from_bytes_vec(
                        bytes[third * count..(third + 1) * count].to_vec(),
                    ))
                })
            }));
        }
        Self { tensors, ..self }
    }

    /// Tensors that have shapes and no numbers.
    #[cfg(test)]
    pub(crate) fn of_shapes(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Self {
        let none = || Err(PackError::IoError("there are no numbers".into()));
        let tensor = |(key, shape): (String, Vec<usize>)| {
            let count = 4 * shape.iter().product::<usize>();
            Packed::deferred(key, DType::F32, shape, None, count, none)
        };
        Self {
            path: "<shapes>".into(),
            metadata: HashMap::new(),
            tensors: shapes.into_iter().map(tensor).collect(),
        }
    }

    /// With other names.
    pub(super) fn renamed(self, renamings: &[Renaming]) -> Vec<Packed> {
        let remapper = KeyRemapper::from_patterns(renamings.to_vec())
            .expect("our patterns are regular expressions");
        remapper.remap(self.tensors).0
    }
}

/// The header of a file and the file's length.
fn read_header(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut size = [0; HEADER_LENGTH as usize];
    let mut header = Vec::new();
    // A file that ends here already has an empty header, which is a damaged one.
    if file.read_exact(&mut size).is_ok() {
        file.take(u64::from_le_bytes(size).min(LONGEST_HEADER))
            .read_to_end(&mut header)?;
    }
    Ok((header, length))
}

fn read_part(path: &Path, at: u64, count: usize) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; count];
    file.read_exact(&mut bytes)?;
    Ok(Bytes::from_bytes_vec(bytes))
}

fn no_safetensors(path: &Path, reason: &str) -> CheckpointError {
    CheckpointError::Malformed {
        path: path.to_owned(),
        reason: format!("no safetensors file: {reason}"),
    }
}

/// The numbers of a tensor, of which there have to be as many as its shape says.
fn dtype_of(path: &Path, key: &str, info: &TensorInfo) -> Result<DType, CheckpointError> {
    let malformed = |reason: String| CheckpointError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let dtype = match info.dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        other => {
            return Err(malformed(format!(
                "{key} has numbers of type {other:?}; f32, f16 and bf16 are read"
            )));
        }
    };
    let (from, to) = info.data_offsets;
    let elements = info
        .shape
        .iter()
        .try_fold(1usize, |product, size| product.checked_mul(*size));
    match elements.and_then(|elements| elements.checked_mul(dtype.size())) {
        Some(bytes) if from.checked_add(bytes) == Some(to) => Ok(dtype),
        _ => Err(malformed(format!(
            "{key} of shape {:?} has {} bytes",
            info.shape,
            to.saturating_sub(from)
        ))),
    }
}
