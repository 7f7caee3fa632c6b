//! Distillation of a frozen prior: (image, prior, prompt) → gradient of the image. Nothing here
//! knows the scene.

mod guidance;
mod inspect;
mod interval;
mod prompts;
mod sds;
mod spectrum;
#[cfg(test)]
mod testing;
mod time;

pub use guidance::{GuidanceConfig, Method, NegativeTerm, ViewConditioning};
pub use inspect::{Inspected, Level, inspect};
pub use prompts::ViewPrompts;
pub use sds::{SdsRequest, score_distillation};
pub use spectrum::power_spectrum;
pub use time::TimeSchedule;
