//! Binary PLY: Z up, sRGB colours as bytes.

use crate::Mesh;
use crate::model::About;
use dreamfuse_core::color::to_byte;
use ply_rs_bw::ply::{
    Addable, DefaultElement, ElementDef, Encoding, Header, Property, PropertyDef, PropertyType,
    ScalarType,
};
use ply_rs_bw::writer::Writer;

/// The file's bytes. Written to memory, because ply-rs drops what a short write leaves over.
///
/// # Errors
/// When ply-rs refuses an element, which would be a defect of this function.
pub(crate) fn to_ply(mesh: &Mesh, about: &About) -> Result<Vec<u8>, String> {
    let mut header = Header::new();
    header.encoding = Encoding::BinaryLittleEndian;
    header
        .comments
        .push("dreamfuse: Z up, front towards -Y".into());
    for (name, value) in &about.notes {
        // A comment is a line of ASCII.
        let value = value.replace(|c: char| !c.is_ascii() || c.is_ascii_control(), "?");
        header.comments.push(format!("{name}: {value}"));
    }
    let (vertex, face) = (
        vertex_definition(mesh.positions.len()),
        face_definition(mesh.triangles.len()),
    );
    header.elements.add(vertex.clone());
    header.elements.add(face);
    // ply-rs writes the element count as the length of every list: a definition that says 3 makes the
    // lists of triangles right.
    let triangle = face_definition(3);
    let writer = Writer::<DefaultElement>::new();
    let mut out = Vec::new();
    let failed = |e: std::io::Error| e.to_string();
    writer.write_header(&mut out, &header).map_err(failed)?;
    for i in 0..mesh.positions.len() {
        let element = vertex_element(mesh.positions[i], mesh.normals[i], mesh.colors[i]);
        writer
            .write_little_endian_element(&mut out, &element, &vertex)
            .map_err(failed)?;
    }
    for corners in &mesh.triangles {
        let mut element = DefaultElement::new();
        element.insert(
            "vertex_indices".into(),
            Property::ListUInt(corners.to_vec()),
        );
        writer
            .write_little_endian_element(&mut out, &element, &triangle)
            .map_err(failed)?;
    }
    Ok(out)
}

const FLOATS: [&str; 6] = ["x", "y", "z", "nx", "ny", "nz"];
const BYTES: [&str; 3] = ["red", "green", "blue"];

fn vertex_definition(count: usize) -> ElementDef {
    let mut element = ElementDef::new("vertex".into());
    element.count = count;
    let types = FLOATS
        .map(|name| (name, ScalarType::Float))
        .into_iter()
        .chain(BYTES.map(|name| (name, ScalarType::UChar)));
    for (name, scalar) in types {
        element
            .properties
            .add(PropertyDef::new(name.into(), PropertyType::Scalar(scalar)));
    }
    element
}

fn face_definition(count: usize) -> ElementDef {
    let mut element = ElementDef::new("face".into());
    element.count = count;
    let list = PropertyType::List(ScalarType::UChar, ScalarType::UInt);
    element
        .properties
        .add(PropertyDef::new("vertex_indices".into(), list));
    element
}

fn vertex_element(position: [f32; 3], normal: [f32; 3], color: [f32; 3]) -> DefaultElement {
    let mut element = DefaultElement::new();
    for (name, value) in FLOATS.into_iter().zip(position.into_iter().chain(normal)) {
        element.insert(name.into(), Property::Float(value));
    }
    for (name, value) in BYTES.into_iter().zip(color) {
        element.insert(name.into(), Property::UChar(to_byte(value)));
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use ply_rs_bw::parser::Parser;

    #[test]
    fn ply_rs_reads_back_what_was_written() {
        let mesh = Mesh {
            positions: vec![
                [0.0, 0.25, 0.5],
                [1.0, 0.0, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 0.0, 1.0],
            ],
            triangles: vec![[0, 1, 2], [0, 2, 3]],
            normals: vec![[0.0, 0.0, 1.0]; 4],
            colors: vec![[1.0, 0.5, 0.0]; 4],
        };
        let bytes = to_ply(&mesh, &About::default()).unwrap();
        let ply = Parser::<DefaultElement>::new()
            .read_ply(&mut &bytes[..])
            .unwrap();
        let vertex = &ply.payload["vertex"][0];
        assert_eq!(
            (&vertex["y"], &vertex["z"]),
            (&Property::Float(0.25), &Property::Float(0.5))
        );
        assert_eq!(
            (&vertex["red"], &vertex["green"]),
            (&Property::UChar(255), &Property::UChar(128))
        );
        assert_eq!(ply.payload["face"].len(), 2);
        assert_eq!(
            ply.payload["face"][1]["vertex_indices"],
            Property::ListUInt(vec![0, 2, 3])
        );
    }
}
