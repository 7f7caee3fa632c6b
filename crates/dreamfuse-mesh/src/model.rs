//! A mesh with a texture: what is exported and shown.

use crate::bake::Baked;
use crate::{Mesh, MeshError, glb, obj, ply, stl};
use dreamfuse_core::Image;
use dreamfuse_core::files::write_atomically;
use std::path::{Path, PathBuf};

/// A mesh and what is on it.
#[derive(Clone, Debug)]
pub struct Model {
    pub mesh: Mesh,
    /// Where there is none, the vertices' colours are shown.
    pub skin: Option<Skin>,
}

/// A texture with its coordinates.
#[derive(Clone, Debug)]
pub struct Skin {
    /// In `[0, 1]`, v downwards.
    pub uvs: Vec<[f32; 2]>,
    /// Each triangle's corners in `uvs`.
    pub triangles: Vec<[u32; 3]>,
    /// Albedo, sRGB.
    pub albedo: Image,
    /// Directions in tangent space, as glTF has them; if they were asked for.
    pub normals: Option<Image>,
    /// Their frame: one for each of `uvs`.
    pub tangents: Option<Vec<[f32; 4]>>,
    /// Ambient occlusion; if it was asked for.
    pub occlusion: Option<Image>,
}

/// What a file says of its model beside the shape.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Of the object and its mesh, material and texture.
    pub name: String,
    /// Pairs for the file's metadata: prompt, seed, prior, licence.
    pub notes: Vec<(String, String)>,
    /// Longest side in millimetres, of formats that have a unit.
    pub millimetres: f32,
}

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// glTF 2.0 in one binary file, Y up.
    Glb,
    /// Stanford PLY, binary, Z up, with colours at the vertices.
    Ply,
    /// Wavefront OBJ with a material and a PNG beside it, Y up.
    Obj,
    /// Binary STL, Z up, in millimetres.
    Stl,
}

impl Format {
    /// All, in the order in which messages name them.
    pub const ALL: [Self; 4] = [Self::Glb, Self::Ply, Self::Obj, Self::Stl];

    /// The file name's extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Glb => "glb",
            Self::Ply => "ply",
            Self::Obj => "obj",
            Self::Stl => "stl",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = MeshError;

    fn from_str(name: &str) -> Result<Self, MeshError> {
        let name = name.trim().to_lowercase();
        let known = Self::ALL
            .into_iter()
            .find(|format| format.extension() == name);
        known.ok_or(MeshError::Format(name))
    }
}

impl Model {
    /// With vertex colours alone.
    pub fn plain(mesh: Mesh) -> Self {
        Self { mesh, skin: None }
    }

    /// With what was baked.
    pub fn skinned(mesh: Mesh, baked: Baked) -> Self {
        let skin = Skin {
            uvs: baked.unwrap.uvs,
            triangles: baked.unwrap.triangles,
            albedo: baked.albedo,
            normals: baked.normals,
            tangents: baked.tangents,
            occlusion: baked.occlusion,
        };
        Self {
            mesh,
            skin: Some(skin),
        }
    }

    /// Moves it so that its lowest point is on the floor, z = 0.
    pub fn put_on_floor(&mut self) {
        let lowest = self
            .mesh
            .positions
            .iter()
            .map(|p| p[2])
            .fold(f32::MAX, f32::min);
        for position in &mut self.mesh.positions {
            position[2] -= lowest;
        }
    }

    /// Writes it, and for OBJ its material and textures beside it. Each file is whole or absent.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, path: &Path, format: Format, about: &About) -> Result<(), MeshError> {
        let encode = |reason: String| MeshError::Encode {
            path: path.to_owned(),
            reason,
        };
        let bytes = match format {
            Format::Glb => glb::to_glb(self, about).map_err(encode)?,
            Format::Ply => ply::to_ply(&self.mesh, about).map_err(encode)?,
            Format::Stl => stl::to_stl(&self.mesh, about),
            Format::Obj => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                for (extension, bytes) in obj::companions(self, &stem, about) {
                    write_atomically(&beside(path, &extension), &bytes)?;
                }
                obj::to_obj(self, &stem, about)
            }
        };
        Ok(write_atomically(path, &bytes)?)
    }
}

/// `mesh.obj` to `mesh` with another ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(ending);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_taken_as_people_write_them() {
        for (text, format) in [
            ("GLB", Format::Glb),
            (" stl ", Format::Stl),
            ("Obj", Format::Obj),
        ] {
            assert_eq!(text.parse::<Format>().unwrap(), format);
        }
        let error = "fbx".parse::<Format>().unwrap_err().to_string();
        assert!(error.contains("glb, ply, obj, stl"), "{error}");
    }
}
