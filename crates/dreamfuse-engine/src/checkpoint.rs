//! All that an exact resume needs, in one checked file.

use crate::EngineError;
use crate::run::Run;
use dreamfuse_core::files::{FileError, read_checked, write_checked};
use dreamfuse_kernels::cpu::instruction_set;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use std::collections::HashMap;
use std::path::Path;

const LISTS: [&str; 7] =
    ["table", "table.first", "table.second", "mlp", "mlp.first", "mlp.second", "occupancy.densities"];
const OCCUPIED: &str = "occupancy.occupied";
const COUNTERS: [&str; 2] = ["step", "salt"];
const INSTRUCTION_SET: &str = "instruction_set";

/// Writes the run's state.
pub(crate) fn save(run: &Run, path: &Path) -> Result<(), EngineError> {
    let (values, moments) = (&run.optimizer.values, &run.optimizer.moments);
    let lists = [
        &values[0],
        &moments[0].first,
        &moments[0].second,
        &values[1],
        &moments[1].first,
        &moments[1].second,
        &run.occupancy.densities,
    ];
    let bytes: Vec<Vec<u8>> = lists.iter().map(|list| list.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let occupied: Vec<u8> = run.occupancy.occupancy.is_occupied.iter().map(|o| u8::from(*o)).collect();
    let bad =
        |e: safetensors::SafeTensorError| EngineError::BadCheckpoint { path: path.to_owned(), reason: e.to_string() };
    let mut views = Vec::new();
    for (name, bytes) in LISTS.iter().zip(&bytes) {
        views.push((*name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).map_err(bad)?));
    }
    views.push((OCCUPIED, TensorView::new(Dtype::U8, vec![occupied.len()], &occupied).map_err(bad)?));
    let counters = [run.step, run.salt].map(u64::to_le_bytes);
    for (name, bytes) in COUNTERS.iter().zip(&counters) {
        views.push((*name, TensorView::new(Dtype::U64, vec![1], bytes).map_err(bad)?));
    }
    // One entry only: they are written in an order that differs from run to run.
    let metadata = HashMap::from([(INSTRUCTION_SET.to_owned(), instruction_set())]);
    Ok(write_checked(path, &serialize(views, Some(metadata)).map_err(bad)?)?)
}

/// Brings a run to the state that [`save`] wrote; returns a warning where the same bytes are no longer
/// promised.
pub(crate) fn restore(run: &mut Run, path: &Path) -> Result<Option<String>, EngineError> {
    let bad = |reason: String| EngineError::BadCheckpoint { path: path.to_owned(), reason };
    let bytes = read_checked(path).map_err(|error| match error {
        FileError::Damaged { reason, .. } => bad(format!("the checkpoint is damaged: {reason}")),
        other => other.into(),
    })?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let raw = |name: &str| tensors.tensor(name).map(|tensor| tensor.data().to_vec()).map_err(|e| bad(e.to_string()));
    let list = |name: &str, length: usize| -> Result<Vec<f32>, EngineError> {
        let bytes = raw(name)?;
        let values: Vec<f32> = bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
        if values.len() == length { Ok(values) } else { Err(bad(format!("{name} does not fit the run's config.toml"))) }
    };
    let lengths = [run.optimizer.values[0].len(), run.optimizer.values[1].len()];
    let mut lists = LISTS.into_iter().enumerate().map(|(i, name)| {
        list(
            name,
            if i < 3 {
                lengths[0]
            } else if i < 6 {
                lengths[1]
            } else {
                run.occupancy.densities.len()
            },
        )
    });
    let mut next = || lists.next().expect("as many as LISTS");
    let table = [next()?, next()?, next()?];
    let mlp = [next()?, next()?, next()?];
    let densities = next()?;
    let occupied: Vec<bool> = raw(OCCUPIED)?.into_iter().map(|byte| byte != 0).collect();
    if occupied.len() != densities.len() {
        return Err(bad(format!("{OCCUPIED} does not fit the run's config.toml")));
    }
    let number = |name: &str| -> Result<u64, EngineError> {
        let bytes = raw(name)?.try_into().map_err(|_| bad(format!("{name} is no number")))?;
        Ok(u64::from_le_bytes(bytes))
    };
    let [step, salt] = COUNTERS;
    (run.step, run.salt) = (number(step)?, number(salt)?);
    for (i, [values, first, second]) in [table, mlp].into_iter().enumerate() {
        run.optimizer.values[i] = values;
        run.optimizer.moments[i] = dreamfuse_kernels::adam::Moments { first, second };
    }
    run.occupancy.densities = densities;
    run.occupancy.occupancy.is_occupied = occupied;
    run.refresh_field();
    let made_with = metadata.get(INSTRUCTION_SET).cloned().unwrap_or_default();
    let is_same = made_with == instruction_set();
    Ok((!is_same).then(|| {
        format!("the checkpoint was made with {made_with}; here is {}: the bytes will differ", instruction_set())
    }))
}
