//! The joint between what is optimized and what judges it: the frozen diffusion prior as an
//! interface, its noise schedule, samplers and guidance arithmetic. No network is here.

mod batch;
mod conditioning;
mod encoded;
mod guidance;
mod images;
mod prior;
mod references;
pub mod sampler;
pub mod schedule;
mod threshold;
mod views;

pub use batch::{Batch, Known, Views};
pub use conditioning::{Conditioning, Leaf};
pub use encoded::Encoded;
pub use guidance::{Guided, Predictions, predict_each};
pub use images::{batch_of, images_of};
pub use prior::{Prior, PriorSpec};
pub use references::{ReferenceImages, References, Shown};
pub use sampler::{SampleOptions, Sampler, decoded, sample};
pub use schedule::{NoiseSchedule, Prediction, ScheduleConfig};
pub use threshold::Thresholding;
pub use views::{ViewOptions, cameras_by_error, denoising_errors, read_images, sample_views};
