//! Distillation of a frozen prior: (picture, prior, prompt) → gradient of the picture. Nothing here
//! knows the scene.

mod prompts;
mod sds;
mod time;

pub use prompts::ViewPrompts;
pub use sds::{Ask, score_distillation};
pub use time::TimeSchedule;
