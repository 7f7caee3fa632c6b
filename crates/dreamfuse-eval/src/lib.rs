//! Evaluation against ground truth: the toybox has one for every sentence of its grammar.

mod toybox;

pub use toybox::{EvalError, Score, compare, mean, table};
