//! Binary glTF 2.0: all triangles of the scene, where their nodes put them.

use super::Soup;
use gltf_json as json;
use image::ImageReader;
use json::accessor::{ComponentType, Type};
use json::mesh::{Mode, Primitive, Semantic};
use json::validation::Checked;
use json::{Index, Root};
use nalgebra::{Matrix4, Point3, Quaternion, Translation3, UnitQuaternion};
use std::io::Cursor;

/// Bytes of triangles for each of the file, and beside them: meshes may be placed several times.
const BYTES_PER_BYTE: usize = 3;
const BYTES_BESIDE: usize = 64 << 20;

struct File<'a> {
    root: Root,
    binary: &'a [u8],
}

pub(super) fn read(bytes: &[u8]) -> Result<Soup, String> {
    let (root, binary) = chunks(bytes)?;
    let root: Root = serde_json::from_slice(root)
        .map_err(|error| format!("expected a glTF document in the first chunk: {error}"))?;
    for extension in &root.extensions_required {
        if !extension.starts_with("KHR_materials") {
            return Err(format!(
                "it needs the extension {extension}, which is not read here"
            ));
        }
    }
    let file = File { root, binary };
    let mut soup = Soup::default();
    let scene = file.root.scene.map_or(0, |scene| scene.value());
    let nodes = file.root.scenes.get(scene).map(|scene| scene.nodes.clone());
    let mut waiting: Vec<(usize, Matrix4<f32>)> = nodes
        .unwrap_or_default()
        .iter()
        .map(|node| (node.value(), Matrix4::identity()))
        .collect();
    let most = BYTES_PER_BYTE * bytes.len() + BYTES_BESIDE;
    let mut left = file.root.nodes.len();
    while let Some((index, above)) = waiting.pop() {
        // In a tree each node has one parent.
        left = left.checked_sub(1).ok_or("expected a tree of nodes")?;
        let place = file.add_node(index, &above, most, &mut soup)?;
        let children = file.root.nodes[index].children.iter().flatten();
        waiting.extend(children.map(|child| (child.value(), place)));
    }
    soup.has_material = !file.root.materials.is_empty();
    soup.texture = file.texture_size();
    Ok(soup)
}

/// The document and the binary chunk (glTF 2.0, section 4.4).
fn chunks(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let word = |at: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if !bytes.starts_with(b"glTF") {
        return Err("expected glTF in the first four bytes".into());
    }
    if word(4) != Some(2) {
        return Err(format!(
            "expected version 2, got {:?}",
            word(4).unwrap_or(0)
        ));
    }
    let chunk = |at: usize| -> Option<(&[u8], usize)> {
        let end = at.checked_add(8)?.checked_add(word(at)?)?;
        Some((bytes.get(at + 8..end)?, end))
    };
    let cut = || "expected whole chunks: the file is cut or damaged".to_owned();
    let (document, end) = chunk(12).ok_or_else(cut)?;
    if end == bytes.len() {
        return Ok((document, &[]));
    }
    let (binary, _) = chunk(end).ok_or_else(cut)?;
    Ok((document, binary))
}

impl File<'_> {
    /// Adds what a node has, and returns where its children are.
    fn add_node(
        &self,
        index: usize,
        above: &Matrix4<f32>,
        most: usize,
        soup: &mut Soup,
    ) -> Result<Matrix4<f32>, String> {
        let node = self.root.nodes.get(index).ok_or("a node is not there")?;
        let place = above * transform(node);
        if let Some(mesh) = node.mesh {
            let mesh = self.root.meshes.get(mesh.value());
            let mesh = mesh.ok_or("a node has a mesh that is not there")?;
            for primitive in &mesh.primitives {
                self.add_primitive(primitive, &place, soup)?;
                let held = 12 * (soup.positions.len() + soup.triangles.len());
                if held > most {
                    return Err(
                        "it places its meshes so often that they do not fit the memory".into(),
                    );
                }
            }
        }
        Ok(place)
    }

    fn add_primitive(
        &self,
        primitive: &Primitive,
        place: &Matrix4<f32>,
        soup: &mut Soup,
    ) -> Result<(), String> {
        if primitive.mode != Checked::Valid(Mode::Triangles) {
            return Ok(()); // points, lines and strips are no surface that we check
        }
        let attribute = |semantic| primitive.attributes.get(&Checked::Valid(semantic)).copied();
        let positions = attribute(Semantic::Positions).ok_or("a mesh has no positions")?;
        let positions = self.floats::<3>(positions)?;
        let count = positions.len();
        let first = soup.positions.len() as u32;
        let placed =
            |p: [f32; 3]| -> [f32; 3] { place.transform_point(&Point3::from(p)).coords.into() };
        soup.positions.extend(positions.into_iter().map(placed));
        let indices = match primitive.indices {
            Some(indices) => self.integers(indices)?,
            None => (0..count as u32).collect(),
        };
        if indices.iter().any(|index| *index as usize >= count) {
            return Err(format!("a triangle has a corner beyond {count} positions"));
        }
        let (triangles, _) = indices.as_chunks::<3>();
        // A mirrored node turns its triangles inside out (glTF 2.0, section 3.7.4).
        let is_mirrored = place.fixed_view::<3, 3>(0, 0).determinant() < 0.0;
        let turned = |[a, b, c]: [u32; 3]| if is_mirrored { [a, c, b] } else { [a, b, c] };
        let corners = triangles
            .iter()
            .map(|t| turned(t.map(|corner| corner + first)));
        soup.triangles.extend(corners);
        if let Some(uvs) = attribute(Semantic::TexCoords(0)) {
            let uvs = self.floats::<2>(uvs)?;
            if uvs.len() == count {
                let first = soup.places.uvs.len() as u32;
                soup.places.uvs.extend(uvs);
                let places = triangles
                    .iter()
                    .map(|t| turned(t.map(|corner| corner + first)));
                soup.places.triangles.extend(places);
                soup.placed += triangles.len();
            }
        }
        soup.has_colors |= attribute(Semantic::Colors(0)).is_some();
        Ok(())
    }

    /// An accessor's component type, components and elements, and its bytes with the distance between elements.
    fn elements(
        &self,
        index: Index<json::Accessor>,
    ) -> Result<(ComponentType, Type, usize, &[u8], usize), String> {
        let accessor = self.root.accessors.get(index.value());
        let accessor = accessor.ok_or("an accessor is not there")?;
        if accessor.sparse.is_some() {
            return Err("it has sparse accessors, which are not read here".into());
        }
        let (Checked::Valid(component), Checked::Valid(kind)) =
            (accessor.component_type, accessor.type_)
        else {
            return Err("an accessor has an unknown type".into());
        };
        let view = accessor
            .buffer_view
            .and_then(|view| self.root.buffer_views.get(view.value()));
        let view = view.ok_or("an accessor has no view of the file")?;
        let is_here = view.buffer.value() == 0
            && self
                .root
                .buffers
                .first()
                .is_some_and(|buffer| buffer.uri.is_none());
        if !is_here {
            return Err("its data lie in another file; expected them in this one".into());
        }
        let size = component.0.size() * kind.multiplicity();
        let stride = view.byte_stride.map_or(size, |stride| stride.0);
        let offset = |value: Option<json::validation::USize64>| value.map_or(0, |v| v.0 as usize);
        let start = offset(view.byte_offset).checked_add(offset(accessor.byte_offset));
        let count = accessor.count.0 as usize;
        let length = match count {
            0 => Some(0),
            count => (count - 1)
                .checked_mul(stride)
                .and_then(|length| length.checked_add(size)),
        };
        let end = start.and_then(|start| start.checked_add(length?));
        let bytes = start.and_then(|start| self.binary.get(start..end?));
        let bytes =
            bytes.ok_or_else(|| format!("an accessor of {count} elements goes beyond the file"))?;
        if stride < size {
            return Err("an accessor's elements overlap".into());
        }
        Ok((component.0, kind, count, bytes, stride))
    }

    /// Floats, or whole numbers that stand for parts of one.
    fn floats<const N: usize>(
        &self,
        index: Index<json::Accessor>,
    ) -> Result<Vec<[f32; N]>, String> {
        let (component, kind, count, bytes, stride) = self.elements(index)?;
        let size = component.size();
        let value: fn(&[u8]) -> f32 = match component {
            ComponentType::F32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            ComponentType::U16 => |b| f32::from(u16::from_le_bytes([b[0], b[1]])) / 65535.0,
            ComponentType::U8 => |b| f32::from(b[0]) / 255.0,
            _ => return Err("expected floats, or parts of one as unsigned numbers".into()),
        };
        if kind.multiplicity() != N {
            return Err(format!("expected {N} numbers an element"));
        }
        let element = |i: usize| -> [f32; N] {
            std::array::from_fn(|axis| value(&bytes[i * stride + axis * size..][..size]))
        };
        Ok((0..count).map(element).collect())
    }

    fn integers(&self, index: Index<json::Accessor>) -> Result<Vec<u32>, String> {
        let (component, kind, count, bytes, stride) = self.elements(index)?;
        let size = component.size();
        let is_index = matches!(
            component,
            ComponentType::U8 | ComponentType::U16 | ComponentType::U32
        );
        if kind.multiplicity() != 1 || !is_index {
            return Err("expected whole numbers as indices".into());
        }
        let element = |i: usize| {
            let mut word = [0; 4];
            word[..size].copy_from_slice(&bytes[i * stride..i * stride + size]);
            u32::from_le_bytes(word)
        };
        Ok((0..count).map(element).collect())
    }

    /// Of the first material's base colour.
    fn texture_size(&self) -> Option<[u32; 2]> {
        let mut materials = self.root.materials.iter();
        let texture =
            materials.find_map(|m| m.pbr_metallic_roughness.base_color_texture.as_ref())?;
        let texture = self.root.textures.get(texture.index.value())?;
        let image = self.root.images.get(texture.source.value())?;
        let view = self.root.buffer_views.get(image.buffer_view?.value())?;
        let start = view.byte_offset.map_or(0, |offset| offset.0 as usize);
        let bytes = self
            .binary
            .get(start..start.checked_add(view.byte_length.0 as usize)?)?;
        let reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .ok()?;
        let (width, height) = reader.into_dimensions().ok()?;
        Some([width, height])
    }
}

fn transform(node: &json::Node) -> Matrix4<f32> {
    if let Some(matrix) = node.matrix {
        return Matrix4::from_column_slice(&matrix);
    }
    let moved = Translation3::from(node.translation.unwrap_or_default());
    let [x, y, z, w] = node
        .rotation
        .map_or([0.0, 0.0, 0.0, 1.0], |rotation| rotation.0);
    let turned = UnitQuaternion::new_normalize(Quaternion::new(w, x, y, z));
    let scale = node.scale.unwrap_or([1.0; 3]);
    moved.to_homogeneous()
        * turned.to_homogeneous()
        * Matrix4::new_nonuniform_scaling(&scale.into())
}
