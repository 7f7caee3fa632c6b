//! Criterion benchmarks: operations at the sizes of the embedded prior and of the default run, and whole steps.

#[path = "../crates/dreamfuse/src/memory.rs"]
mod memory;
mod work;

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use criterion::{Criterion, criterion_group};
use dreamfuse_core::Camera;
use dreamfuse_diffusion::Precision;
use dreamfuse_kernels::adam::{Adam, Parameters};
use dreamfuse_kernels::field::OUTPUTS;
use dreamfuse_kernels::{
    attention, composite, conv2d, field, geglu, group_norm, layer_norm, march, surface,
};
use dreamfuse_scene::SceneConfig;
use work::{DefaultRun, Evaluation, Render, Training, large, small, uvit};

/// Images of a shard of training.
const BATCH: usize = 8;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let tensor = Tensor::random(shape, Distribution::Default, device);
    if device.is_autodiff() {
        tensor.require_grad()
    } else {
        tensor
    }
}

/// Times `run` forward, and forward and backward.
fn both<const D: usize>(
    c: &mut Criterion,
    name: &str,
    mut run: impl FnMut(&Device) -> Box<dyn Fn() -> Tensor<D>>,
) {
    let forward = run(&Device::flex());
    c.bench_function(&format!("{name} forward"), |b| b.iter(&forward));
    let tracked = run(&Device::flex().autodiff());
    c.bench_function(&format!("{name} forward and backward"), |b| {
        b.iter(|| tracked().sum().backward());
    });
}

fn operations(c: &mut Criterion) {
    // The first level's convolutions, and the middle's: many pixels and few channels, and the other way round.
    for [channels, size] in [[32, 32], [128, 8]] {
        both(
            c,
            &format!("conv2d {channels} at {size}x{size}"),
            |device| {
                let (x, b) = (
                    random([BATCH, channels, size, size], device),
                    random([channels], device),
                );
                let w = random([channels, channels, 3, 3], device);
                let settings = conv2d::Settings {
                    stride: 1,
                    padding: 1,
                    is_bf16: false,
                    prepared: None,
                };
                Box::new(move || conv2d(x.clone(), w.clone(), b.clone(), settings.clone()))
            },
        );
    }
    // Self-attention at 16 × 16 pixels.
    both(c, "attention 256 tokens of 64, 4 heads", |device| {
        let [q, k, v] = [0; 3].map(|_| random([BATCH, 256, 64], device));
        Box::new(move || attention(q.clone(), k.clone(), v.clone(), 4))
    });
    both(c, "group_norm 32 at 32x32 with SiLU", |device| {
        let (x, g, b) = (
            random([BATCH, 32, 32, 32], device),
            random([1, 32], device),
            random([1, 32], device),
        );
        let settings = group_norm::Settings {
            groups: 8,
            epsilon: 1e-5,
            silu: true,
        };
        Box::new(move || group_norm(x.clone(), g.clone(), b.clone(), settings))
    });
    both(c, "layer_norm 256 tokens of 64", |device| {
        let (x, g, b) = (
            random([BATCH, 256, 64], device),
            random([64], device),
            random([64], device),
        );
        Box::new(move || layer_norm(x.clone(), g.clone(), b.clone(), 1e-5))
    });
    both(c, "geglu 256 tokens of 256", |device| {
        let x = random([BATCH, 256, 512], device);
        Box::new(move || geglu(x.clone()))
    });
}

/// Samples along 4,096 rays, 16 a ray: what the default run has left in a step.
const SAMPLES: usize = 1 << 16;
const RAYS: usize = 1 << 12;

/// The scene's operations, at the default run's sizes.
fn scene_operations(c: &mut Criterion) {
    let spec = SceneConfig::default().spec();
    for with_gradient in [false, true] {
        let name = if with_gradient {
            "field with normals"
        } else {
            "field"
        };
        both(c, name, |device| {
            let (table, mlp) = (
                random([spec.table_points(), 2], device),
                random([spec.mlp_parameters()], device),
            );
            let positions = random::<2>([SAMPLES, 3], &Device::flex());
            Box::new(move || {
                field(
                    table.clone(),
                    mlp.clone(),
                    positions.clone(),
                    spec,
                    with_gradient,
                )
            })
        });
    }
    both(c, "surface", |device| {
        let (raw, positions) = (
            random([SAMPLES, OUTPUTS], device),
            random::<2>([SAMPLES, 3], &Device::flex()),
        );
        let settings = surface::Settings {
            blob: 8.0,
            blob_radius: 0.4,
            density_scale: 8.0,
        };
        Box::new(move || surface(raw.clone(), positions.clone(), settings))
    });
    both(c, "composite", |device| {
        let (samples, distances) = (
            random([SAMPLES, 4], device),
            random([SAMPLES], &Device::flex()),
        );
        let starts: Vec<i64> = (0..=RAYS)
            .map(|ray| (ray * SAMPLES / RAYS) as i64)
            .collect();
        let starts =
            Tensor::<1, Int>::from_data(TensorData::new(starts, [RAYS + 1]), &Device::flex());
        let settings = composite::Settings {
            step: 0.04,
            detached: 0,
        };
        Box::new(move || composite(samples.clone(), distances.clone(), starts.clone(), settings))
    });
    // Half of the cells, at random, is occupied.
    let grid = march::Occupancy::new(48, |cell| cell * 2_654_435_761 % 97 < 48);
    let rays: Vec<f32> = Camera::orbit(0.4, 0.3)
        .rays(64)
        .into_iter()
        .flat_map(|ray| {
            [
                ray.origin.x,
                ray.origin.y,
                ray.origin.z,
                ray.direction.x,
                ray.direction.y,
                ray.direction.z,
                0.5,
            ]
        })
        .collect();
    let rays = Tensor::<2>::from_data(TensorData::new(rays, [RAYS, march::RAY]), &Device::flex());
    c.bench_function("march 4,096 rays", |b| {
        b.iter(|| march::march(rays.clone(), &grid, 0.04));
    });
    // A twentieth of the table has a gradient.
    let count = spec.table_points() * 2;
    let grad: Vec<f32> = (0..count)
        .map(|i| if i / 32 % 20 == 0 { 0.1 } else { 0.0 })
        .collect();
    let grad = Tensor::<1>::from_floats(grad.as_slice(), &Device::flex());
    let adam = Adam {
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-15,
        weight_decay: 0.0,
    };
    let mut parameters = Parameters::new(grad.zeros_like());
    c.bench_function("sparse step of Adam", |b| {
        b.iter(|| parameters.sparse_step(adam, 9, 1e-2, grad.clone()));
    });
}

fn steps(c: &mut Criterion) {
    for (name, lit) in [("render step", false), ("render step, lit", true)] {
        let work = Render::new(1.0, lit);
        c.bench_function(name, |b| b.iter(|| work.step()));
    }
    for (name, config) in [("64x64", large()), ("embedded", small()), ("uvit", uvit())] {
        let work = Evaluation::new(&config.network(), config.tokens, Precision::F32);
        c.bench_function(&format!("guided evaluation, {name}"), |b| {
            b.iter(|| work.run());
        });
        let mut work = Training::new(config, Precision::F32);
        c.bench_function(&format!("training step, {name}"), |b| {
            b.iter(|| work.steps(1));
        });
    }
    let mut work = DefaultRun::new(100, true);
    c.bench_function("step of the default run", |b| b.iter(|| work.step()));
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = operations, scene_operations, steps }
fn main() {
    memory::keep_freed();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
