//! A step on a GPU is the CPU's step. Needs the feature `wgpu` and an adapter, which may be software.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dreamfuse_diffusion::Precision;
use dreamfuse_engine::{Report, Run, RunConfig, device, load_prior};

fn config(device: &str) -> RunConfig {
    RunConfig {
        prompt: "a red mushroom".into(),
        seed: 4,
        views: 2,
        // Normals and lights from the first step on.
        albedo_only: 0.0,
        lit: 1.0,
        device: device.into(),
        ..RunConfig::default()
    }
}

/// The report of the first step, and of a second one, which sees what the first did to the scene; then the scene's
/// densities along a diagonal.
fn two_steps(config: RunConfig) -> ([Report; 2], Vec<f32>) {
    let prior = load_prior(&config).unwrap();
    let mut run = Run::new(config, &prior).unwrap();
    let reports = [(); 2].map(|()| run.step(&prior).unwrap());
    let points: Vec<[f32; 3]> = (0..200).map(|i| [0.005 * i as f32 - 0.5; 3]).collect();
    let densities = run.field().densities(&points);
    // A process that ends while a software driver still works may crash in it.
    run.field().table.device().sync().unwrap();
    (reports, densities)
}

#[test]
fn a_step_on_a_gpu_is_the_step_on_the_cpu() {
    assert_near(two_steps(config("cpu")), two_steps(config("wgpu")), 1e-2);
}

#[test]
fn a_prior_in_half_precision_is_near_or_refused() {
    let half = RunConfig { precision: Precision::F16, ..config("wgpu") };
    match device("wgpu", Precision::F16) {
        Ok(_) => assert_near(two_steps(config("wgpu")), two_steps(half), 5e-2),
        Err(_) => assert!(load_prior(&half).err().unwrap().to_string().contains("precision = f16")),
    }
}

fn assert_near((cpu, of_cpu): ([Report; 2], Vec<f32>), (gpu, of_gpu): ([Report; 2], Vec<f32>), most: f32) {
    let densities = (of_cpu, of_gpu);
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        // A sample within rounding of a wall may be on either side of it.
        assert!(cpu.samples.abs_diff(gpu.samples) < 20, "{} samples and {}", cpu.samples, gpu.samples);
        let is_near = |a: f32, b: f32, by: f32| (a - b).abs() <= by * a.abs();
        assert!(is_near(cpu.opacity, gpu.opacity, 1e-3), "opacity {} and {}", cpu.opacity, gpu.opacity);
        let (a, b) = (cpu.gradient_norm, gpu.gradient_norm);
        assert!(is_near(a, b, most), "gradients of norm {a} and {b}");
    }
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let apart = norm(&mut densities.0.iter().zip(&densities.1).map(|(a, b)| a - b));
    let error = apart / norm(&mut densities.0.iter().copied());
    assert!(error < most, "the densities after two steps are {error:.2e} apart");
}
