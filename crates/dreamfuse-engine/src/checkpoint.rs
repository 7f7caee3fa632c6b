//! All that an exact resume needs, in one checked file.

use crate::EngineError;
use crate::run::Run;
use burn::tensor::{Tensor, TensorData};
use dreamfuse_core::files::{FileError, read_checked, write_checked};
use dreamfuse_kernels::cpu::instruction_set;
use dreamfuse_kernels::march::Occupancy;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use std::collections::HashMap;
use std::path::Path;

const LISTS: [&str; 7] = [
    "table",
    "table.first",
    "table.second",
    "mlp",
    "mlp.first",
    "mlp.second",
    "occupancy.densities",
];
const OCCUPIED: &str = "occupancy.occupied";
const COUNTERS: [&str; 2] = ["step", "salt"];
const INSTRUCTION_SET: &str = "instruction_set";

/// Writes the run's state.
pub(crate) fn save(run: &Run, path: &Path) -> Result<(), EngineError> {
    let state = run
        .optimizer
        .parameters
        .iter()
        .flat_map(|of| [&of.values, &of.first, &of.second]);
    let state = state.map(|tensor| {
        tensor
            .to_data()
            .try_to_vec::<f32>()
            .expect("parameters are f32")
    });
    let lists: Vec<Vec<f32>> = state.chain([run.occupancy.densities.clone()]).collect();
    let bytes: Vec<Vec<u8>> = lists
        .iter()
        .map(|list| list.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let occupied: Vec<u8> = run.occupancy.occupancy.iter().map(u8::from).collect();
    let bad = |e: safetensors::SafeTensorError| EngineError::BadCheckpoint {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    let mut views = Vec::new();
    for (name, bytes) in LISTS.iter().zip(&bytes) {
        views.push((
            *name,
            TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).map_err(bad)?,
        ));
    }
    views.push((
        OCCUPIED,
        TensorView::new(Dtype::U8, vec![occupied.len()], &occupied).map_err(bad)?,
    ));
    let counters = [run.step, run.attempt].map(u64::to_le_bytes);
    for (name, bytes) in COUNTERS.iter().zip(&counters) {
        views.push((
            *name,
            TensorView::new(Dtype::U64, vec![1], bytes).map_err(bad)?,
        ));
    }
    // One entry only: they are written in an order that differs from run to run.
    let metadata = HashMap::from([(INSTRUCTION_SET.to_owned(), instruction_set())]);
    Ok(write_checked(
        path,
        &serialize(views, Some(metadata)).map_err(bad)?,
    )?)
}

/// Brings a run to the state that [`save`] wrote; returns a warning where the same bytes are no longer
/// promised.
pub(crate) fn restore(run: &mut Run, path: &Path) -> Result<Option<String>, EngineError> {
    let bad = |reason: String| EngineError::BadCheckpoint {
        path: path.to_owned(),
        reason,
    };
    let bytes = read_checked(path).map_err(|error| match error {
        FileError::Damaged { reason, .. } => bad(format!("the checkpoint is damaged: {reason}")),
        other => other.into(),
    })?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let raw = |name: &str| {
        tensors
            .tensor(name)
            .map(|tensor| tensor.data().to_vec())
            .map_err(|e| bad(e.to_string()))
    };
    let list = |name: &str, length: usize| -> Result<Vec<f32>, EngineError> {
        let bytes = raw(name)?;
        let values: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]]))
            .collect();
        if values.len() == length {
            Ok(values)
        } else {
            Err(bad(format!("{name} does not fit the run's config.toml")))
        }
    };
    let [of_table, of_mlp] = run.optimizer.values().map(|values| values.dims()[0]);
    let lengths = [
        of_table,
        of_table,
        of_table,
        of_mlp,
        of_mlp,
        of_mlp,
        run.occupancy.densities.len(),
    ];
    let lists = LISTS
        .into_iter()
        .zip(lengths)
        .map(|(name, length)| list(name, length));
    let mut lists: Vec<Vec<f32>> = lists.collect::<Result<_, _>>()?;
    let densities = lists.pop().expect("as many as LISTS");
    let occupied = raw(OCCUPIED)?;
    if occupied.len() != densities.len() {
        return Err(bad(format!(
            "{OCCUPIED} does not fit the run's config.toml"
        )));
    }
    let number = |name: &str| -> Result<u64, EngineError> {
        let bytes = raw(name)?
            .try_into()
            .map_err(|_| bad(format!("{name} is no number")))?;
        Ok(u64::from_le_bytes(bytes))
    };
    let [step, attempt] = COUNTERS;
    (run.step, run.attempt) = (number(step)?, number(attempt)?);
    let state = run
        .optimizer
        .parameters
        .iter_mut()
        .flat_map(|of| [&mut of.values, &mut of.first, &mut of.second]);
    for (tensor, values) in state.zip(lists) {
        *tensor = Tensor::from_data(TensorData::new(values, tensor.dims()), &tensor.device());
    }
    run.occupancy.densities = densities;
    run.occupancy.occupancy =
        Occupancy::new(run.config.scene.occupancy_cells, |i| occupied[i] != 0);
    run.refresh_field();
    let made_with = metadata.get(INSTRUCTION_SET).cloned().unwrap_or_default();
    let is_same = made_with == instruction_set();
    Ok((!is_same).then(|| {
        format!(
            "the checkpoint was made with {made_with}; here is {}: the bytes will differ",
            instruction_set()
        )
    }))
}
