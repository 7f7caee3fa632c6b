//! The network of patches beside PyTorch: `make_uvit_reference.py` made the numbers with `python/dreamfuse_uvit.py`, which computes the
//! rays and what is told by itself.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::Device;
use common::{Reference, assert_close, folder, relative_error};
use dreamfuse_core::{Camera, Crop, Light, Shading, Told};
use dreamfuse_diffusion::Weights;
use dreamfuse_diffusion::uvit::{UVit, UVitConfig};
use dreamfuse_prior::{References, Shown};
use safetensors::SafeTensors;

const TIMESTEPS: [usize; 3] = [37, 500, 801];

fn network() -> UVit {
    let path = folder().join("uvit");
    let config = std::fs::read(path.join("config.json")).unwrap();
    let config: UVitConfig = serde_json::from_slice(&config).unwrap();
    config.check().unwrap();
    let weights = Weights::open(&path.join("diffusion_pytorch_model.safetensors")).unwrap();
    UVit::load(&config, weights, &Device::flex()).unwrap()
}

fn light(position: [f32; 3], ambient: f32) -> Light {
    Light {
        position,
        ambient,
        diffuse: 1.0 - ambient,
    }
}

fn told() -> [Told; 3] {
    let first = Camera {
        azimuth: 0.7,
        elevation: 0.3,
        distance: 3.1,
        fov: 0.8,
        look_at: [0.1, -0.05, 0.2],
        roll: 0.15,
        crop: Crop {
            center: [0.2, -0.3],
            scale: 0.6,
        },
    };
    let second = Camera {
        distance: 3.0,
        fov: 40f32.to_radians(),
        ..Camera::orbit(-2.1, 0.9)
    };
    [
        Told {
            camera: Some(first),
            shading: Some(Shading::Lambertian),
            light: Some(light([1.0, -2.0, 3.0], 0.25)),
            background: Some([0.2, 0.5, 0.9]),
            canonical: Some(true),
            is_turned: false,
        },
        Told {
            camera: Some(second),
            shading: Some(Shading::Albedo),
            light: Some(light([1.0; 3], 0.5)),
            background: None,
            canonical: Some(false),
            is_turned: false,
        },
        Told::default(),
    ]
}

#[test]
fn it_attends_to_references_as_pytorch_does() {
    let (network, reference) = (network(), Reference::load(&folder().join("uvit")));
    let empty = network.read(&reference.floats("empty")).select(&[0; 4]);
    let told_of = |index: usize| Told {
        is_turned: index == 3,
        ..Told::camera(Camera {
            distance: 3.0,
            fov: 40f32.to_radians(),
            ..Camera::orbit(0.4 * index as f32, 0.1 * index as f32)
        })
    };
    let of_references: Vec<Told> = (0..4).map(told_of).collect();
    let images = reference.floats("images");
    let read = network.read_references(images, &[0, 120, 0, 60], &empty, &of_references, 2);
    let references = References::new(read, of_references);
    let text = network.read(&reference.floats("text"));
    let answer = |sets: &[Option<usize>]| {
        let shown = Shown {
            references: &references,
            sets,
            scale: 1.0,
        };
        let sample = reference.floats::<4>("sample");
        network.forward(sample, &TIMESTEPS, &text, &told(), Some(shown))
    };
    let ours = answer(&[Some(1), None, Some(0)]);
    assert_close(ours.clone(), reference.floats("output_shown"));
    assert_close(answer(&[None; 3]), reference.floats("output"));
    assert!(relative_error(answer(&[Some(0), None, Some(1)]), ours) > 1e-3);
}

#[test]
fn layers_for_references_add_nothing_at_first() {
    let (path, with) = (folder().join("uvit"), network());
    let config = UVitConfig {
        references: false,
        ..with.config().clone()
    };
    // As a network that takes none has them.
    let bytes = std::fs::read(path.join("diffusion_pytorch_model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut kept = tensors.tensors();
    kept.retain(|(name, _)| !name.contains("_x."));
    assert!(kept.len() < tensors.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    safetensors::serialize_to_file(kept, None, &file).unwrap();
    let open = || Weights::open(&file).unwrap();
    let without = UVit::load(&config, open(), &Device::flex()).unwrap();
    assert!(UVit::load(with.config(), open(), &Device::flex()).is_err());
    let grown = UVit::grow(with.config(), open(), &Device::flex()).unwrap();
    let reference = Reference::load(&path);
    let text = without.read(&reference.floats("text"));
    let empty = without.read(&reference.floats("empty"));
    let camera = [Told::camera(Camera::orbit(0.3, 0.2))];
    let images = reference.floats::<4>("images").narrow(0, 0, 1);
    let read = grown.read_references(images, &[0], &empty, &camera, 1);
    let references = References::new(read, camera.to_vec());
    let shown = Shown {
        references: &references,
        sets: &[Some(0); 3],
        scale: 1.0,
    };
    let sample = || reference.floats::<4>("sample");
    let plain = without.forward(sample(), &TIMESTEPS, &text, &told(), None);
    assert_close(
        grown.forward(sample(), &TIMESTEPS, &text, &told(), Some(shown)),
        plain,
    );
}

#[test]
fn it_computes_what_pytorch_computes() {
    let (network, reference) = (network(), Reference::load(&folder().join("uvit")));
    let text = network.read(&reference.floats("text"));
    let sample = reference.floats::<4>("sample");
    let ours = network.forward(sample.clone(), &TIMESTEPS, &text, &told(), None);
    assert_close(ours.clone(), reference.floats("output"));
    // All that is told is heard.
    let mut others = told();
    others[0].background = None;
    let other = network.forward(sample, &TIMESTEPS, &text, &others, None);
    assert!(relative_error(other, ours) > 1e-3);
}
