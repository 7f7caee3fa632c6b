//! Evaluation against ground truth: the toybox has one for every sentence of its grammar.

mod ablation;
mod bootstrap;
mod chamfer;
mod ground_truth;
mod janus;
mod report;
mod retrieval;
mod silhouette;
mod toybench;
mod views;

pub use ablation::{Study, ablation_table};
pub use bootstrap::{Interval, mean_interval};
pub use chamfer::{chamfer, surface};
pub use ground_truth::GroundTruthPrior;
pub use janus::janus;
pub use report::{Controls, Report, table};
pub use retrieval::{distances, nearest};
pub use silhouette::agreement;
pub use toybench::{Bench, EvalError, Measured, Score, prompts, quick_prompts};
pub use views::{Image, Mode, Subject, VIEWS, cameras};
