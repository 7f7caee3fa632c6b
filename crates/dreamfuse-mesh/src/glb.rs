//! Binary glTF 2.0: Y up, the front towards +Z, vertex colours linear.

use crate::model::{About, Model, Skin};
use dreamfuse_core::color::srgb_to_linear;
use gltf_json as json;
use json::accessor::{ComponentType, GenericComponentType, Type};
use json::buffer::{Target, View};
use json::material::{NormalTexture, OcclusionTexture};
use json::mesh::Semantic;
use json::texture::{MagFilter, MinFilter, WrappingMode};
use json::validation::{Checked, USize64, Validate};
use json::{Index, Root, Value};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};

/// The file's bytes.
///
/// # Errors
/// When the document does not validate, which would be a defect of this function.
pub(crate) fn to_glb(model: &Model, about: &About) -> Result<Vec<u8>, String> {
    let mut writer = Writer::new(about);
    let vertices = Vertices::of(model);
    let attributes = writer.attributes(&vertices);
    let indices = vertices.triangles.iter().flatten();
    let indices: Vec<u8> = indices.flat_map(|v| v.to_le_bytes()).collect();
    let index = writer.accessor(
        indices,
        Some(Target::ElementArrayBuffer),
        (
            ComponentType::U32,
            Type::Scalar,
            3 * vertices.triangles.len(),
        ),
        None,
    );
    let material = writer.material(model.skin.as_ref());
    writer.scene(attributes, index, material);
    writer.finish()
}

/// What a graphics card wants: a vertex for each pair of a position and texture coordinates.
#[derive(Default)]
struct Vertices {
    positions: Vec<[f32; 3]>,
    normals: Vec<[f32; 3]>,
    triangles: Vec<[u32; 3]>,
    uvs: Vec<[f32; 2]>,
    tangents: Vec<[f32; 4]>,
    /// Where there is no texture: the base colour's texture is multiplied by them.
    colors: Vec<[f32; 3]>,
}

impl Vertices {
    fn of(model: &Model) -> Self {
        let mesh = &model.mesh;
        let Some(skin) = &model.skin else {
            return Self {
                positions: turned(&mesh.positions),
                normals: turned(&mesh.normals),
                triangles: mesh.triangles.clone(),
                colors: mesh.colors.clone(),
                ..Self::default()
            };
        };
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        let (mut vertices, mut sources) = (Self::default(), Vec::new());
        for (corners, places) in mesh.triangles.iter().zip(&skin.triangles) {
            let corner = |i: usize| {
                let source = (corners[i], places[i]);
                *known.entry(source).or_insert_with(|| {
                    sources.push(source);
                    sources.len() as u32 - 1
                })
            };
            vertices.triangles.push([0, 1, 2].map(corner));
        }
        let at = |values: &[[f32; 3]]| -> Vec<[f32; 3]> {
            sources
                .iter()
                .map(|(corner, _)| values[*corner as usize])
                .collect()
        };
        vertices.positions = turned(&at(&mesh.positions));
        vertices.normals = turned(&at(&mesh.normals));
        vertices.uvs = sources
            .iter()
            .map(|(_, place)| skin.uvs[*place as usize])
            .collect();
        if let Some(tangents) = &skin.tangents {
            let of_place = |(_, place): &(u32, u32)| {
                let [x, y, z, side] = tangents[*place as usize];
                [x, z, -y, side]
            };
            vertices.tangents = sources.iter().map(of_place).collect();
        }
        vertices
    }
}

/// Y up, the front towards +Z.
fn turned(values: &[[f32; 3]]) -> Vec<[f32; 3]> {
    values.iter().map(|[x, y, z]| [*x, *z, -*y]).collect()
}

fn floats<const N: usize>(values: &[[f32; N]]) -> Vec<u8> {
    let values = values.iter().flatten();
    values.flat_map(|v| v.to_le_bytes()).collect()
}

/// Linear RGBA of 16 bits.
fn linear_colors(colors: &[[f32; 3]]) -> Vec<u8> {
    let linear = |c: f32| (srgb_to_linear(c.clamp(0.0, 1.0)) * f32::from(u16::MAX)).round() as u16;
    let color = |c: &[f32; 3]| [linear(c[0]), linear(c[1]), linear(c[2]), u16::MAX];
    let values = colors.iter().flat_map(color);
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

/// The notes as the asset's metadata.
fn extras(about: &About) -> json::Extras {
    let notes: serde_json::Map<String, Value> = about
        .notes
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let text = serde_json::to_string(&notes).expect("texts are JSON");
    (!notes.is_empty()).then(|| RawValue::from_string(text).expect("it was just written"))
}

struct Writer {
    root: Root,
    binary: Vec<u8>,
    name: String,
}

type Attributes = BTreeMap<Checked<Semantic>, Index<json::Accessor>>;

impl Writer {
    fn new(about: &About) -> Self {
        let mut root = Root::default();
        root.push(json::Buffer {
            byte_length: USize64(0),
            uri: None,
            name: None,
            extensions: None,
            extras: Default::default(),
        });
        root.asset.generator = Some(format!("dreamfuse {}", env!("CARGO_PKG_VERSION")));
        root.asset.extras = extras(about);
        Self {
            root,
            binary: Vec::new(),
            name: about.name.clone(),
        }
    }

    /// Appends bytes as a view of their own.
    fn view(&mut self, bytes: &[u8], target: Option<Target>) -> Index<View> {
        let view = self.root.push(View {
            buffer: Index::new(0),
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
        view
    }

    /// The same with one accessor on it.
    fn accessor(
        &mut self,
        bytes: Vec<u8>,
        target: Option<Target>,
        (component, kind, count): (ComponentType, Type, usize),
        bounds: Option<[Value; 2]>,
    ) -> Index<json::Accessor> {
        let view = self.view(&bytes, target);
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

    fn attributes(&mut self, vertices: &Vertices) -> Attributes {
        let count = vertices.positions.len();
        let mut attributes = Attributes::new();
        let mut add = |semantic, bytes: Vec<u8>, component, kind, bounds| {
            if !bytes.is_empty() {
                let target = Some(Target::ArrayBuffer);
                let accessor = self.accessor(bytes, target, (component, kind, count), bounds);
                attributes.insert(Checked::Valid(semantic), accessor);
            }
        };
        let (positions, normals) = (&vertices.positions, &vertices.normals);
        let float = ComponentType::F32;
        let bounds = bounds(positions);
        add(
            Semantic::Positions,
            floats(positions),
            float,
            Type::Vec3,
            bounds,
        );
        add(Semantic::Normals, floats(normals), float, Type::Vec3, None);
        add(
            Semantic::TexCoords(0),
            floats(&vertices.uvs),
            float,
            Type::Vec2,
            None,
        );
        add(
            Semantic::Tangents,
            floats(&vertices.tangents),
            float,
            Type::Vec4,
            None,
        );
        let colors = linear_colors(&vertices.colors);
        add(
            Semantic::Colors(0),
            colors,
            ComponentType::U16,
            Type::Vec4,
            None,
        );
        attributes
    }

    /// One node with one mesh.
    fn scene(
        &mut self,
        attributes: Attributes,
        index: Index<json::Accessor>,
        material: Index<json::Material>,
    ) {
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
            name: Some(self.name.clone()),
            weights: None,
            extensions: None,
            extras: Default::default(),
        });
        let node = self.root.push(json::Node {
            mesh: Some(mesh),
            name: Some(self.name.clone()),
            ..Default::default()
        });
        let scene = self.root.push(json::Scene {
            nodes: vec![node],
            name: Some(self.name.clone()),
            extensions: None,
            extras: Default::default(),
        });
        self.root.scene = Some(scene);
    }

    /// Rough and not metallic.
    fn material(&mut self, skin: Option<&Skin>) -> Index<json::Material> {
        let mut material = json::Material {
            name: Some(self.name.clone()),
            pbr_metallic_roughness: json::material::PbrMetallicRoughness {
                metallic_factor: json::material::StrengthFactor(0.0),
                roughness_factor: json::material::StrengthFactor(0.9),
                ..Default::default()
            },
            ..Default::default()
        };
        if let Some(skin) = skin {
            let albedo = self.texture("", &skin.albedo);
            material.pbr_metallic_roughness.base_color_texture = Some(json::texture::Info {
                index: albedo,
                tex_coord: 0,
                extensions: None,
                extras: Default::default(),
            });
            material.normal_texture = skin.normals.as_ref().map(|normals| NormalTexture {
                index: self.texture(" normals", normals),
                scale: 1.0,
                tex_coord: 0,
                extensions: None,
                extras: Default::default(),
            });
            material.occlusion_texture = skin.occlusion.as_ref().map(|open| OcclusionTexture {
                index: self.texture(" occlusion", open),
                strength: json::material::StrengthFactor(1.0),
                tex_coord: 0,
                extensions: None,
                extras: Default::default(),
            });
        }
        self.root.push(material)
    }

    /// An image within the file, and how it is sampled.
    fn texture(&mut self, what: &str, image: &dreamfuse_core::Image) -> Index<json::Texture> {
        let view = self.view(&image.to_png(), None);
        let name = Some(format!("{}{what}", self.name));
        let source = self.root.push(json::Image {
            buffer_view: Some(view),
            mime_type: Some(json::image::MimeType("image/png".into())),
            name: name.clone(),
            uri: None,
            extensions: None,
            extras: Default::default(),
        });
        let sampler = self.root.push(json::texture::Sampler {
            mag_filter: Some(Checked::Valid(MagFilter::Linear)),
            min_filter: Some(Checked::Valid(MinFilter::LinearMipmapLinear)),
            wrap_s: Checked::Valid(WrappingMode::ClampToEdge),
            wrap_t: Checked::Valid(WrappingMode::ClampToEdge),
            ..Default::default()
        });
        self.root.push(json::Texture {
            name,
            sampler: Some(sampler),
            source,
            extensions: None,
            extras: Default::default(),
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
    use crate::Mesh;
    use dreamfuse_core::Image;

    fn about() -> About {
        About {
            name: "a \"red\" car".into(),
            notes: vec![
                ("prompt".into(), "a \"red\" car".into()),
                ("seed".into(), "3".into()),
            ],
            millimetres: 100.0,
        }
    }

    fn triangle() -> Mesh {
        Mesh {
            positions: vec![[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            triangles: vec![[0, 1, 2]],
            normals: vec![[0.0, -1.0, 0.0]; 3],
            colors: vec![[1.0, 0.5, 0.0]; 3],
        }
    }

    /// The document and the binary chunk, by the lengths in the header.
    fn opened(bytes: &[u8]) -> (Value, &[u8]) {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(
            (&bytes[..4], word(4), word(8)),
            (&b"glTF"[..], 2, bytes.len())
        );
        let end = 20 + word(12);
        let root = serde_json::from_slice(&bytes[20..end]).unwrap();
        assert_eq!(bytes.len(), end + 8 + word(end));
        (root, &bytes[end + 8..])
    }

    #[test]
    fn the_header_and_chunks_say_their_lengths_and_the_front_is_plus_z() {
        let bytes = to_glb(&Model::plain(triangle()), &about()).unwrap();
        let (root, binary) = opened(&bytes);
        let primitive = &root["meshes"][0]["primitives"][0];
        let position =
            &root["accessors"][primitive["attributes"]["POSITION"].as_u64().unwrap() as usize];
        assert_eq!(position["min"], serde_json::json!([0.0, 0.0, 0.0]));
        assert_eq!(position["max"], serde_json::json!([1.0, 1.0, 1.0]));
        let color =
            &root["accessors"][primitive["attributes"]["COLOR_0"].as_u64().unwrap() as usize];
        assert_eq!(color["normalized"], true);
        // The first vertex was in front, at y = −1: z = +1 in glTF.
        assert_eq!(f32::from_le_bytes(binary[8..12].try_into().unwrap()), 1.0);
        assert_eq!(root["asset"]["extras"]["prompt"], "a \"red\" car");
        assert_eq!(root["nodes"][0]["name"], "a \"red\" car");
    }

    #[test]
    fn a_texture_lies_in_the_file_and_seams_split_vertices() {
        let mesh = Mesh {
            triangles: vec![[0, 1, 2], [0, 2, 1]],
            ..triangle()
        };
        let skin = Skin {
            uvs: vec![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
            // The second triangle shares one corner's coordinates with the first one.
            triangles: vec![[0, 1, 2], [0, 3, 2]],
            albedo: Image::filled(4, 4, [1.0, 0.0, 0.0]),
            normals: Some(Image::filled(4, 4, [0.5, 0.5, 1.0])),
            tangents: Some(vec![[1.0, 0.0, 0.0, 1.0]; 4]),
            occlusion: None,
        };
        let model = Model {
            mesh,
            skin: Some(skin),
        };
        let bytes = to_glb(&model, &about()).unwrap();
        let (root, binary) = opened(&bytes);
        let attributes = &root["meshes"][0]["primitives"][0]["attributes"];
        let count = |name: &str| {
            root["accessors"][attributes[name].as_u64().unwrap() as usize]["count"].clone()
        };
        assert_eq!(
            (count("POSITION"), count("TEXCOORD_0")),
            (5.into(), 5.into())
        );
        assert_eq!(count("TANGENT"), 5);
        assert!(attributes.get("COLOR_0").is_none());
        let image =
            &root["bufferViews"][root["images"][0]["bufferView"].as_u64().unwrap() as usize];
        let start = image["byteOffset"].as_u64().unwrap() as usize;
        assert_eq!(&binary[start + 1..start + 4], b"PNG");
        let material = &root["materials"][0];
        assert_eq!(
            material["pbrMetallicRoughness"]["baseColorTexture"]["index"],
            0
        );
        assert_eq!(material["normalTexture"]["index"], 1);
    }
}
