//! The volume renderer.

use crate::config::SceneConfig;
use crate::field::{FieldSamples, SceneField};
use crate::occupancy::OccupancyGrid;
use crate::orientation::orientation;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dreamfuse_core::{Camera, Light, Shading};
use dreamfuse_kernels::composite;
use dreamfuse_kernels::march::{JitteredRay, Samples, march};
use rand::{Rng, RngExt};

/// How one view of a batch is drawn.
#[derive(Clone, Copy, Debug)]
pub struct ViewSettings {
    pub camera: Camera,
    pub light: Light,
    pub shading: Shading,
    pub background: [f32; 3],
}

impl ViewSettings {
    /// Albedo on neutral grey: what evaluations compare.
    pub fn albedo(camera: Camera) -> Self {
        Self { camera, light: Light::headlight(&camera), shading: Shading::Albedo, background: [0.5; 3] }
    }

    /// Lit from beside the camera, on light grey: what previews show.
    pub fn preview(camera: Camera) -> Self {
        Self { shading: Shading::Lambertian, background: [0.75; 3], ..Self::albedo(camera) }
    }
}

/// A batch of rendered views.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// `[views, 3, size, size]`, over the background.
    pub color: Tensor<4>,
    /// `[views, 1, size, size]`.
    pub opacity: Tensor<4>,
    /// Distance from the camera, weighted by what hides it: `[views, 1, size, size]`.
    pub depth: Tensor<4>,
    /// See [`orientation`]; zero where no view needed normals.
    pub orientation: Tensor<1>,
    /// Samples that were evaluated.
    pub samples: usize,
}

/// Renders a field through its occupancy.
pub struct Renderer<'a> {
    pub field: &'a SceneField,
    pub occupancy: &'a OccupancyGrid,
    pub config: &'a SceneConfig,
}

impl Renderer<'_> {
    /// Renders square pictures of the views. Samples are shifted along each ray by a random part of a
    /// step drawn from `jitter`, or by half a step.
    pub fn render(&self, views: &[ViewSettings], size: usize, jitter: Option<&mut dyn Rng>) -> Rendered {
        let rays = rays(views, size, jitter);
        let samples = march(&rays, &self.occupancy.occupancy, self.config.step);
        let device = self.field.table.device();
        let count = samples.distances.len();
        if count == 0 {
            return empty(views, size, &device);
        }
        let positions = tensor(samples.positions.clone(), [count, 3], &device);
        let with_normal = views.iter().any(|view| view.shading != Shading::Albedo);
        let field = self.field.sample(positions.clone(), with_normal);
        let owners = owners(&samples, size * size);
        let color = shade(&field, positions, views, &owners, &device);
        let starts = starts_tensor(&samples, &device);
        let distances = tensor(samples.distances.clone(), [count, 1], &device);
        let features = Tensor::cat(vec![color, distances], 1);
        let rows = composite(field.density.clone(), features, starts.clone(), self.config.step);
        let orientation = match field.normal {
            Some(normal) => {
                let directions = tensor(directions(&samples, &rays), [count, 3], &device);
                orientation(normal, field.density, directions, starts, self.config.step)
            }
            None => Tensor::zeros([1], &device),
        };
        self.assemble(rows, views, size, orientation, count)
    }

    fn assemble(
        &self,
        rows: Tensor<2>,
        views: &[ViewSettings],
        size: usize,
        orientation: Tensor<1>,
        samples: usize,
    ) -> Rendered {
        let planes = rows.reshape([views.len(), size, size, 5]).permute([0, 3, 1, 2]);
        let channel = |range: std::ops::Range<usize>| planes.clone().slice([0..views.len(), range, 0..size, 0..size]);
        let (color, depth, opacity) = (channel(0..3), channel(3..4), channel(4..5));
        let background = backgrounds(views, &color.device());
        Rendered { color: color + (opacity.clone() * -1.0 + 1.0) * background, opacity, depth, orientation, samples }
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn backgrounds(views: &[ViewSettings], device: &Device) -> Tensor<4> {
    tensor(views.iter().flat_map(|view| view.background).collect(), [views.len(), 3, 1, 1], device)
}

fn starts_tensor(samples: &Samples, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = samples.starts.iter().map(|start| *start as i64).collect();
    Tensor::from_data(TensorData::new(values, [samples.starts.len()]), device)
}

fn rays(views: &[ViewSettings], size: usize, mut jitter: Option<&mut dyn Rng>) -> Vec<JitteredRay> {
    let all = views.iter().flat_map(|view| view.camera.rays(size));
    all.map(|ray| JitteredRay {
        origin: ray.origin.into(),
        direction: ray.direction.into(),
        jitter: jitter.as_mut().map_or(0.5, |rng| rng.random()),
    })
    .collect()
}

/// The view of each sample.
fn owners(samples: &Samples, rays_a_view: usize) -> Vec<usize> {
    let ranges = samples.starts.windows(2).enumerate();
    ranges.flat_map(|(ray, range)| std::iter::repeat_n(ray / rays_a_view, range[1] - range[0])).collect()
}

/// The direction of each sample's ray.
fn directions(samples: &Samples, rays: &[JitteredRay]) -> Vec<f32> {
    let ranges = rays.iter().zip(samples.starts.windows(2));
    ranges.flat_map(|(ray, range)| std::iter::repeat_n(ray.direction, range[1] - range[0])).flatten().collect()
}

/// Colours of samples by the formula of `dreamfuse_core::shading`: an albedo view is one with ambient
/// light alone, a textureless one has a white albedo.
fn shade(
    field: &FieldSamples,
    positions: Tensor<2>,
    views: &[ViewSettings],
    owners: &[usize],
    device: &Device,
) -> Tensor<2> {
    let Some(normal) = &field.normal else { return field.albedo.clone() };
    let per_sample = |width: usize, of: &dyn Fn(&ViewSettings) -> Vec<f32>| {
        let table: Vec<Vec<f32>> = views.iter().map(of).collect();
        tensor(owners.iter().flat_map(|view| table[*view].iter().copied()).collect(), [owners.len(), width], device)
    };
    let is_lit = |view: &ViewSettings| view.shading != Shading::Albedo;
    let light = per_sample(3, &|view| view.light.position.to_vec());
    let ambient = per_sample(1, &|view| vec![if is_lit(view) { view.light.ambient } else { 1.0 }]);
    let diffuse = per_sample(1, &|view| vec![if is_lit(view) { view.light.diffuse } else { 0.0 }]);
    let white = per_sample(1, &|view| vec![if view.shading == Shading::Textureless { 1.0 } else { 0.0 }]);
    let towards = light - positions;
    let towards = towards.clone() / towards.powi_scalar(2).sum_dim(1).sqrt();
    let irradiance = ambient + diffuse * (normal.clone() * towards).sum_dim(1).clamp_min(0.0);
    let albedo = field.albedo.clone() * (white.clone() * -1.0 + 1.0) + white;
    albedo * irradiance
}

fn empty(views: &[ViewSettings], size: usize, device: &Device) -> Rendered {
    let zeros = |channels: usize| Tensor::zeros([views.len(), channels, size, size], device);
    let color = zeros(3) + backgrounds(views, device);
    Rendered { color, opacity: zeros(1), depth: zeros(1), orientation: Tensor::zeros([1], device), samples: 0 }
}
