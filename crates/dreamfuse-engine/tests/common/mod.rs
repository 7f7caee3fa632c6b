//! Two steps of a run, to be compared with the same on another device or with other numbers.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dreamfuse_engine::{Report, Run, RunConfig, load_prior};

pub fn config(device: &str) -> RunConfig {
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
pub fn two_steps(config: RunConfig) -> ([Report; 2], Vec<f32>) {
    let prior = load_prior(&config).unwrap();
    let mut run = Run::new(config, &prior).unwrap();
    let reports = [(); 2].map(|()| run.step(&prior).unwrap());
    let points: Vec<[f32; 3]> = (0..200).map(|i| [0.005 * i as f32 - 0.5; 3]).collect();
    let densities = run.field().densities(&points);
    // A process that ends while a software driver still works, if only to free what the run held, may crash in it.
    let device = run.field().table.device();
    drop((run, prior));
    device.sync().unwrap();
    (reports, densities)
}

#[track_caller]
pub fn assert_near(
    (cpu, of_cpu): ([Report; 2], Vec<f32>),
    (gpu, of_gpu): ([Report; 2], Vec<f32>),
    most: f32,
) {
    let densities = (of_cpu, of_gpu);
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        // A sample within rounding of a wall may be on either side of it.
        assert!(
            cpu.samples.abs_diff(gpu.samples) < 20,
            "{} samples and {}",
            cpu.samples,
            gpu.samples
        );
        let is_near = |a: f32, b: f32, by: f32| (a - b).abs() <= by * a.abs();
        assert!(
            is_near(cpu.opacity, gpu.opacity, 1e-3),
            "opacity {} and {}",
            cpu.opacity,
            gpu.opacity
        );
        let (a, b) = (cpu.gradient_norm, gpu.gradient_norm);
        assert!(is_near(a, b, most), "gradients of norm {a} and {b}");
    }
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let apart = norm(&mut densities.0.iter().zip(&densities.1).map(|(a, b)| a - b));
    let error = apart / norm(&mut densities.0.iter().copied());
    assert!(
        error < most,
        "the densities after two steps are {error:.2e} apart"
    );
}
