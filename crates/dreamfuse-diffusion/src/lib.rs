//! Diffusion models: noise schedules, samplers, the U-Net and the text encoder with diffusers' and
//! transformers' names, checkpoints in their layout, and the frozen prior that distillation asks.

pub mod checkpoint;
pub mod clip_text;
mod defaults;
pub mod embedded;
mod layers;
mod lora;
pub mod pipeline;
mod precision;
pub mod prior;
mod resize;
pub mod sampler;
pub mod schedule;
pub mod t5;
pub mod text;
mod threshold;
pub mod tokenizer;
pub mod unet;
pub mod vae;

pub use checkpoint::{CheckpointError, Weights};
pub use lora::LoraSource;
pub use pipeline::{Additions, Pipeline};
pub use precision::Precision;
pub use prior::{FrozenPrior, answers, guided_noise};
pub use sampler::Sampler;
pub use schedule::{NoiseSchedule, Prediction, ScheduleConfig};
pub use tokenizer::Tokenizer;
pub use unet::ReadText;
