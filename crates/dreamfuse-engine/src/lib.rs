//! One run: from a prompt to a mesh. The engine owns the loop and emits events; the command line, the
//! log files and the pages of others only listen.

mod checkpoint;
mod config;
mod device;
mod digest;
mod draw;
mod event;
mod export;
mod fit;
mod folder;
mod guard;
mod health;
mod optimizer;
mod places;
mod plan;
mod preset;
mod prior_source;
mod reference;
mod refine;
mod regularizers;
mod run;
mod selftest;
mod session;
mod shape;
mod share;
mod snapshot;
mod standby;
mod usage;

pub use config::RunConfig;
pub use device::{DEVICES, device, gpus};
pub use event::{Event, Losses, Report, Textured};
pub use export::{
    Agreement, ExportOptions, Exported, about, export_mesh, preview_sheet, save_images,
};
pub use fit::fit;
pub use folder::{RunFolder, process_name};
pub use health::{Diagnosis, SceneStats, ViewClassifier};
pub use plan::{Forecast, forecast};
pub use prior_source::{PriorSource, load_prior};
pub use reference::ReferenceConfig;
pub use refine::{RefineConfig, RefineMethod, RefineReport, refine};
pub use regularizers::LossWeights;
pub use run::Run;
pub use selftest::{SelfTest, selftest};
pub use session::{Observer, Outcome, export, optimize};
pub use snapshot::Snapshot;
pub use standby::Standby;
pub use usage::peak_mib;

use dreamfuse_core::files::FileError;
use dreamfuse_diffusion::CheckpointError;
pub use dreamfuse_mesh::MeshError;
use std::path::PathBuf;

impl EngineError {
    /// The prompt, or the negative one, cannot be read by the prior.
    pub fn of_prompt(reason: String, is_negative: bool) -> Self {
        Self::Prompt(if is_negative {
            reason.replacen("the prompt", "the negative prompt", 1)
        } else {
            reason
        })
    }
}

/// A run cannot start or go on; the message is one line that says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{0}")]
    Prompt(String),
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Picture(String),
    #[error("{path}: {reason}")]
    ConfigFile { path: PathBuf, reason: String },
    #[error("{0} is not a run of dreamfuse: it has no config.toml")]
    NoRun(PathBuf),
    #[error("{0} has no checkpoint yet; start the run again with its config.toml")]
    NoCheckpoint(PathBuf),
    #[error(
        "{0} is a file, or a folder that is not empty; choose another folder, or go on with `dreamfuse resume`"
    )]
    FolderTaken(PathBuf),
    #[error("{path}: {reason}")]
    BadCheckpoint { path: PathBuf, reason: String },
    #[error(
        "the gradient of step {0} is not finite; lower table_rate and mlp_rate, then resume or start again"
    )]
    NotFinite(u64),
    #[error(
        "step {0} of the second stage: the prior's images are not finite; the mesh without it is kept; hint: --precision f32"
    )]
    RefineNotFinite(u64),
    #[error(
        "{name} at step {step}, {roll_backs} roll-backs with other random numbers did not help: {hint}",
        name = .diagnosis.name(), hint = .diagnosis.hint()
    )]
    Unhealthy {
        step: u64,
        diagnosis: Diagnosis,
        roll_backs: u64,
    },
    #[error(
        "{0} is not the prior that the run began with: its weights are others; hint: --prior with the first one, or start a new run"
    )]
    OtherPrior(String),
    #[error("{path} is in use by {by}; wait for it, or stop it first")]
    InUse { path: PathBuf, by: String },
    #[error("device {0:?} is not in this binary; it has: {list}", list = DEVICES.join(", "))]
    Device(String),
    #[error(
        "there is no device {0:?} on this machine, or no driver for it; --device cpu always works"
    )]
    NoDevice(String),
    #[error(
        "the device {device} was lost, or its memory is full: {reason}; hint: `dreamfuse resume` goes on from the last checkpoint, `dreamfuse plan --vram GIB` says what fits"
    )]
    DeviceLost { device: String, reason: String },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Prior(#[from] CheckpointError),
    #[error(transparent)]
    Mesh(#[from] MeshError),
}
