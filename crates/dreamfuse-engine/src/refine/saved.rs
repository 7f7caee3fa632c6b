//! A refined mesh in a file of the run's folder: exports start from it, without the prior.

use crate::EngineError;
use crate::event::Textured;
use crate::export::{Agreement, Exported};
use dreamfuse_core::Image;
use dreamfuse_core::color::to_byte;
use dreamfuse_core::files::{read_checked, write_checked};
use dreamfuse_mesh::{Mesh, Model, Skin};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// What is not in the tensors.
#[derive(Serialize, Deserialize)]
struct Notes {
    iso: f32,
    faces: usize,
    self_intersections: usize,
    textured: Option<Textured>,
    agreement: Agreement,
}

/// The name of the notes in the file's metadata.
const NOTES: &str = "dreamfuse";

impl Exported {
    /// Writes it; colours are rounded to bytes, as images have them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn save(&self, path: &Path) -> Result<(), EngineError> {
        let Model { mesh, skin } = &self.model;
        let mut parts = vec![
            ("positions", Dtype::F32, floats(&mesh.positions)),
            ("normals", Dtype::F32, floats(&mesh.normals)),
            ("colors", Dtype::F32, floats(&mesh.colors)),
            ("triangles", Dtype::U32, indices(&mesh.triangles)),
        ];
        if let Some(skin) = skin {
            let texels = skin.albedo.pixels.as_flattened();
            parts.push(("uvs", Dtype::F32, floats(&skin.uvs)));
            parts.push(("corners", Dtype::U32, indices(&skin.triangles)));
            parts.push((
                "albedo",
                Dtype::U8,
                texels.iter().map(|v| to_byte(*v)).collect(),
            ));
        }
        let bad = |reason: String| damaged(path, reason);
        let views = parts.iter().map(|(name, dtype, bytes)| {
            let count = 8 * bytes.len() / dtype.bitsize();
            Ok((*name, TensorView::new(*dtype, vec![count], bytes)?))
        });
        let views: Result<Vec<_>, safetensors::SafeTensorError> = views.collect();
        let notes = Notes {
            iso: self.iso,
            faces: self.faces,
            self_intersections: self.self_intersections,
            textured: self.textured.clone(),
            agreement: self.agreement,
        };
        let notes = serde_json::to_string(&notes).map_err(|e| bad(e.to_string()))?;
        let metadata = HashMap::from([(NOTES.to_owned(), notes)]);
        let file = views.and_then(|views| serialize(views, Some(metadata)));
        Ok(write_checked(path, &file.map_err(|e| bad(e.to_string()))?)?)
    }

    /// Reads the mesh of a second stage.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn load(path: &Path) -> Result<Self, EngineError> {
        let bytes = read_checked(path)?;
        let read = || -> Option<Self> {
            let (_, header) = SafeTensors::read_metadata(&bytes).ok()?;
            let notes: Notes =
                serde_json::from_str(header.metadata().as_ref()?.get(NOTES)?).ok()?;
            let file = SafeTensors::deserialize(&bytes).ok()?;
            let mesh = Mesh {
                positions: triples(&file, "positions")?,
                normals: triples(&file, "normals")?,
                colors: triples(&file, "colors")?,
                triangles: corners(&file, "triangles")?,
            };
            let skin = match file.tensor("albedo") {
                Err(_) => None,
                Ok(albedo) => Some(skin(&file, albedo.data())?),
            };
            Some(Self {
                model: Model { mesh, skin },
                iso: notes.iso,
                faces: notes.faces,
                self_intersections: notes.self_intersections,
                textured: notes.textured,
                agreement: notes.agreement,
            })
        };
        read().ok_or_else(|| damaged(path, "it is no refined mesh of this version".into()))
    }
}

fn damaged(path: &Path, reason: String) -> EngineError {
    EngineError::BadCheckpoint {
        path: path.to_owned(),
        reason,
    }
}

fn skin(file: &SafeTensors, albedo: &[u8]) -> Option<Skin> {
    let texels = albedo.as_chunks::<3>().0;
    let pixels = texels
        .iter()
        .map(|texel| texel.map(|v| f32::from(v) / 255.0))
        .collect();
    Some(Skin {
        uvs: values(file, "uvs")?.as_chunks::<2>().0.to_vec(),
        triangles: corners(file, "corners")?,
        albedo: Image::square(texels.len().isqrt(), pixels),
        normals: None,
        tangents: None,
        occlusion: None,
    })
}

fn floats<const N: usize>(rows: &[[f32; N]]) -> Vec<u8> {
    rows.iter()
        .flatten()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn indices(rows: &[[u32; 3]]) -> Vec<u8> {
    rows.iter()
        .flatten()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn values(file: &SafeTensors, name: &str) -> Option<Vec<f32>> {
    let tensor = file.tensor(name).ok()?;
    Some(
        tensor
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect(),
    )
}

fn triples(file: &SafeTensors, name: &str) -> Option<Vec<[f32; 3]>> {
    Some(values(file, name)?.as_chunks::<3>().0.to_vec())
}

fn corners(file: &SafeTensors, name: &str) -> Option<Vec<[u32; 3]>> {
    let tensor = file.tensor(name).ok()?;
    let values: Vec<u32> = tensor
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    Some(values.as_chunks::<3>().0.to_vec())
}
