//! The layers that the networks share.

mod convolution;
mod embedding;
mod nonlinearity;
mod norm;
mod pointwise;
mod project;
mod resnet;
mod scale;
mod transformer;

pub(crate) use convolution::{Convolution, Resampler};
pub(crate) use embedding::{TimestepEmbedding, sinusoidal};
pub use nonlinearity::Nonlinearity;
pub(crate) use norm::{Norms, normalize};
pub(crate) use pointwise::PointwiseShapes;
pub(crate) use project::{linear, normalize_tokens, project};
pub use resnet::TimeScaleShift;
pub(crate) use resnet::{ResnetBlock, TimeInput};
pub(crate) use scale::{ChangeOfSize, pixel_shuffle, pixel_unshuffle, upsample_nearest2};
pub(crate) use transformer::{Attention, FeedForward, zeroed};
