//! The same numbers as transformers, with a small random CLIP (tests/make_reference.py), and one line for folders that are
//! none.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use candle_core::{Device, safetensors::load};
use dreamfuse_clip::Clip;
use dreamfuse_core::Image;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

fn relative_error(ours: &[Vec<f32>], right: &[Vec<f32>]) -> f32 {
    assert_eq!(ours.len(), right.len());
    let pairs = || ours.iter().flatten().zip(right.iter().flatten());
    let (error, norm) = pairs().fold((0.0, 0.0), |sum, (a, b)| {
        (sum.0 + (a - b).powi(2), sum.1 + b * b)
    });
    (error / norm).sqrt()
}

#[test]
fn texts_and_images_embed_as_in_transformers() {
    let clip = Clip::load(&folder()).unwrap();
    let reference = load(folder().join("reference.safetensors"), &Device::Cpu).unwrap();
    let rows = |name: &str| reference[name].to_vec2::<f32>().unwrap();
    let texts: Vec<String> =
        serde_json::from_slice(&std::fs::read(folder().join("texts.json")).unwrap()).unwrap();
    let error = relative_error(&clip.embed_texts(&texts).unwrap(), &rows("text_embeds"));
    assert!(error < 1e-5, "texts: {error}");
    let planes = reference["pixels"]
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    let size = clip.image_size();
    let images: Vec<Image> = planes
        .chunks_exact(3 * size * size)
        .map(|planes| Image::from_planes(size, planes))
        .collect();
    let error = relative_error(&clip.embed_images(&images).unwrap(), &rows("image_embeds"));
    assert!(error < 1e-5, "images: {error}");
}

#[test]
fn a_folder_that_holds_no_such_clip_gets_one_line() {
    let broken = |name: &str, change: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
        let copy = tempfile::tempdir().unwrap();
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            let bytes = std::fs::read(folder().join(file)).unwrap();
            let changed = if file == name {
                change(bytes)
            } else {
                Some(bytes)
            };
            changed
                .into_iter()
                .for_each(|bytes| std::fs::write(copy.path().join(file), bytes).unwrap());
        }
        let error = Clip::load(copy.path()).err().unwrap().to_string();
        assert!(error.contains(name) && !error.contains('\n'), "{error}");
    };
    let replaced = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            Some(
                String::from_utf8(bytes)
                    .unwrap()
                    .replace(from, to)
                    .into_bytes(),
            )
        }
    };
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        broken(name, &|_| None);
        broken(name, &|bytes| Some(bytes[..bytes.len() / 2].to_vec()));
    }
    broken("config.json", &replaced("quick_gelu", "gelu"));
    broken(
        "config.json",
        &replaced("\"patch_size\": 8", "\"patch_size\": 0"),
    );
    broken(
        "config.json",
        &replaced("\"num_attention_heads\": 4", "\"num_attention_heads\": 0"),
    );
    broken(
        "config.json",
        &replaced("\"num_attention_heads\": 4", "\"num_attention_heads\": 5"),
    );
    broken("model.safetensors", &|bytes| {
        let text = bytes.windows(10).position(|w| w == b"projection").unwrap();
        let mut renamed = bytes.clone();
        renamed[text] = b'q';
        Some(renamed)
    });
}
