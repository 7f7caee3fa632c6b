//! The joint between what is optimized and what judges it: the frozen diffusion prior as an
//! interface, its noise schedule, samplers and guidance arithmetic. No network is here.

mod batch;
mod conditioning;
mod encoded;
mod guidance;
mod prior;
pub mod sampler;
pub mod schedule;
mod threshold;

pub use batch::{Batch, Views};
pub use conditioning::{Conditioning, Leaf};
pub use encoded::Encoded;
pub use guidance::{guided_noise, predict_each};
pub use prior::{Prior, PriorSpec};
pub use sampler::{Path, SampleOptions, Sampler, decoded, sample};
pub use schedule::{NoiseSchedule, Prediction, ScheduleConfig};
pub use threshold::Thresholding;
