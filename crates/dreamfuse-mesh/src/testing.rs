//! Textured models for tests, and images of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use crate::{
    DensityGrid, Extras, MeshLook, Model, SurfacePoint, bake, draw_with_opacity, extract, unwrap,
};
use dreamfuse_core::{Camera, Image, Light, Shading};
use std::time::Duration;

/// Side of the images.
pub const SIZE: usize = 96;

/// The surface of a grid whose texture is asked of a formula at each point.
pub fn painted(grid: &DensityGrid, iso: f32, color: impl Fn(&[f32; 3]) -> [f32; 3]) -> Model {
    let mut mesh = extract(grid, iso).unwrap();
    mesh.colors = mesh.positions.iter().map(&color).collect();
    let colors = |points: &[SurfacePoint]| -> Vec<[f32; 3]> {
        let places = points.iter().map(|point| point.position.into());
        places.map(|place| color(&place)).collect()
    };
    let unwrap = unwrap(&mesh, 256, Duration::from_secs(20));
    let baked = bake(&mesh, unwrap, 256, &colors, &Extras::default());
    Model::skinned(mesh, baked)
}

/// Its albedo over black, and the share of each pixel that it covers.
pub fn albedo(model: &Model, camera: Camera) -> (Image, Vec<f32>) {
    let look = MeshLook {
        shading: Shading::Albedo,
        light: Light::headlight(&camera),
        background: [0.0; 3],
    };
    draw_with_opacity(model, &camera, &look, SIZE)
}
