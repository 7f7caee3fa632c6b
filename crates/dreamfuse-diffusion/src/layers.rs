//! The layers that U-Net, autoencoder and text encoder share.

mod convolution;
mod nonlinearity;
mod norm;
mod pointwise;
mod project;
mod resnet;
mod scale;

pub(crate) use convolution::{Convolution, Resampler};
pub use nonlinearity::Nonlinearity;
pub(crate) use norm::{Norms, normalize};
pub(crate) use pointwise::PointwiseShapes;
pub(crate) use project::{linear, normalize_tokens, project};
pub use resnet::TimeScaleShift;
pub(crate) use resnet::{ResnetBlock, TimeInput};
pub(crate) use scale::{ChangeOfSize, upsample_nearest2};
