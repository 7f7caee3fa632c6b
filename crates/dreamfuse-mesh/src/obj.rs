//! Wavefront OBJ with a material and PNG textures: Y up, the front towards +Z, as glTF.

use crate::model::{About, Model, Skin};
use std::fmt::Write as _;

/// The file's bytes. `stem` is its name without the ending, by which its companions are found.
pub(crate) fn to_obj(model: &Model, stem: &str, about: &About) -> Vec<u8> {
    let mut text = String::new();
    let mut line = |parts: std::fmt::Arguments| {
        let _ = writeln!(text, "{parts}"); // a String takes all
    };
    line(format_args!("# dreamfuse: Y up, front towards +Z"));
    for (name, value) in &about.notes {
        line(format_args!("# {name}: {}", one_line(value)));
    }
    let name = about.name.replace(char::is_whitespace, "_");
    if model.skin.is_some() {
        line(format_args!("mtllib {stem}.mtl"));
    }
    line(format_args!("o {name}"));
    for ([x, y, z], [r, g, b]) in model.mesh.positions.iter().zip(&model.mesh.colors) {
        match model.skin {
            Some(_) => line(format_args!("v {x} {z} {}", -y)),
            // Colours behind the position are an extension that most readers know.
            None => line(format_args!("v {x} {z} {} {r:.4} {g:.4} {b:.4}", -y)),
        }
    }
    for [x, y, z] in &model.mesh.normals {
        line(format_args!("vn {x:.5} {z:.5} {:.5}", -y));
    }
    match &model.skin {
        None => {
            for [a, b, c] in model
                .mesh
                .triangles
                .iter()
                .map(|t| t.map(|corner| corner + 1))
            {
                line(format_args!("f {a}//{a} {b}//{b} {c}//{c}"));
            }
        }
        Some(skin) => {
            // v upwards.
            for [u, v] in &skin.uvs {
                line(format_args!("vt {u:.6} {:.6}", 1.0 - v));
            }
            line(format_args!("usemtl {name}"));
            for (corners, places) in model.mesh.triangles.iter().zip(&skin.triangles) {
                let [a, b, c] = corners.map(|corner| corner + 1);
                let [p, q, r] = places.map(|place| place + 1);
                line(format_args!("f {a}/{p}/{a} {b}/{q}/{b} {c}/{r}/{c}"));
            }
        }
    }
    text.into_bytes()
}

/// Files beside it: their endings and bytes.
pub(crate) fn companions(model: &Model, stem: &str, about: &About) -> Vec<(String, Vec<u8>)> {
    let Some(skin) = &model.skin else {
        return Vec::new();
    };
    let mut files = vec![(".png".to_owned(), skin.albedo.to_png())];
    if let Some(normals) = &skin.normals {
        files.push(("-normals.png".into(), normals.to_png()));
    }
    if let Some(occlusion) = &skin.occlusion {
        // MTL has no key for it.
        files.push(("-occlusion.png".into(), occlusion.to_png()));
    }
    files.push((".mtl".into(), material(skin, stem, about)));
    files
}

/// Rough and not metallic, in the terms of OBJ's physically based extension and of older readers.
fn material(skin: &Skin, stem: &str, about: &About) -> Vec<u8> {
    let name = about.name.replace(char::is_whitespace, "_");
    let mut text = format!(
        "newmtl {name}\nKd 1 1 1\nKs 0 0 0\nNs 10\nPr 0.9\nPm 0\nillum 1\nmap_Kd {stem}.png\n"
    );
    if skin.normals.is_some() {
        let _ = writeln!(text, "norm {stem}-normals.png"); // as above
    }
    text.into_bytes()
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
