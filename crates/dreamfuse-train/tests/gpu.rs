//! Training on a GPU is training on the CPU. Needs the feature `wgpu` and an adapter, which may be software.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use burn::tensor::{Device, DeviceKind};
use dreamfuse_diffusion::Precision;
use dreamfuse_train::{TrainConfig, Trainer};
use std::ops::ControlFlow;

/// Loss and norm of the gradient in the first three steps: each sees what the ones before it changed.
fn three_steps(device: &Device) -> Vec<[f64; 2]> {
    let config: TrainConfig = toml::from_str(include_str!("../configs/prior-32.toml")).unwrap();
    let config = TrainConfig {
        size: 8,
        batch: 4,
        channels: vec![8, 16],
        text_width: 16,
        text_layers: 1,
        warmup_steps: 1,
        rate: 4e-3,
        ..config
    };
    let mut seen = Vec::new();
    let mut trainer = Trainer::new(config).unwrap().on(device, Precision::F32);
    let observe = |_: &Trainer, now: dreamfuse_train::Progress| {
        seen.push([f64::from(now.loss), now.gradient_norm]);
        ControlFlow::Continue(())
    };
    trainer.run(3, observe).unwrap();
    // A process that ends while a software driver still works, if only to free what the trainer held, may crash in it.
    drop(trainer);
    device.sync().unwrap();
    seen
}

#[test]
fn training_on_a_gpu_is_training_on_the_cpu() {
    let (cpu, gpu) = (
        three_steps(&Device::flex()),
        three_steps(&Device::wgpu(DeviceKind::DefaultDevice)),
    );
    assert_ne!(cpu[0][0], cpu[2][0], "the steps change nothing");
    for (step, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
        for (what, a, b) in [("losses", cpu[0], gpu[0]), ("norms", cpu[1], gpu[1])] {
            assert!(
                (a / b - 1.0).abs() < 1e-2,
                "{what} {a} and {b} in step {step}"
            );
        }
    }
}
