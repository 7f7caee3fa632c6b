//! Many runs: a plan of items, one of which a scheduler's task takes; what is saved, counted and told of each. The
//! schedulers (Slurm, Kubernetes, HyperQueue) decide who does what and when. They ask a program for one thing: an index
//! in, work that can be repeated and resumed, an exit code out.

mod attempts;
mod environment;
mod exit;
mod item;
mod kubernetes;
mod plan;
mod prompts;
mod published;
mod report;
mod scratch;
mod slurm;
mod status;
mod supervise;
mod together;
mod work;

pub use environment::task_index;
pub use exit::Exit;
pub use item::Item;
pub use kubernetes::KubernetesJob;
pub use plan::{Added, Plan};
pub use prompts::{Row, read_prompts};
pub use report::write_report;
pub use slurm::SlurmJob;
pub use status::{ItemState, Status, StatusCounts};
pub use supervise::{Supervised, Supervisor};
pub use together::Together;
pub use work::{Begun, Finished, Work};

use dreamfuse_core::files::FileError;
use dreamfuse_engine::EngineError;
use std::path::PathBuf;

/// Many runs cannot be planned, run or looked at; the message is one line that says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// A line of a file, from 1.
    #[error("{path}, line {line}: {reason}")]
    Line {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("{0} holds no prompts")]
    NoPrompts(PathBuf),
    #[error("{0} has no plan.jsonl; hint: dreamfuse batch plan PROMPTS --out {0}")]
    NoPlan(PathBuf),
    #[error("{0} is a link; hint: the folder of runs may be one, the folders in it may not")]
    Link(PathBuf),
    #[error("{0}")]
    Usage(String),
    #[error(
        "the prior {0} is not the one that was planned with: its files are others; hint: plan into a new folder"
    )]
    OtherPrior(String),
    #[error(
        "{attempts} attempts made no step of progress at step {step}; hint: read {log}, then remove it to try again"
    )]
    NoProgress {
        attempts: usize,
        step: u64,
        log: PathBuf,
    },
    #[error("cannot start {program}: {source}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}
