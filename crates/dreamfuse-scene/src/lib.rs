//! The scene: a field of density and colour, its occupancy, and the volume renderer
//! g(θ) → colour, opacity, depth, normal.

mod config;
mod field;
mod occupancy;
mod render;

pub use config::SceneConfig;
pub use field::SceneField;
pub use occupancy::OccupancyGrid;
pub use render::{Rendered, Renderer, ViewSettings};
