//! Diffusion models: denoising networks, autoencoder and text encoders with diffusers' and transformers'
//! names, checkpoints in their layout, and pipelines of them as frozen priors.

pub mod checkpoint;
mod clip_layers;
pub mod clip_text;
pub mod clip_vision;
mod defaults;
pub mod embedded;
mod fingerprint;
mod layers;
mod lora;
mod network;
pub mod pipeline;
mod precision;
mod resize;
pub mod t5;
pub mod text;
pub mod tokenizer;
pub mod unet;
pub mod uvit;
pub mod vae;

pub use checkpoint::{CheckpointError, Weights};
pub use lora::LoraSource;
pub use network::{FrozenNetwork, Network, NetworkConfig};
pub use pipeline::{Additions, Pipeline};
pub use precision::Precision;
pub use tokenizer::Tokenizer;
