//! What every room of dreamfuse has to agree on: cameras, view words, the shading formula, colour
//! spaces, random streams, files that are never half written, and sheets of images.
//!
//! Conventions: right-handed world, Z up, the scene inside `[-1, 1]³`. Azimuth 0 is the front: the
//! camera stands at −Y and looks along +Y; azimuth grows towards +X. Elevation is positive above
//! the ground. Angles are radians here; files, flags and prompts speak degrees.

pub mod background;
mod camera;
pub mod color;
mod cutout;
pub mod files;
mod frame;
pub mod random;
pub mod raster;
mod ray_maps;
mod scheduled;
pub mod shading;
mod state;
mod told;
pub mod view;

pub use background::random_background;
pub use camera::{Camera, CameraRange, Crop, Ray};
pub use cutout::Cutout;
pub use random::{Purpose, stream, view_stream};
pub use raster::Image;
pub use scheduled::Scheduled;
pub use shading::{Light, LightRange, Shading};
pub use state::{StateVisitor, Stateful};
pub use told::Told;
pub use view::ViewWord;

/// Three-dimensional vector of the world, in f32.
pub type Vec3 = nalgebra::Vector3<f32>;
