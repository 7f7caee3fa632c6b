//! From a field to a mesh that opens right in Blender, and images of it. The field is a callback here.

mod components;
mod draw;
mod glb;
mod grid;
mod iso;
mod ply;
mod smooth;
mod surface;
mod topology;

use std::path::{Path, PathBuf};

pub use components::keep_largest;
pub use draw::{MeshLook, draw, draw_with_opacity};
pub use glb::to_glb;
pub use grid::DensityGrid;
pub use iso::{Silhouette, choose_iso};
pub use ply::to_ply;
pub use smooth::smoothed;
pub use surface::extract;
pub use topology::Topology;

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

/// A mesh cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    #[error("the scene is empty: no density reaches the surface's threshold")]
    Empty,
    #[error("cannot encode the mesh for {path}: {reason}")]
    Encode { path: PathBuf, reason: String },
    #[error("{0:?} is no mesh format; glb and ply are")]
    Format(String),
    #[error(transparent)]
    File(#[from] dreamfuse_core::files::FileError),
}

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// glTF 2.0 in one binary file, Y up.
    Glb,
    /// Stanford PLY, binary, Z up.
    Ply,
}

impl std::str::FromStr for Format {
    type Err = MeshError;

    fn from_str(name: &str) -> Result<Self, MeshError> {
        match name.trim().to_lowercase().as_str() {
            "glb" => Ok(Self::Glb),
            "ply" => Ok(Self::Ply),
            other => Err(MeshError::Format(other.into())),
        }
    }
}

impl Format {
    /// The file name's extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Glb => "glb",
            Self::Ply => "ply",
        }
    }
}

impl Mesh {
    /// Writes the mesh; the file is whole or absent.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, format: Format) -> Result<(), MeshError> {
        let encode = |reason: String| MeshError::Encode {
            path: path.to_owned(),
            reason,
        };
        let bytes = match format {
            Format::Glb => to_glb(self).map_err(encode)?,
            Format::Ply => to_ply(self).map_err(encode)?,
        };
        Ok(dreamfuse_core::files::write_atomically(path, &bytes)?)
    }
}
