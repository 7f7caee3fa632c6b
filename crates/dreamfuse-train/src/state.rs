//! A training run's state in one checked file: weights, moments, averages and the step.

use crate::optimizer::Slot;
use crate::trainer::TrainError;
use dreamfuse_core::files::{read_checked, write_checked};
use dreamfuse_kernels::adam::Moments;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use std::collections::HashMap;
use std::path::Path;

/// What is saved.
pub(crate) struct State {
    /// The configuration as TOML.
    pub config: String,
    pub step: u64,
    pub parameters: Vec<Vec<f32>>,
    pub slots: Vec<Slot>,
}

const STEP: &str = "step";

/// The four lists of a parameter.
const KINDS: [&str; 4] = ["value", "first", "second", "average"];

pub(crate) fn save(path: &Path, state: &State) -> Result<(), TrainError> {
    let mut lists: Vec<(String, Vec<u8>)> = Vec::new();
    for (i, (values, slot)) in state.parameters.iter().zip(&state.slots).enumerate() {
        let parts = [
            values,
            &slot.moments.first,
            &slot.moments.second,
            &slot.average,
        ];
        for (kind, list) in KINDS.iter().zip(parts) {
            lists.push((
                format!("{i:05}.{kind}"),
                list.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ));
        }
    }
    let view = |(name, bytes): &'_ (String, Vec<u8>)| (name.clone(), bytes.len() / 4);
    let step = state.step.to_le_bytes();
    let mut views: Vec<_> = lists
        .iter()
        .map(|entry| {
            let (name, count) = view(entry);
            TensorView::new(Dtype::F32, vec![count], &entry.1).map(|view| (name, view))
        })
        .collect::<Result<_, _>>()
        .map_err(|e| TrainError::State(e.to_string()))?;
    let number = TensorView::new(Dtype::U64, vec![1], &step)
        .map_err(|e| TrainError::State(e.to_string()))?;
    views.push((STEP.to_owned(), number));
    // One entry only: they are written in an order that differs from run to run.
    let metadata = HashMap::from([("config".to_owned(), state.config.clone())]);
    let bytes = serialize(views, Some(metadata)).map_err(|e| TrainError::State(e.to_string()))?;
    Ok(write_checked(path, &bytes)?)
}

pub(crate) fn load(path: &Path) -> Result<State, TrainError> {
    let bytes = read_checked(path)?;
    let bad = |reason: String| TrainError::State(format!("{}: {reason}", path.display()));
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
    let config = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get("config"));
    let config = config
        .cloned()
        .ok_or_else(|| bad("it has no config".into()))?;
    let step = tensors
        .tensor(STEP)
        .map_err(|e| bad(e.to_string()))?
        .data()
        .try_into();
    let step = u64::from_le_bytes(step.map_err(|_| bad("its step is no number".into()))?);
    let mut state = State {
        config,
        step,
        parameters: Vec::new(),
        slots: Vec::new(),
    };
    for i in 0..tensors.len() / KINDS.len() {
        let list = |kind: &str| -> Result<Vec<f32>, TrainError> {
            let tensor = tensors
                .tensor(&format!("{i:05}.{kind}"))
                .map_err(|e| bad(e.to_string()))?;
            let number =
                |chunk: &[u8]| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
            Ok(tensor.data().chunks_exact(4).map(number).collect())
        };
        let [value, first, second, average] = KINDS;
        state.parameters.push(list(value)?);
        let moments = Moments {
            first: list(first)?,
            second: list(second)?,
        };
        state.slots.push(Slot {
            moments,
            average: list(average)?,
        });
    }
    Ok(state)
}
