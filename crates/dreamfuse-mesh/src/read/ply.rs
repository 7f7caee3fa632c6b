//! Stanford PLY, text and binary, by the crate ply-rs-bw.

use super::Soup;
use ply_rs_bw::parser::{Parser, Reader};
use ply_rs_bw::ply::{
    ElementDef, Encoding, Property, PropertyAccess, PropertyAccessResult, PropertyType, ScalarType,
};

/// Bytes of elements for each of the file, and beside them.
const BYTES_PER_BYTE: usize = 4;
const BYTES_BESIDE: usize = 64 << 20;

/// A vertex or a face: what of it matters here.
#[derive(Default)]
struct Element {
    position: [f32; 3],
    corners: Vec<u32>,
    has_color: bool,
}

impl PropertyAccess for Element {
    fn new() -> Self {
        Self::default()
    }

    fn set_property(&mut self, name: &str, property: Property) -> PropertyAccessResult {
        let axis = ["x", "y", "z"].iter().position(|axis| *axis == name);
        match (axis, name) {
            (Some(axis), _) => match property.to_f32_lossy() {
                Some(value) => self.position[axis] = value,
                None => return PropertyAccessResult::UnsupportedType,
            },
            (None, "vertex_indices" | "vertex_index") => match property.to_u32_list() {
                Some(corners) => self.corners = corners,
                None => return PropertyAccessResult::UnsupportedType,
            },
            (None, "red") => self.has_color = true,
            _ => return PropertyAccessResult::Ignored,
        }
        PropertyAccessResult::Set
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<Soup, String> {
    let parser = Parser::<Element>::new();
    let mut reader = Reader::new(bytes);
    let failed = |error: ply_rs_bw::parser::ParseError| {
        let first = error.to_string();
        format!(
            "it is no PLY that can be read: {}",
            first.lines().next().unwrap_or_default()
        )
    };
    let header = parser.read_header(&mut reader).map_err(failed)?;
    let left = reader.get_ref().len();
    let mut soup = Soup::default();
    for (name, element) in &header.elements {
        check(element, header.encoding, left)?;
        let read = parser.read_payload_for_element(&mut reader, element, &header);
        let read = read.map_err(failed)?;
        match name.as_str() {
            "vertex" => {
                soup.has_colors = read.first().is_some_and(|vertex| vertex.has_color);
                soup.positions = read.into_iter().map(|vertex| vertex.position).collect();
            }
            "face" => {
                for face in read {
                    // A fan, as every reader does with polygons.
                    for pair in face.corners.get(1..).unwrap_or_default().windows(2) {
                        soup.triangles.push([face.corners[0], pair[0], pair[1]]);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(soup)
}

/// Says that so many elements cannot be in so many bytes.
fn check(element: &ElementDef, encoding: Encoding, left: usize) -> Result<(), String> {
    let of_property = |kind: &PropertyType| match (encoding, kind) {
        // A digit and what ends it.
        (Encoding::Ascii, _) => 2,
        (_, PropertyType::Scalar(scalar)) => size(scalar),
        (_, PropertyType::List(count, _)) => size(count),
    };
    let least: usize = element
        .properties
        .values()
        .map(|property| of_property(&property.data_type))
        .sum();
    // Elements that are hardly anything in the file are larger in memory.
    let held = (BYTES_PER_BYTE * left + BYTES_BESIDE) / size_of::<Element>();
    let most = match least {
        0 => 0,
        least => (left / least + 1).min(held),
    };
    if element.count > most {
        return Err(format!(
            "expected {} elements {:?}, which do not fit {left} bytes",
            element.count, element.name
        ));
    }
    Ok(())
}

fn size(scalar: &ScalarType) -> usize {
    match scalar {
        ScalarType::Char | ScalarType::UChar => 1,
        ScalarType::Short | ScalarType::UShort => 2,
        ScalarType::Int | ScalarType::UInt | ScalarType::Float => 4,
        ScalarType::Double => 8,
    }
}
