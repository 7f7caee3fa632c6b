//! From a field to a mesh that opens right in Blender, and images of it. The field is a callback here.

mod bake;
mod check;
mod components;
mod draw;
mod fit;
mod glb;
mod grid;
mod intersect;
mod iso;
mod model;
mod moved;
mod obj;
mod paint;
mod ply;
mod pores;
mod read;
mod silhouette;
mod simplify;
mod smooth;
mod spread;
mod stl;
mod surface;
#[cfg(test)]
mod testing;
mod texture;
mod threshold;
mod topology;
mod unwrap;

use dreamfuse_core::Vec3;
use std::path::PathBuf;

pub use bake::{Baked, Extras, SurfacePoint, bake};
pub use check::{Checked, Verdict, check};
pub use components::keep_solid;
pub use draw::{MeshLook, draw, draw_with_opacity};
pub use fit::{Target, fit_albedo};
pub use grid::DensityGrid;
pub use intersect::{faulty_vertices, self_intersections};
pub use iso::{Silhouette, choose_iso};
pub use model::{About, Format, Model, Skin};
pub use moved::{moved, with_positions};
pub use paint::{Lack, Painter};
pub use pores::pores;
pub use read::{ReadMesh, read};
pub use simplify::{Simplified, coarsened, grow, simplified};
pub use smooth::smoothed;
pub use spread::Spread;
pub use surface::{extract, extract_layers};
pub use threshold::Threshold;
pub use topology::Topology;
pub use unwrap::{Method, Unwrap, unwrap};

/// A closed, indexed triangle surface. Z up, front towards −Y, counter-clockwise from outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    pub positions: Vec<[f32; 3]>,
    pub triangles: Vec<[u32; 3]>,
    /// Unit, outward; one a position.
    pub normals: Vec<[f32; 3]>,
    /// Display-referred sRGB; one a position.
    pub colors: Vec<[f32; 3]>,
}

impl Mesh {
    /// The corners of a triangle.
    pub fn corners(&self, triangle: &[u32; 3]) -> [Vec3; 3] {
        triangle.map(|corner| Vec3::from(self.positions[corner as usize]))
    }
}

/// A mesh cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    #[error("the scene is empty: no density reaches the surface's threshold")]
    Empty,
    #[error("cannot encode the mesh for {path}: {reason}")]
    Encode { path: PathBuf, reason: String },
    #[error("expected a mesh format, one of glb, ply, obj, stl, got {0:?}")]
    Format(String),
    #[error("{path}: {reason}")]
    Malformed { path: PathBuf, reason: String },
    #[error(transparent)]
    File(#[from] dreamfuse_core::files::FileError),
}
