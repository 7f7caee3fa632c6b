//! Zero123's layout beside Python: `make_zero123_reference.py` made the checkpoint and the tensors.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::{Device, Tensor};
use common::{Reference, assert_close, copy_folder, folder, relative_error};
use dreamfuse_core::{Camera, Told};
use dreamfuse_diffusion::Pipeline;
use dreamfuse_prior::{Batch, Known, Prior, ReferenceImages, References, Shown, Views};
use std::path::Path;

const TIMESTEPS: [usize; 3] = [37, 500, 801];

fn camera(elevation: f32, azimuth: f32, distance: f32) -> Told {
    Told::camera(Camera {
        distance,
        ..Camera::orbit(azimuth, elevation)
    })
}

fn views() -> [Told; 3] {
    [
        camera(0.5, 0.9, 3.1),
        camera(-0.1, 2.8, 2.7),
        camera(0.3, -0.4, 2.9),
    ]
}

fn reference() -> Reference {
    Reference::load(&folder().join("zero123"))
}

fn load(path: &Path) -> Pipeline {
    Pipeline::load(path, &Device::flex()).unwrap()
}

fn read(pipeline: &Pipeline) -> References {
    let images = reference().floats::<4>("picture");
    let [count, ..] = images.dims();
    pipeline
        .read_references(&ReferenceImages {
            told: &[camera(0.3, -0.4, 2.9)],
            per_set: 1,
            noise_level: 0.0,
            noise: Tensor::zeros([count, 4, 8, 8], &Device::flex()),
            images,
        })
        .unwrap()
}

/// ε̂ for the three views, each with the picture or without.
fn answer(pipeline: &Pipeline, sets: &[Option<usize>]) -> Tensor<4> {
    let references = read(pipeline);
    let text = pipeline.condition(&[""; 3].map(String::from)).unwrap();
    let views = views();
    let known = Known {
        views: Views::Each(&views),
        shown: Some(Shown {
            references: &references,
            sets,
            scale: 1.0,
        }),
    };
    let samples = reference().floats("sample");
    pipeline.predict(&Batch::new(samples, &TIMESTEPS, &text, known))
}

/// A copy of the folder under another name.
fn copied(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join(name);
    copy_folder(&folder().join("zero123"), &path);
    (parent, path)
}

#[test]
fn the_picture_becomes_what_python_makes_of_it() {
    let pipeline = load(&folder().join("zero123"));
    assert!(pipeline.spec().takes_references && !pipeline.spec().takes_camera);
    assert_eq!(pipeline.spec().sample_shape, [4, 8, 8]);
    let references = read(&pipeline);
    let leaves = references.read().leaves();
    assert_close(leaves[0].flat(), reference().floats::<2>("embedding"));
    let latents = leaves[1].tokens().reshape([1, 4, 8, 8]);
    assert_close(latents, reference().floats::<4>("latents"));
}

#[test]
fn it_computes_what_python_computes_in_every_layout() {
    let all = [Some(0); 3];
    let (_first, other_name) = copied("model");
    std::fs::rename(
        other_name.join("cc_projection"),
        other_name.join("clip_camera_projection"),
    )
    .unwrap();
    for path in [folder().join("zero123"), other_name] {
        let pipeline = load(&path);
        assert_close(answer(&pipeline, &all), reference().floats::<4>("output"));
        let empty = reference().floats::<4>("output_empty");
        assert_close(answer(&pipeline, &[None; 3]), empty.clone());
        // What is shown to one image is not seen by another.
        let mixed = answer(&pipeline, &[None, Some(0), None]);
        assert_close(mixed.clone().narrow(0, 0, 1), empty.narrow(0, 0, 1));
        let shown = reference().floats::<4>("output").narrow(0, 1, 1);
        assert_close(mixed.narrow(0, 1, 1), shown);
    }
}

#[test]
fn a_single_file_with_configurations_beside_it_is_the_same_model() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("small.safetensors");
    std::fs::copy(folder().join("zero123.safetensors"), &file).unwrap();
    // Only what shapes do not tell: the latents' size and heads, which differ from Stable Diffusion's.
    let beside = parent.path().join("small");
    for part in ["unet", "vae"] {
        std::fs::create_dir_all(beside.join(part)).unwrap();
        let name = Path::new(part).join("config.json");
        std::fs::copy(folder().join("zero123").join(&name), beside.join(name)).unwrap();
    }
    let pipeline = load(&file);
    assert_close(
        answer(&pipeline, &[Some(0); 3]),
        reference().floats::<4>("output"),
    );
}

#[test]
fn stable_zero123_is_told_the_elevation() {
    let (_parent, path) = copied("stable-zero123");
    let pipeline = load(&path);
    assert!(
        pipeline.summary.contains("Stable Zero123"),
        "{}",
        pipeline.summary
    );
    let ours = answer(&pipeline, &[Some(0); 3]);
    assert_close(ours.clone(), reference().floats::<4>("output_stable"));
    assert!(relative_error(ours.clone(), reference().floats::<4>("output")) > 1e-3);
    // A name does not count where the index says what it is.
    std::fs::write(
        path.join("model_index.json"),
        r#"{"elevation_embedding": false}"#,
    )
    .unwrap();
    let ours = answer(&load(&path), &[Some(0); 3]);
    assert_close(ours, reference().floats::<4>("output"));
}

#[test]
fn what_does_not_fit_is_named() {
    let (_parent, path) = copied("model");
    let line = |path: &Path| {
        let error = Pipeline::load(path, &Device::flex()).err().unwrap();
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    };
    std::fs::remove_dir_all(path.join("cc_projection")).unwrap();
    assert!(line(&path).contains("cc_projection"));
    std::fs::create_dir(path.join("cc_projection")).unwrap();
    std::fs::write(
        path.join("cc_projection/diffusion_pytorch_model.bin"),
        b"pickle",
    )
    .unwrap();
    assert!(line(&path).contains("diffusion_pytorch_model"));
    // Two pictures at once are none that it can take.
    let pipeline = load(&folder().join("zero123"));
    let images = Tensor::zeros([2, 3, 16, 16], &Device::flex());
    let two = pipeline.read_references(&ReferenceImages {
        noise: images.clone(),
        images,
        told: &[camera(0.0, 0.0, 3.0); 2],
        per_set: 2,
        noise_level: 0.0,
    });
    assert!(two.unwrap_err().contains("one picture at a time"));
}
