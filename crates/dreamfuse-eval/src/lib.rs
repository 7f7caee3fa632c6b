//! Evaluation against ground truth: the toybox has one for every sentence of its grammar.

mod ground_truth;
mod toybox;

pub use ground_truth::GroundTruthPrior;
pub use toybox::{EvalError, Score, compare, mean, table};
