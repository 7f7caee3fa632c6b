//! The tensors of a safetensors file, none of which is read before it is needed.

use super::recognise::recognise;
use super::{CheckpointError, NOT_FINITE, Renaming, read_json, unreadable};
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
    /// Names and dtypes of tensors that no network of ours could read; most files with them do not need them.
    unreadable: BTreeMap<String, Dtype>,
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
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| {
            recognise(path)
                .unwrap_or_else(|| no_safetensors(path, &format!("its header is damaged: {error}")))
        })?;
        let data_at = HEADER_LENGTH + header.len() as u64;
        let whole = data_at.checked_add(metadata.data_len() as u64);
        if whole != Some(length) {
            let whole = whole.map_or("more than there can be".into(), |whole| whole.to_string());
            return Err(no_safetensors(
                path,
                &format!("it has {length} bytes, and its header speaks of {whole}"),
            ));
        }
        let (mut tensors, mut unreadable) = (Vec::new(), BTreeMap::new());
        for (key, info) in metadata.tensors() {
            let Some(dtype) = dtype_of(path, &key, info)? else {
                unreadable.insert(key, info.dtype);
                continue;
            };
            let (from, to) = info.data_offsets;
            let (file, at, count) = (path.to_owned(), data_at + from as u64, to - from);
            let name = key.clone();
            let read = move || {
                let bytes =
                    read_part(&file, at, count).map_err(|e| PackError::IoError(e.to_string()))?;
                check_finite(&file, &name, dtype, &bytes)?;
                Ok(bytes)
            };
            let shape = info.shape.clone();
            tensors.push(Packed::deferred(key, dtype, shape, None, count, read));
        }
        Ok(Self {
            path: path.to_owned(),
            metadata: metadata.metadata().clone().unwrap_or_default(),
            tensors,
            unreadable,
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
        let (mut tensors, mut unreadable) = (Vec::new(), BTreeMap::new());
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
                if let Some(dtype) = shard.unreadable.get(key) {
                    unreadable.insert(key.to_owned(), *dtype);
                    continue;
                }
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
            unreadable,
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
            let dtype = dtype_of(path, &key, &info)?
                .ok_or_else(|| unreadable_dtype(path, &key, info.dtype))?;
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
            unreadable: BTreeMap::new(),
        })
    }

    /// The file that they come from, for errors.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The error for a tensor that is not there: it may be there with a dtype that is not read.
    pub(crate) fn missing(&self, key: &str) -> CheckpointError {
        match self.unreadable.get(key) {
            Some(dtype) => unreadable_dtype(&self.path, key, *dtype),
            None => CheckpointError::MissingKey {
                path: self.path.clone(),
                key: key.to_owned(),
            },
        }
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

    /// The dtype of a tensor, if it is there.
    pub(crate) fn dtype(&self, key: &str) -> Option<DType> {
        let found = self.tensors.iter().find(|tensor| tensor.name == key);
        found.map(|tensor| tensor.dtype)
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
        let found = found.ok_or_else(|| self.missing(key))?;
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
        let unreadable = |e: PackError| unreadable(path(), &e.to_string());
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
        let rest = |(key, dtype): (String, Dtype)| {
            key.strip_prefix(prefix).map(|key| (key.to_owned(), dtype))
        };
        self.unreadable = self.unreadable.into_iter().filter_map(rest).collect();
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

    /// Without the blocks whose number behind `prefix` is `layers` or more.
    pub(crate) fn with_layers(mut self, prefix: &str, layers: usize) -> Self {
        let is_kept = |key: &str| {
            let number = key
                .strip_prefix(prefix)
                .and_then(|rest| rest.split('.').next());
            number
                .and_then(|number| number.parse::<usize>().ok())
                .is_none_or(|number| number < layers)
        };
        self.tensors.retain(|tensor| is_kept(&tensor.name));
        self
    }

    /// With other names.
    pub(crate) fn with_keys(mut self, name: impl Fn(&str) -> String) -> Self {
        self.tensors
            .iter_mut()
            .for_each(|tensor| tensor.name = name(&tensor.name));
        let renamed = |(key, dtype): (String, Dtype)| (name(&key), dtype);
        self.unreadable = self.unreadable.into_iter().map(renamed).collect();
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
            unreadable: BTreeMap::new(),
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

fn unreadable_dtype(path: &Path, key: &str, dtype: Dtype) -> CheckpointError {
    CheckpointError::Malformed {
        path: path.to_owned(),
        reason: format!("{key} has the dtype {dtype:?}; f32, f16 and bf16 are read"),
    }
}

/// A value that is not finite makes black images of everything that comes after it.
fn check_finite(path: &Path, key: &str, dtype: DType, bytes: &[u8]) -> Result<(), PackError> {
    // All bits of the exponent are set in what is not finite.
    let is_finite = match dtype {
        DType::F16 => is_without::<2>(bytes, |b| u64::from(u16::from_le_bytes(b)), 0x7C00),
        DType::BF16 => is_without::<2>(bytes, |b| u64::from(u16::from_le_bytes(b)), 0x7F80),
        DType::F32 => is_without::<4>(bytes, |b| u64::from(u32::from_le_bytes(b)), 0x7F80_0000),
        DType::F64 => is_without::<8>(bytes, u64::from_le_bytes, 0x7FF0_0000_0000_0000),
        _ => true,
    };
    if is_finite {
        return Ok(());
    }
    let [open, close] = NOT_FINITE;
    Err(PackError::ValidationError(format!(
        "{open}{}: {key}{close}",
        path.display()
    )))
}

/// Whether no value has all bits of `exponent`.
fn is_without<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> u64, exponent: u64) -> bool {
    let (values, _) = bytes.as_chunks::<N>();
    // In pieces, each without a branch, so that the compiler can use vectors.
    values.chunks(4096).all(|piece| {
        let is_wrong = |bytes: &[u8; N]| value(*bytes) & exponent == exponent;
        !piece.iter().fold(false, |any, bytes| any | is_wrong(bytes))
    })
}

/// The dtype of a tensor, if it can be read, of which there have to be as many values as its shape says.
fn dtype_of(path: &Path, key: &str, info: &TensorInfo) -> Result<Option<DType>, CheckpointError> {
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
        _ => return Ok(None),
    };
    let (from, to) = info.data_offsets;
    let elements = info
        .shape
        .iter()
        .try_fold(1usize, |product, size| product.checked_mul(*size));
    match elements.and_then(|elements| elements.checked_mul(dtype.size())) {
        Some(bytes) if from.checked_add(bytes) == Some(to) => Ok(Some(dtype)),
        _ => Err(malformed(format!(
            "{key} of shape {:?} has {} bytes",
            info.shape,
            to.saturating_sub(from)
        ))),
    }
}
