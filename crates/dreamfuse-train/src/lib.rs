//! Training of the embedded prior on the toybox world: Algorithm 1 of Ho et al. 2020, on images
//! that are drawn as they are needed.

pub mod buffers;
mod config;
mod data;
mod denoiser;
mod folder;
mod held_out;
mod optimizer;
mod rows;
mod state;
mod trainer;

pub use config::{TrainConfig, UVitShape};
pub use held_out::{HeldOut, HeldOutReferences};
pub use rows::RowsConfig;
pub use trainer::{Progress, TrainError, Trainer};
