//! Distillation of a frozen prior: (picture, prior, prompt) → gradient of the picture. Nothing here
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

pub use guidance::{Against, GuidanceConfig, Method, Texts};
pub use inspect::{Inspected, Level, inspect};
pub use prompts::ViewPrompts;
pub use sds::{Ask, score_distillation};
pub use spectrum::power_spectrum;
pub use time::TimeSchedule;
