//! Wavefront OBJ, by the crate tobj.

use super::Soup;
use image::ImageReader;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};
use tobj::{LoadError, LoadOptions, load_mtl_buf, load_obj_buf};

/// Bytes of a file of materials that are read.
const MOST_MATERIALS: u64 = 16 << 20;

pub(super) fn read(bytes: &[u8], folder: &Path) -> Result<Soup, String> {
    let options = LoadOptions {
        triangulate: true,
        ignore_points: true,
        ignore_lines: true,
        ..LoadOptions::default()
    };
    let mut bytes = bytes;
    let loaded = load_obj_buf(&mut bytes, &options, |name| {
        let file = beside(folder, name).and_then(|path| File::open(path).ok());
        let file = file.ok_or(LoadError::OpenFileFailed)?;
        load_mtl_buf(&mut BufReader::new(file.take(MOST_MATERIALS)))
    });
    let (models, materials) = loaded.map_err(|error| error.to_string())?;
    let mut soup = Soup::default();
    for model in models {
        let mesh = model.mesh;
        let (first, first_uv) = (soup.positions.len() as u32, soup.places.uvs.len() as u32);
        soup.positions
            .extend_from_slice(mesh.positions.as_chunks::<3>().0);
        let (triangles, _) = mesh.indices.as_chunks::<3>();
        soup.triangles.extend(
            triangles
                .iter()
                .map(|t| t.map(|corner| corner.saturating_add(first))),
        );
        let (uvs, _) = mesh.texcoords.as_chunks::<2>();
        let (places, _) = mesh.texcoord_indices.as_chunks::<3>();
        if places.len() == triangles.len()
            && places
                .iter()
                .flatten()
                .all(|place| (*place as usize) < uvs.len())
        {
            // v downwards.
            soup.places
                .uvs
                .extend(uvs.iter().map(|[u, v]| [*u, 1.0 - v]));
            soup.places
                .triangles
                .extend(places.iter().map(|t| t.map(|place| place + first_uv)));
            soup.placed += places.len();
        }
        soup.has_colors |= !mesh.vertex_color.is_empty();
        soup.has_material |= mesh.material_id.is_some();
    }
    let textures = materials
        .unwrap_or_default()
        .into_iter()
        .filter_map(|m| m.diffuse_texture);
    let mut sizes = textures.filter_map(|name| {
        let path = beside(folder, Path::new(&name))?;
        let (width, height) = ImageReader::open(path).ok()?.into_dimensions().ok()?;
        Some([width, height])
    });
    soup.texture = sizes.next();
    Ok(soup)
}

/// A regular file within the folder: a stranger's file may name any.
fn beside(folder: &Path, name: &Path) -> Option<PathBuf> {
    let mut parts = name.components();
    let is_inside = parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let path = folder.join(name);
    (is_inside && path.is_file()).then_some(path)
}
