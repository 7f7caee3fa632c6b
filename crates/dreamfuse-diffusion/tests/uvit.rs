//! The network of patches beside PyTorch: `make_uvit_reference.py` made the numbers with `python/dreamfuse_uvit.py`, which computes the
//! rays and what is told by itself.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::Device;
use common::{Reference, assert_close, folder, relative_error};
use dreamfuse_core::{Camera, Crop, Light, Shading, Told};
use dreamfuse_diffusion::Weights;
use dreamfuse_diffusion::uvit::{UVit, UVitConfig};

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
        },
        Told {
            camera: Some(second),
            shading: Some(Shading::Albedo),
            light: Some(light([1.0; 3], 0.5)),
            background: None,
            canonical: Some(false),
        },
        Told::default(),
    ]
}

#[test]
fn it_computes_what_pytorch_computes() {
    let (network, reference) = (network(), Reference::load(&folder().join("uvit")));
    let text = network.read(&reference.floats("text"));
    let sample = reference.floats::<4>("sample");
    let ours = network.forward(sample.clone(), &TIMESTEPS, &text, &told());
    assert_close(ours.clone(), reference.floats("output"));
    // All that is told is heard.
    let mut others = told();
    others[0].background = None;
    let other = network.forward(sample, &TIMESTEPS, &text, &others);
    assert!(relative_error(other, ours) > 1e-3);
}
