//! Criterion benchmarks: operations at the sizes of the embedded prior, and whole steps.

#[path = "../crates/dreamfuse/src/memory.rs"]
mod memory;
mod work;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group};
use dreamfuse_kernels::{attention, conv2d, geglu, group_norm, layer_norm};
use work::{DefaultRun, Evaluation, Render, Training, large, small};

/// Pictures of a shard of training.
const BATCH: usize = 8;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let tensor = Tensor::random(shape, Distribution::Default, device);
    if device.is_autodiff() { tensor.require_grad() } else { tensor }
}

/// Times `run` forward, and forward and backward.
fn both<const D: usize>(c: &mut Criterion, name: &str, mut run: impl FnMut(&Device) -> Box<dyn Fn() -> Tensor<D>>) {
    let forward = run(&Device::flex());
    c.bench_function(&format!("{name} forward"), |b| b.iter(&forward));
    let tracked = run(&Device::flex().autodiff());
    c.bench_function(&format!("{name} forward and backward"), |b| b.iter(|| tracked().sum().backward()));
}

fn operations(c: &mut Criterion) {
    // The first level's convolutions, and the middle's: many pixels and few channels, and the other way round.
    for [channels, size] in [[32, 32], [128, 8]] {
        both(c, &format!("conv2d {channels} at {size}x{size}"), |device| {
            let (x, b) = (random([BATCH, channels, size, size], device), random([channels], device));
            let w = random([channels, channels, 3, 3], device);
            let settings = conv2d::Settings { stride: 1, padding: 1, prepared: None };
            Box::new(move || conv2d(x.clone(), w.clone(), b.clone(), settings.clone()))
        });
    }
    // Self-attention at 16 × 16 pixels.
    both(c, "attention 256 tokens of 64, 4 heads", |device| {
        let [q, k, v] = [0; 3].map(|_| random([BATCH, 256, 64], device));
        Box::new(move || attention(q.clone(), k.clone(), v.clone(), 4))
    });
    both(c, "group_norm 32 at 32x32 with SiLU", |device| {
        let (x, g, b) = (random([BATCH, 32, 32, 32], device), random([1, 32], device), random([1, 32], device));
        let settings = group_norm::Settings { groups: 8, epsilon: 1e-5, silu: true };
        Box::new(move || group_norm(x.clone(), g.clone(), b.clone(), settings))
    });
    both(c, "layer_norm 256 tokens of 64", |device| {
        let (x, g, b) = (random([BATCH, 256, 64], device), random([64], device), random([64], device));
        Box::new(move || layer_norm(x.clone(), g.clone(), b.clone(), 1e-5))
    });
    both(c, "geglu 256 tokens of 256", |device| {
        let x = random([BATCH, 256, 512], device);
        Box::new(move || geglu(x.clone()))
    });
}

fn steps(c: &mut Criterion) {
    for (name, lit) in [("render step", false), ("render step, lit", true)] {
        let work = Render::new(1.0, lit);
        c.bench_function(name, |b| b.iter(|| work.step()));
    }
    for (name, config) in [("64x64", large()), ("embedded", small())] {
        let work = Evaluation::new(&config.unet(), config.tokens);
        c.bench_function(&format!("guided evaluation, {name}"), |b| b.iter(|| work.run()));
        let mut work = Training::new(config);
        c.bench_function(&format!("training step, {name}"), |b| b.iter(|| work.steps(1)));
    }
    let mut work = DefaultRun::new(100, true);
    c.bench_function("step of the default run", |b| b.iter(|| work.step()));
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = operations, steps }
fn main() {
    memory::keep_freed();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
