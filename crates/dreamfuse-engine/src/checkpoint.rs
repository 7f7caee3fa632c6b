//! All that an exact resume needs, in one checked file of named tensors.

mod visitors;

use crate::EngineError;
use crate::prior_source::PriorSource;
use crate::run::Run;
use burn::tensor::{Tensor, TensorData};
use dreamfuse_core::files::{FileError, read_checked, write_checked};
use dreamfuse_core::{StateVisitor, Stateful};
use dreamfuse_diffusion::Precision;
use dreamfuse_kernels::adam::Parameters;
use dreamfuse_kernels::cpu::{bf16_instructions, instruction_set};
use dreamfuse_kernels::field::FEATURES;
use dreamfuse_kernels::march::Occupancy;
use dreamfuse_scene::{OccupancyGrid, SceneConfig};
use std::path::Path;
use std::sync::Arc;
use visitors::{Loader, Saver};

/// What a checkpoint holds is described by this number: files of later versions are refused. Runs of format 1 drew other
/// random numbers. The first version wrote none, and means 1.
const FORMAT: u64 = 2;
/// Of files that do not say it.
const FIRST_FORMAT: u64 = 1;
/// The prior's fingerprint; not in checkpoints of version 0.1.
const PRIOR: &str = "prior";

/// The state of a run, but for its guidance's.
pub(crate) struct State {
    pub step: u64,
    pub attempt: u64,
    /// Of the table and of the network: values and both moments.
    pub parameters: [[Vec<f32>; 3]; 2],
    pub densities: Vec<f32>,
    pub occupied: Vec<bool>,
}

impl Stateful for State {
    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        for (name, lists) in ["table", "mlp"].iter().zip(&mut self.parameters) {
            let [values, first, second] = lists;
            visitor.floats(name, values);
            visitor.floats(&format!("{name}.first"), first);
            visitor.floats(&format!("{name}.second"), second);
        }
        visitor.floats("occupancy.densities", &mut self.densities);
        visitor.flags("occupancy.occupied", &mut self.occupied);
        visitor.counter("step", &mut self.step);
        visitor.counter("salt", &mut self.attempt);
    }
}

impl State {
    /// As large as that of a scene of this configuration, and empty.
    fn sized(config: &SceneConfig) -> Self {
        let spec = config.spec();
        let (table, mlp) = (spec.table_points() * FEATURES, spec.mlp_parameters());
        let cells = config.occupancy_cells.pow(3);
        Self {
            step: 0,
            attempt: 0,
            parameters: [table, mlp].map(|count| std::array::from_fn(|_| vec![0.0; count])),
            densities: vec![0.0; cells],
            occupied: vec![false; cells],
        }
    }

    /// Reads what [`Frozen::save`] wrote, for a scene of this configuration.
    pub(crate) fn read(path: &Path, config: &SceneConfig) -> Result<Self, EngineError> {
        read(path, config, &mut |_| {}).map(|(state, _)| state)
    }
}

/// What a checkpoint says beside the state.
struct Notes {
    format: u64,
    instruction_set: String,
    prior: Option<[u8; 32]>,
}

impl Notes {
    /// Says where the same bytes are no longer promised.
    fn warnings(&self, run: &Run) -> Result<Vec<String>, EngineError> {
        let (before, here) = (&self.instruction_set, instructions(run.config.precision));
        let mut warnings = Vec::new();
        if self.format < FORMAT {
            warnings.push(
                "the checkpoint is of an earlier dreamfuse: the run goes on with other random numbers than it would have \
                 then"
                    .into(),
            );
        }
        if *before != here {
            warnings.push(format!(
                "the checkpoint was made with {before}; here is {here}: the bytes will differ"
            ));
        }
        if self.prior.is_some() && self.prior != run.prior {
            if run.config.prior != PriorSource::Embedded || run.is_prior_given {
                return Err(EngineError::OtherPrior(run.config.prior.to_string()));
            }
            warnings.push(
                "the built-in prior is not the one that the run began with; the run goes on with it"
                    .into(),
            );
        }
        Ok(warnings)
    }
}

/// All of a run's state at one step, as cheap handles to its tensors.
pub(crate) struct Frozen {
    step: u64,
    attempt: u64,
    /// Of the table and of the network: values and both moments.
    parameters: [[Tensor<1>; 3]; 2],
    occupancy: Arc<OccupancyGrid>,
    guidance: Saver,
    prior: Option<[u8; 32]>,
    precision: Precision,
}

/// What decides the bytes of a run: products of bf16 have instructions of their own.
fn instructions(precision: Precision) -> String {
    match bf16_instructions() {
        Some(products) if precision == Precision::Bf16 => {
            format!("{}, {products}", instruction_set())
        }
        _ => instruction_set(),
    }
}

impl Frozen {
    /// Of a run.
    pub(crate) fn of(run: &mut Run) -> Self {
        let mut guidance = Saver::default();
        run.guidance.visit(&mut guidance);
        let handles = |of: &Parameters| [&of.values, &of.first, &of.second].map(Clone::clone);
        Self {
            step: run.step,
            attempt: run.attempt,
            parameters: run.optimizer.parameters.each_ref().map(handles),
            occupancy: run.occupancy.clone(),
            guidance,
            prior: run.prior,
            precision: run.config.precision,
        }
    }

    /// Steps done.
    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    /// Its values, read from the device.
    fn state(&self) -> State {
        let list = |tensor: &Tensor<1>| {
            let data = tensor.to_data();
            data.try_to_vec::<f32>().expect("parameters are f32")
        };
        State {
            step: self.step,
            attempt: self.attempt,
            parameters: self.parameters.each_ref().map(|of| of.each_ref().map(list)),
            densities: self.occupancy.densities.clone(),
            occupied: self.occupancy.occupancy.iter().collect(),
        }
    }

    /// Writes it.
    pub(crate) fn save(&self, path: &Path) -> Result<(), EngineError> {
        let mut saver = Saver::default();
        saver.counter("format", &mut { FORMAT });
        self.state().visit(&mut saver);
        saver.append(&self.guidance);
        if let Some(prior) = &self.prior {
            saver.bytes(PRIOR, prior.to_vec());
        }
        let bytes = saver
            .finish(instructions(self.precision))
            .map_err(|reason| {
                let path = path.to_owned();
                EngineError::BadCheckpoint { path, reason }
            })?;
        Ok(write_checked(path, &bytes)?)
    }
}

/// The state and the notes of a checkpoint; `also` loads what else there is.
fn read(
    path: &Path,
    config: &SceneConfig,
    also: &mut dyn FnMut(&mut Loader),
) -> Result<(State, Notes), EngineError> {
    let bad = |reason: String| EngineError::BadCheckpoint {
        path: path.to_owned(),
        reason,
    };
    let bytes = read_checked(path).map_err(|error| match error {
        FileError::Damaged { reason, .. } => bad(format!("the checkpoint is damaged: {reason}")),
        other => other.into(),
    })?;
    let mut loader = Loader::of(&bytes).map_err(bad)?;
    let mut format = FIRST_FORMAT;
    if loader.has("format") {
        loader.counter("format", &mut format);
    }
    if format > FORMAT {
        return Err(bad(format!(
            "it has the format {format} of a later dreamfuse; this one reads {FORMAT}"
        )));
    }
    let mut state = State::sized(config);
    state.visit(&mut loader);
    also(&mut loader);
    let notes = Notes {
        format,
        instruction_set: loader.instruction_set(),
        prior: loader.bytes(PRIOR).and_then(|bytes| bytes.try_into().ok()),
    };
    loader.finish().map_err(bad)?;
    Ok((state, notes))
}

/// Brings a run to the state that [`Frozen::save`] wrote; returns warnings where the same bytes are no longer
/// promised.
pub(crate) fn restore(run: &mut Run, path: &Path) -> Result<Vec<String>, EngineError> {
    let guidance = &mut run.guidance;
    let (state, notes) = read(path, &run.config.scene, &mut |loader| {
        guidance.visit(loader);
    })?;
    let warnings = notes.warnings(run)?;
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
    let cells = run.config.scene.occupancy_cells;
    run.occupancy = Arc::new(OccupancyGrid {
        densities: state.densities,
        occupancy: Occupancy::new(cells, |i| state.occupied[i]),
    });
    run.refresh_field();
    run.stand_by();
    Ok(warnings)
}
