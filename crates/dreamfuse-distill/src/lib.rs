//! Distillation of a frozen prior: (image, prior, prompt) → gradient of the image. Nothing here
//! knows the scene.

mod answers;
mod csd;
mod guidance;
mod inspect;
mod ism;
mod prompts;
mod sds;
mod spectrum;
#[cfg(test)]
mod testing;
mod time;

pub use guidance::{
    Guidance, GuidanceConfig, GuidanceRequest, Method, NegativeTerm, ViewConditioning,
    image_gradient,
};
pub use inspect::{Inspected, Level, inspect};
pub use prompts::ViewPrompts;
pub use spectrum::power_spectrum;
pub use time::TimeSchedule;
