//! Binary glTF 2.0: Y up, the front towards +Z, vertex colours linear.

use crate::Mesh;
use dreamfuse_core::color::srgb_to_linear;
use gltf_json as json;
use json::accessor::{ComponentType, GenericComponentType, Type};
use json::buffer::{Target, View};
use json::validation::{Checked, USize64, Validate};
use json::{Index, Root, Value};
use std::collections::BTreeMap;

/// The file's bytes.
///
/// # Errors
/// When the document does not validate, which would be a defect of this function.
pub fn to_glb(mesh: &Mesh) -> Result<Vec<u8>, String> {
    let mut writer = Writer {
        root: Root::default(),
        binary: Vec::new(),
    };
    let buffer = writer.root.push(json::Buffer {
        byte_length: USize64(0),
        uri: None,
        name: None,
        extensions: None,
        extras: Default::default(),
    });
    let (positions, normals) = (turned(&mesh.positions), turned(&mesh.normals));
    let indices = mesh.triangles.iter().flatten();
    let indices: Vec<u8> = indices.flat_map(|v| v.to_le_bytes()).collect();
    let colors = linear_colors(mesh);
    let count = positions.len();
    let vertices = Some(Target::ArrayBuffer);
    let position = writer.accessor(
        buffer,
        floats(&positions),
        vertices,
        (ComponentType::F32, Type::Vec3, count),
        bounds(&positions),
    );
    let normal = writer.accessor(
        buffer,
        floats(&normals),
        vertices,
        (ComponentType::F32, Type::Vec3, count),
        None,
    );
    let color = writer.accessor(
        buffer,
        colors,
        vertices,
        (ComponentType::U16, Type::Vec4, count),
        None,
    );
    let elements = Some(Target::ElementArrayBuffer);
    let index = writer.accessor(
        buffer,
        indices,
        elements,
        (ComponentType::U32, Type::Scalar, 3 * mesh.triangles.len()),
        None,
    );
    use json::mesh::Semantic::{Colors, Normals, Positions};
    let attributes = [(Positions, position), (Normals, normal), (Colors(0), color)];
    writer.scene(
        attributes
            .map(|(semantic, accessor)| (Checked::Valid(semantic), accessor))
            .into(),
        index,
    );
    writer.finish()
}

/// Y up, the front towards +Z.
fn turned(values: &[[f32; 3]]) -> Vec<[f32; 3]> {
    values.iter().map(|[x, y, z]| [*x, *z, -*y]).collect()
}

fn floats(values: &[[f32; 3]]) -> Vec<u8> {
    let values = values.iter().flatten();
    values.flat_map(|v| v.to_le_bytes()).collect()
}

/// Linear RGBA of 16 bits.
fn linear_colors(mesh: &Mesh) -> Vec<u8> {
    let linear = |c: f32| (srgb_to_linear(c.clamp(0.0, 1.0)) * f32::from(u16::MAX)).round() as u16;
    let color = |c: &[f32; 3]| [linear(c[0]), linear(c[1]), linear(c[2]), u16::MAX];
    let values = mesh.colors.iter().flat_map(color);
    values.flat_map(u16::to_le_bytes).collect()
}

/// Minimum and maximum of positions, which their accessor has to state.
fn bounds(values: &[[f32; 3]]) -> Option<[Value; 2]> {
    let fold = |start: f32, f: fn(f32, f32) -> f32| {
        values
            .iter()
            .fold([start; 3], |bound, v| {
                std::array::from_fn(|i| f(bound[i], v[i]))
            })
            .to_vec()
            .into()
    };
    Some([fold(f32::MAX, f32::min), fold(f32::MIN, f32::max)])
}

struct Writer {
    root: Root,
    binary: Vec<u8>,
}

impl Writer {
    /// Appends bytes as a view of their own with one accessor on it.
    fn accessor(
        &mut self,
        buffer: Index<json::Buffer>,
        bytes: Vec<u8>,
        target: Option<Target>,
        (component, kind, count): (ComponentType, Type, usize),
        bounds: Option<[Value; 2]>,
    ) -> Index<json::Accessor> {
        let view = self.root.push(View {
            buffer,
            byte_length: USize64::from(bytes.len()),
            byte_offset: Some(USize64::from(self.binary.len())),
            byte_stride: None,
            name: None,
            target: target.map(Checked::Valid),
            extensions: None,
            extras: Default::default(),
        });
        self.binary.extend(bytes);
        self.binary.resize(self.binary.len().next_multiple_of(4), 0);
        let [min, max] = bounds.map_or([None, None], |bounds| bounds.map(Some));
        self.root.push(json::Accessor {
            buffer_view: Some(view),
            byte_offset: None,
            count: USize64::from(count),
            component_type: Checked::Valid(GenericComponentType(component)),
            type_: Checked::Valid(kind),
            min,
            max,
            name: None,
            normalized: component == ComponentType::U16,
            sparse: None,
            extensions: None,
            extras: Default::default(),
        })
    }

    /// One node with one mesh of a rough, coloured material.
    fn scene(
        &mut self,
        attributes: BTreeMap<Checked<json::mesh::Semantic>, Index<json::Accessor>>,
        index: Index<json::Accessor>,
    ) {
        let material = self.material();
        let primitive = json::mesh::Primitive {
            attributes,
            indices: Some(index),
            material: Some(material),
            mode: Checked::Valid(json::mesh::Mode::Triangles),
            targets: None,
            extensions: None,
            extras: Default::default(),
        };
        let mesh = self.root.push(json::Mesh {
            primitives: vec![primitive],
            name: Some("dreamfuse".into()),
            weights: None,
            extensions: None,
            extras: Default::default(),
        });
        let node = self.root.push(json::Node {
            mesh: Some(mesh),
            name: Some("dreamfuse".into()),
            ..Default::default()
        });
        let scene = self.root.push(json::Scene {
            nodes: vec![node],
            name: None,
            extensions: None,
            extras: Default::default(),
        });
        self.root.scene = Some(scene);
        self.root.asset.generator = Some("dreamfuse".into());
    }

    /// Rough and not metallic.
    fn material(&mut self) -> Index<json::Material> {
        self.root.push(json::Material {
            name: Some("dreamfuse".into()),
            pbr_metallic_roughness: json::material::PbrMetallicRoughness {
                metallic_factor: json::material::StrengthFactor(0.0),
                roughness_factor: json::material::StrengthFactor(0.9),
                ..Default::default()
            },
            ..Default::default()
        })
    }

    /// Header, JSON padded with spaces, binary padded with zeros (glTF 2.0, section 4.4).
    fn finish(mut self) -> Result<Vec<u8>, String> {
        self.root.buffers[0].byte_length = USize64::from(self.binary.len());
        let mut problems = Vec::new();
        self.root
            .validate(&self.root, json::Path::new, &mut |path, error| {
                problems.push(format!("{}: {error}", path()));
            });
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem);
        }
        let mut text = serde_json::to_vec(&self.root).map_err(|e| e.to_string())?;
        text.resize(text.len().next_multiple_of(4), b' ');
        let total = 12 + 8 + text.len() + 8 + self.binary.len();
        let mut out = Vec::with_capacity(total);
        let length = |bytes: usize| {
            u32::try_from(bytes)
                .map(u32::to_le_bytes)
                .map_err(|_| "the mesh is above 4 GiB".to_owned())
        };
        out.extend(b"glTF");
        out.extend(2u32.to_le_bytes());
        out.extend(length(total)?);
        for (kind, chunk) in [(b"JSON", text), (b"BIN\0", self.binary)] {
            out.extend(length(chunk.len())?);
            out.extend(kind);
            out.extend(chunk);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_and_chunks_say_their_lengths_and_the_front_is_plus_z() {
        let mesh = Mesh {
            positions: vec![[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            triangles: vec![[0, 1, 2]],
            normals: vec![[0.0, -1.0, 0.0]; 3],
            colors: vec![[1.0, 0.5, 0.0]; 3],
        };
        let bytes = to_glb(&mesh).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(
            (&bytes[..4], word(4), word(8)),
            (&b"glTF"[..], 2, bytes.len())
        );
        let json_length = word(12);
        let root: serde_json::Value = serde_json::from_slice(&bytes[20..20 + json_length]).unwrap();
        assert_eq!(
            root["accessors"][0]["min"],
            serde_json::json!([0.0, 0.0, 0.0])
        );
        assert_eq!(
            root["accessors"][0]["max"],
            serde_json::json!([1.0, 1.0, 1.0])
        );
        assert_eq!(root["accessors"][2]["normalized"], true);
        let binary = 20 + json_length + 8;
        // The first vertex was in front, at y = −1: z = +1 in glTF.
        assert_eq!(
            f32::from_le_bytes(bytes[binary + 8..binary + 12].try_into().unwrap()),
            1.0
        );
    }
}
