//! The volume renderer.

use crate::config::SceneConfig;
use crate::field::SceneField;
use crate::occupancy::OccupancyGrid;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dreamfuse_core::{Camera, Light, Shading};
use dreamfuse_kernels::composite;
use dreamfuse_kernels::march::{RAY, march};
use dreamfuse_kernels::surface::{LIGHT, Lighting};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

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
        Self {
            camera,
            light: Light::headlight(&camera),
            shading: Shading::Albedo,
            background: [0.5; 3],
        }
    }

    /// Lit from beside the camera, on light grey: what previews show.
    pub fn preview(camera: Camera) -> Self {
        Self {
            shading: Shading::Lambertian,
            background: [0.75; 3],
            ..Self::albedo(camera)
        }
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
    /// The orientation loss (DreamFusion, appendix A.2, after Ref-NeRF), the mean over rays of `Σ stopgrad(w)
    /// max(0, n · v)²`: what is seen should face the camera. Zero where no view needed normals.
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
    /// Renders square images of the views. Samples are shifted along each ray by a random part of a
    /// step, drawn for view `i` from `jitter(i)`, or by half a step.
    pub fn render(
        &self,
        views: &[ViewSettings],
        size: usize,
        jitter: Option<&dyn Fn(usize) -> ChaCha8Rng>,
    ) -> Rendered {
        let device = self.field.table.device();
        let rays = rays(views, size, jitter, &device);
        let samples = march(rays.clone(), &self.occupancy.occupancy, self.config.step);
        let [count] = samples.distances.dims();
        if count == 0 {
            return empty(views, size, &device);
        }
        let is_lit = views.iter().any(|view| view.shading != Shading::Albedo);
        let lighting = is_lit.then(|| lighting(views, rays, samples.starts.clone(), &device));
        let surface = self.field.sample(samples.positions, lighting);
        let settings = composite::Settings {
            step: self.config.step,
            detached: usize::from(is_lit),
        };
        let rows = composite(surface, samples.distances, samples.starts, settings);
        assemble(rows, is_lit, views, size, count)
    }
}

/// Splits rows of colour, orientation where views are lit, depth and opacity into images.
fn assemble(
    rows: Tensor<2>,
    is_lit: bool,
    views: &[ViewSettings],
    size: usize,
    samples: usize,
) -> Rendered {
    let [_, columns] = rows.dims();
    let planes = rows
        .reshape([views.len(), size, size, columns])
        .permute([0, 3, 1, 2]);
    let channel = |range: std::ops::Range<usize>| planes.clone().slice_dim(1, range);
    let color = channel(0..3);
    let (orientation, next) = if is_lit {
        (channel(3..4).mean(), 4)
    } else {
        (Tensor::zeros([1], &color.device()), 3)
    };
    let (depth, opacity) = (channel(next..next + 1), channel(next + 1..next + 2));
    let background = backgrounds(views, &color.device());
    Rendered {
        color: color + (opacity.clone() * -1.0 + 1.0) * background,
        opacity,
        depth,
        orientation,
        samples,
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn backgrounds(views: &[ViewSettings], device: &Device) -> Tensor<4> {
    tensor(
        views.iter().flat_map(|view| view.background).collect(),
        [views.len(), 3, 1, 1],
        device,
    )
}

/// What lights the samples. An albedo view among lit ones is one with ambient light alone, a textureless one has a
/// white surface.
fn lighting(
    views: &[ViewSettings],
    rays: Tensor<2>,
    starts: Tensor<1, Int>,
    device: &Device,
) -> Lighting {
    let light = |view: &ViewSettings| {
        let Light {
            position: [x, y, z],
            ambient,
            diffuse,
        } = view.light;
        let white = if view.shading == Shading::Textureless {
            1.0
        } else {
            0.0
        };
        let [ambient, diffuse] = if view.shading == Shading::Albedo {
            [1.0, 0.0]
        } else {
            [ambient, diffuse]
        };
        [x, y, z, ambient, diffuse, white]
    };
    Lighting {
        starts,
        directions: rays.slice_dim(1, 3..6),
        lights: tensor(
            views.iter().flat_map(light).collect(),
            [views.len(), LIGHT],
            device,
        ),
    }
}

/// `[views · size², RAY]`.
fn rays(
    views: &[ViewSettings],
    size: usize,
    jitter: Option<&dyn Fn(usize) -> ChaCha8Rng>,
    device: &Device,
) -> Tensor<2> {
    let mut rows = Vec::with_capacity(views.len() * size * size * RAY);
    for (index, view) in views.iter().enumerate() {
        let mut numbers = jitter.map(|numbers| numbers(index));
        for ray in view.camera.rays(size) {
            rows.extend(<[f32; 3]>::from(ray.origin));
            rows.extend(<[f32; 3]>::from(ray.direction));
            rows.push(numbers.as_mut().map_or(0.5, RngExt::random));
        }
    }
    tensor(rows, [views.len() * size * size, RAY], device)
}

fn empty(views: &[ViewSettings], size: usize, device: &Device) -> Rendered {
    let zeros = |channels: usize| Tensor::zeros([views.len(), channels, size, size], device);
    let color = zeros(3) + backgrounds(views, device);
    Rendered {
        color,
        opacity: zeros(1),
        depth: zeros(1),
        orientation: Tensor::zeros([1], device),
        samples: 0,
    }
}
