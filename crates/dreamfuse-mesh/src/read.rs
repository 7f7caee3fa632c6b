//! Meshes of anybody's files: GLB, PLY, OBJ, STL. A damaged file is an error, and takes no more memory than it is large.

mod glb;
mod obj;
mod ply;
mod stl;

use crate::{Format, Mesh, MeshError};
use dreamfuse_core::files;
use std::collections::HashMap;
use std::path::Path;

/// A file's triangles, welded by position.
#[derive(Clone, Debug, Default)]
pub struct ReadMesh {
    /// Positions and triangles alone.
    pub mesh: Mesh,
    /// Texture coordinates and each triangle's corners in them, if the file has them for all triangles.
    pub uvs: Option<Places>,
    /// Width and height of the base colour's image.
    pub texture: Option<[u32; 2]>,
    /// Whether it has colours at vertices.
    pub has_colors: bool,
    /// Whether it names a material.
    pub has_material: bool,
}

/// Texture coordinates, and each triangle's corners in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    pub uvs: Vec<[f32; 2]>,
    pub triangles: Vec<[u32; 3]>,
}

/// What a reader collects: triangles as the file has them.
#[derive(Default)]
struct Soup {
    positions: Vec<[f32; 3]>,
    triangles: Vec<[u32; 3]>,
    places: Places,
    /// Triangles that have texture coordinates.
    placed: usize,
    texture: Option<[u32; 2]>,
    has_colors: bool,
    has_material: bool,
}

/// Reads a file by its name's ending.
///
/// # Errors
/// When it cannot be read, is of no known format, or is damaged; the message says what was expected.
pub fn read(path: &Path) -> Result<ReadMesh, MeshError> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let format: Format = extension.parse()?;
    let bytes = files::read(path)?;
    let soup = match format {
        Format::Glb => glb::read(&bytes),
        Format::Ply => ply::read(&bytes),
        Format::Stl => stl::read(&bytes),
        Format::Obj => obj::read(&bytes, path.parent().unwrap_or(Path::new(""))),
    };
    let welded = soup.and_then(Soup::welded);
    welded.map_err(|reason| MeshError::Malformed {
        path: path.to_owned(),
        reason,
    })
}

impl Soup {
    /// The triangles between positions that are told apart by their values.
    fn welded(self) -> Result<ReadMesh, String> {
        if self.triangles.is_empty() {
            return Err("it has no triangles".into());
        }
        let count = self.positions.len();
        let worst = self.triangles.iter().flatten().max().copied().unwrap_or(0);
        if worst as usize >= count {
            return Err(format!(
                "a triangle has corner {worst} of {count} positions"
            ));
        }
        if self
            .positions
            .iter()
            .flatten()
            .any(|value| !value.is_finite())
        {
            return Err("a position is not finite".into());
        }
        let mut known: HashMap<[u32; 3], u32> = HashMap::new();
        let mut mesh = Mesh::default();
        let mut numbers = Vec::with_capacity(count);
        for position in self.positions {
            // Zero has two signs.
            let key = position.map(|value| (value + 0.0).to_bits());
            let number = *known.entry(key).or_insert_with(|| {
                mesh.positions.push(position);
                mesh.positions.len() as u32 - 1
            });
            numbers.push(number);
        }
        mesh.triangles = self
            .triangles
            .iter()
            .map(|corners| corners.map(|corner| numbers[corner as usize]))
            .collect();
        let is_placed = self.placed == mesh.triangles.len() && !self.places.uvs.is_empty();
        let is_sound = self
            .places
            .uvs
            .iter()
            .flatten()
            .all(|value| value.is_finite());
        Ok(ReadMesh {
            mesh,
            uvs: (is_placed && is_sound).then_some(self.places),
            texture: self.texture,
            has_colors: self.has_colors,
            has_material: self.has_material,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwrap::unwrap;
    use crate::{About, DensityGrid, Extras, Model, Topology, bake, coarsened, extract};
    use std::time::Duration;

    fn model() -> Model {
        let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
        let density = |p: &[f32; 3]| (1.0 - distance(p)).max(0.0);
        let grid = DensityGrid::sample(24, |points| points.iter().map(density).collect());
        let mut mesh = coarsened(&extract(&grid, 0.5).unwrap(), 400);
        mesh.colors = vec![[0.2, 0.4, 0.6]; mesh.positions.len()];
        let unwrap = unwrap(&mesh, 64, Duration::from_secs(20));
        let grey = |points: &[crate::SurfacePoint]| vec![[0.5; 3]; points.len()];
        let baked = bake(&mesh, unwrap, 64, &grey, &Extras::default());
        Model::skinned(mesh, baked)
    }

    fn about() -> About {
        About {
            name: "a ball".into(),
            notes: vec![("prompt".into(), "a ball\nof → wool".into())],
            millimetres: 50.0,
        }
    }

    #[test]
    fn what_is_written_is_read_back_closed_and_as_large_as_it_was() {
        let (folder, model) = (tempfile::tempdir().unwrap(), model());
        let original = Topology::of(&model.mesh);
        for format in Format::ALL {
            let path = folder
                .path()
                .join("ball")
                .with_extension(format.extension());
            model.save(&path, format, &about()).unwrap();
            let read = read(&path).unwrap();
            let topology = Topology::of(&read.mesh);
            assert!(topology.is_closed_manifold(), "{format:?} {topology:?}");
            assert_eq!(read.mesh.triangles.len(), model.mesh.triangles.len());
            let scale = if format == Format::Stl {
                50.0f32.powi(3)
            } else {
                1.0
            };
            let part = topology.volume / original.volume / scale;
            assert!(
                (part - 1.0).abs() < 0.05,
                "{format:?} has {part} of the volume"
            );
            let is_textured = matches!(format, Format::Glb | Format::Obj);
            assert_eq!(read.texture, is_textured.then_some([64, 64]), "{format:?}");
            assert_eq!(read.uvs.is_some(), is_textured);
            assert_eq!(read.has_colors, format == Format::Ply);
        }
    }

    /// A GLB of a document and a binary chunk.
    fn glb(document: &str, binary: &[u8]) -> Vec<u8> {
        let mut document = document.as_bytes().to_vec();
        document.resize(document.len().next_multiple_of(4), b' ');
        let length = |bytes: usize| (bytes as u32).to_le_bytes();
        let total = 12 + 8 + document.len() + 8 + binary.len();
        let header = [&b"glTF"[..], &length(2), &length(total)].concat();
        let first = [&length(document.len())[..], b"JSON", &document].concat();
        let second = [&length(binary.len())[..], b"BIN\0", binary].concat();
        [header, first, second].concat()
    }

    #[test]
    fn a_file_that_repeats_itself_without_end_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.glb");
        let start = std::time::Instant::now();
        // Sixty nodes that are each the next one's parent twice.
        let nodes = (1..60)
            .map(|i| format!("{{\"children\":[{i},{i}]}}"))
            .collect::<Vec<_>>();
        let doubling = format!(
            "{{\"asset\":{{\"version\":\"2.0\"}},\"scenes\":[{{\"nodes\":[0]}}],\"nodes\":[{},{{}}]}}",
            nodes.join(",")
        );
        // A mesh of very many parts that are all the same million triangles.
        let parts = vec!["{\"attributes\":{\"POSITION\":0}}"; 5000].join(",");
        let positions = vec![0u8; 12 * 300_000];
        let same = format!(
            "{{\"asset\":{{\"version\":\"2.0\"}},\"scenes\":[{{\"nodes\":[0]}}],\"nodes\":[{{\"mesh\":0}}],\
             \"meshes\":[{{\"primitives\":[{parts}]}}],\"buffers\":[{{\"byteLength\":{0}}}],\
             \"bufferViews\":[{{\"buffer\":0,\"byteLength\":{0}}}],\
             \"accessors\":[{{\"bufferView\":0,\"componentType\":5126,\"count\":300000,\"type\":\"VEC3\",\
             \"min\":[0,0,0],\"max\":[0,0,0]}}]}}",
            positions.len()
        );
        for (document, binary, expected) in [
            (doubling, &[][..], "expected a tree of nodes"),
            (same, &positions, "do not fit the memory"),
        ] {
            std::fs::write(&path, glb(&document, binary)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let path = folder.path().join("a.obj");
        std::fs::write(
            &path,
            "mtllib /dev/zero\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        )
        .unwrap();
        assert_eq!(read(&path).unwrap().mesh.triangles.len(), 1);
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
    }

    /// Headers that promise more than any memory holds.
    #[test]
    fn absurd_files_get_their_line_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let huge = [&[0; 80][..], &u32::MAX.to_le_bytes()].concat();
        let endless = b"ply\nformat binary_little_endian 1.0\nelement vertex 18446744073709551615\nend_header\n";
        let faces = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n\
            element face 4000000000\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n";
        let glb = [
            &b"glTF"[..],
            &2u32.to_le_bytes(),
            &u32::MAX.to_le_bytes(),
            &u32::MAX.to_le_bytes(),
            b"JSON{}",
        ]
        .concat();
        for (name, bytes, expected) in [
            ("a.stl", &huge[..], "expected 4294967295 triangles"),
            ("a.stl", b"", "no triangles"),
            ("a.ply", endless, "expected"),
            ("a.ply", faces, "expected"),
            ("a.ply", b"plie\n", "PLY"),
            ("a.glb", &glb, "expected"),
            ("a.glb", b"PK\x03\x04", "expected glTF"),
            ("a.obj", b"v 0 0 0\nf 1 2 3\n", ""),
            ("a.obj", b"# nothing\n", "no triangles"),
            ("a.fbx", b"x", "expected a mesh format"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
