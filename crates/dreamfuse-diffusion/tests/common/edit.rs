//! Safetensors files, changed.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Dtype, shape and bytes by name.
pub type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

pub fn read(path: &Path) -> (Tensors, HashMap<String, String>) {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let entry = |(key, view): (String, TensorView)| {
        (
            key,
            (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
        )
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let notes = metadata.metadata().clone().unwrap_or_default();
    (file.tensors().into_iter().map(entry).collect(), notes)
}

pub fn write(path: &Path, tensors: &Tensors, notes: HashMap<String, String>) {
    let views: Vec<(&String, TensorView)> = tensors
        .iter()
        .map(|(key, (dtype, shape, data))| {
            (key, TensorView::new(*dtype, shape.clone(), data).unwrap())
        })
        .collect();
    let notes = (!notes.is_empty()).then_some(notes);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, serialize(views, notes).unwrap()).unwrap();
}

pub fn edit(path: &Path, change: impl FnOnce(&mut Tensors)) {
    let (mut tensors, notes) = read(path);
    change(&mut tensors);
    write(path, &tensors, notes);
}

/// With a note in the header.
pub fn note(path: &Path, name: &str, value: &str) {
    let (tensors, mut notes) = read(path);
    notes.insert(name.into(), value.into());
    write(path, &tensors, notes);
}

pub fn edit_json(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}
