//! All that an exact resume needs, in one checked file.

use crate::EngineError;
use crate::prior_source::PriorSource;
use crate::run::Run;
use burn::tensor::{Tensor, TensorData};
use dreamfuse_core::files::{FileError, read_checked, write_checked};
use dreamfuse_kernels::cpu::instruction_set;
use dreamfuse_kernels::field::FEATURES;
use dreamfuse_kernels::march::Occupancy;
use dreamfuse_scene::SceneConfig;
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
/// The prior's fingerprint; not in checkpoints of version 0.1.
const PRIOR: &str = "prior";
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
    if let Some(prior) = &run.prior {
        let view = TensorView::new(Dtype::U8, vec![prior.len()], prior).map_err(bad)?;
        views.push((PRIOR, view));
    }
    // One entry only: they are written in an order that differs from run to run.
    let metadata = HashMap::from([(INSTRUCTION_SET.to_owned(), instruction_set())]);
    Ok(write_checked(
        path,
        &serialize(views, Some(metadata)).map_err(bad)?,
    )?)
}

/// What a checkpoint holds.
pub(crate) struct State {
    pub step: u64,
    pub attempt: u64,
    /// Of the table and of the network: values and both moments.
    pub parameters: [[Vec<f32>; 3]; 2],
    pub densities: Vec<f32>,
    pub occupied: Vec<bool>,
    instruction_set: String,
    prior: Option<[u8; 32]>,
}

impl State {
    /// Reads what [`save`] wrote, for a scene of this configuration.
    pub(crate) fn read(path: &Path, config: &SceneConfig) -> Result<Self, EngineError> {
        let bad = |reason: String| EngineError::BadCheckpoint {
            path: path.to_owned(),
            reason,
        };
        let bytes = read_checked(path).map_err(|error| match error {
            FileError::Damaged { reason, .. } => {
                bad(format!("the checkpoint is damaged: {reason}"))
            }
            other => other.into(),
        })?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let raw = |name: &str| {
            let tensor = tensors.tensor(name).map_err(|e| bad(e.to_string()))?;
            Ok::<_, EngineError>(tensor.data().to_vec())
        };
        let misfit = |name: &str| bad(format!("{name} does not fit the run's config.toml"));
        let floats = |name: &str, length: usize| {
            let values = read_floats(&raw(name)?);
            if values.len() == length {
                Ok(values)
            } else {
                Err(misfit(name))
            }
        };
        let counter = |name: &str| {
            let bytes = raw(name)?.try_into();
            let bytes = bytes.map_err(|_| bad(format!("{name} is not a number")))?;
            Ok::<_, EngineError>(u64::from_le_bytes(bytes))
        };
        let spec = config.spec();
        let (table, mlp) = (spec.table_points() * FEATURES, spec.mlp_parameters());
        let [t0, t1, t2, m0, m1, m2, densities] = LISTS;
        let cells = config.occupancy_cells.pow(3);
        let occupied: Vec<bool> = raw(OCCUPIED)?.into_iter().map(|byte| byte != 0).collect();
        if occupied.len() != cells {
            return Err(misfit(OCCUPIED));
        }
        let [step, attempt] = COUNTERS;
        Ok(Self {
            step: counter(step)?,
            attempt: counter(attempt)?,
            parameters: [
                [floats(t0, table)?, floats(t1, table)?, floats(t2, table)?],
                [floats(m0, mlp)?, floats(m1, mlp)?, floats(m2, mlp)?],
            ],
            densities: floats(densities, cells)?,
            occupied,
            prior: raw(PRIOR).ok().and_then(|bytes| bytes.try_into().ok()),
            instruction_set: metadata.get(INSTRUCTION_SET).cloned().unwrap_or_default(),
        })
    }

    /// Says where the same bytes are no longer promised.
    fn warnings(&self, run: &Run) -> Result<Vec<String>, EngineError> {
        let (before, here) = (&self.instruction_set, instruction_set());
        let mut warnings = Vec::new();
        if *before != here {
            warnings.push(format!(
                "the checkpoint was made with {before}; here is {here}: the bytes will differ"
            ));
        }
        if self.prior.is_some() && self.prior != run.prior {
            if run.config.prior != PriorSource::Embedded {
                return Err(EngineError::OtherPrior(run.config.prior.to_string()));
            }
            warnings.push(
                "the built-in prior is not the one that the run began with; the run goes on with it".into(),
            );
        }
        Ok(warnings)
    }
}

fn read_floats(bytes: &[u8]) -> Vec<f32> {
    let float = |c: &[u8]| f32::from_le_bytes([c[0], c[1], c[2], c[3]]);
    bytes.chunks_exact(4).map(float).collect()
}

/// Brings a run to the state that [`save`] wrote; returns warnings where the same bytes are no longer
/// promised.
pub(crate) fn restore(run: &mut Run, path: &Path) -> Result<Vec<String>, EngineError> {
    let state = State::read(path, &run.config.scene)?;
    let warnings = state.warnings(run)?;
    (run.step, run.attempt) = (state.step, state.attempt);
    for (parameters, lists) in run.optimizer.parameters.iter_mut().zip(state.parameters) {
        let targets = [
            &mut parameters.values,
            &mut parameters.first,
            &mut parameters.second,
        ];
        for (target, values) in targets.into_iter().zip(lists) {
            let data = TensorData::new(values, target.dims());
            *target = Tensor::from_data(data, &target.device());
        }
    }
    run.occupancy.densities = state.densities;
    let cells = run.config.scene.occupancy_cells;
    run.occupancy.occupancy = Occupancy::new(cells, |i| state.occupied[i]);
    run.refresh_field();
    Ok(warnings)
}
