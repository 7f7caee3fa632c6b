//! Named state to the bytes of a safetensors file, and back.

use dreamfuse_core::StateVisitor;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use std::collections::HashMap;

const INSTRUCTION_SET: &str = "instruction_set";

/// Collects what it is shown.
#[derive(Default)]
pub(super) struct Saver(Vec<(String, Dtype, Vec<u8>)>);

impl Saver {
    pub(super) fn bytes(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.push((name.to_owned(), Dtype::U8, bytes));
    }

    /// What another has collected too.
    pub(super) fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// The file.
    pub(super) fn finish(self, instruction_set: String) -> Result<Vec<u8>, String> {
        let views = self.0.iter().map(|(name, dtype, bytes)| {
            let count = 8 * bytes.len() / dtype.bitsize();
            Ok((name, TensorView::new(*dtype, vec![count], bytes)?))
        });
        let views: Result<Vec<_>, safetensors::SafeTensorError> = views.collect();
        // One entry only: they are written in an order that differs from run to run.
        let metadata = HashMap::from([(INSTRUCTION_SET.to_owned(), instruction_set)]);
        let file = views.and_then(|views| serialize(views, Some(metadata)));
        file.map_err(|e| e.to_string())
    }
}

impl StateVisitor for Saver {
    fn floats(&mut self, name: &str, values: &mut Vec<f32>) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.0.push((name.to_owned(), Dtype::F32, bytes.collect()));
    }

    fn flags(&mut self, name: &str, values: &mut Vec<bool>) {
        self.bytes(name, values.iter().map(|flag| u8::from(*flag)).collect());
    }

    fn counter(&mut self, name: &str, value: &mut u64) {
        let bytes = value.to_le_bytes().to_vec();
        self.0.push((name.to_owned(), Dtype::U64, bytes));
    }
}

/// Replaces what it is shown, and remembers the first thing that does not fit.
pub(super) struct Loader<'a> {
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
    error: Option<String>,
}

impl<'a> Loader<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, String> {
        let text = |e: safetensors::SafeTensorError| e.to_string();
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(text)?;
        Ok(Self {
            tensors: SafeTensors::deserialize(bytes).map_err(text)?,
            metadata: header.metadata().clone().unwrap_or_default(),
            error: None,
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    pub(super) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.tensors.tensor(name).ok()?.data().to_vec())
    }

    /// That of the processor which computed the state.
    pub(super) fn instruction_set(&self) -> String {
        self.metadata
            .get(INSTRUCTION_SET)
            .cloned()
            .unwrap_or_default()
    }

    /// What did not fit, if anything.
    pub(super) fn finish(self) -> Result<(), String> {
        self.error.map_or(Ok(()), Err)
    }

    /// The bytes of a tensor of so many values of `size` bytes.
    fn of_size(&mut self, name: &str, count: usize, size: usize) -> Option<Vec<u8>> {
        let error = match self.tensors.tensor(name) {
            Err(error) => error.to_string(),
            Ok(tensor) if tensor.data().len() == count * size => {
                return Some(tensor.data().to_vec());
            }
            Ok(_) => format!("{name} does not fit the run's config.toml"),
        };
        self.error.get_or_insert(error);
        None
    }
}

impl StateVisitor for Loader<'_> {
    fn floats(&mut self, name: &str, values: &mut Vec<f32>) {
        if let Some(bytes) = self.of_size(name, values.len(), 4) {
            let (chunks, _) = bytes.as_chunks::<4>();
            *values = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
        }
    }

    fn flags(&mut self, name: &str, values: &mut Vec<bool>) {
        if let Some(bytes) = self.of_size(name, values.len(), 1) {
            *values = bytes.into_iter().map(|byte| byte != 0).collect();
        }
    }

    fn counter(&mut self, name: &str, value: &mut u64) {
        let bytes = self.of_size(name, 1, 8).and_then(|b| b.try_into().ok());
        if let Some(bytes) = bytes {
            *value = u64::from_le_bytes(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_what_does_not_fit_is_named() {
        let mut saver = Saver::default();
        saver.floats("guidance/a", &mut vec![1.5, -2.0]);
        saver.flags("on", &mut vec![true, false, true]);
        saver.counter("step", &mut 7);
        let file = saver.finish("set".into()).unwrap();
        let mut loader = Loader::of(&file).unwrap();
        let (mut floats, mut flags, mut step) = (vec![0.0; 2], vec![false; 3], 0);
        loader.floats("guidance/a", &mut floats);
        loader.flags("on", &mut flags);
        loader.counter("step", &mut step);
        assert_eq!(
            (floats, flags, step),
            (vec![1.5, -2.0], vec![true, false, true], 7)
        );
        assert_eq!(loader.instruction_set(), "set");
        loader.finish().unwrap();
        for (name, count) in [("guidance/a", 3), ("missing", 2)] {
            let mut loader = Loader::of(&file).unwrap();
            loader.floats(name, &mut vec![0.0; count]);
            assert!(loader.finish().unwrap_err().contains(name));
        }
    }
}
