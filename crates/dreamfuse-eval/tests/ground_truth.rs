//! The whole loop against a prior that knows the answer: what comes out is the scene, with both its things.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dreamfuse_engine::{Run, RunConfig};
use dreamfuse_eval::{GroundTruthPrior, Mode, Subject, VIEWS, agreement, cameras};
use dreamfuse_toybox::{Scene, parse};

/// Mean IoU and PSNR over all views.
fn compare(run: &Run, truth: &Scene) -> (f64, f64) {
    let of = |camera| {
        agreement(
            &run.image(camera, Mode::Albedo),
            &truth.image(camera, Mode::Albedo),
        )
    };
    let sum = cameras()
        .iter()
        .map(of)
        .fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    (sum.0 / VIEWS as f64, sum.1 / VIEWS as f64)
}

#[test]
fn a_perfect_prior_is_distilled_into_its_scene() {
    let prompt = "a squirrel at an easel";
    let prior = GroundTruthPrior::new(prompt, 32).unwrap();
    // This prior shows albedo only. It has no doubts, so that a short run with high rates does.
    let config = RunConfig {
        prompt: prompt.into(),
        steps: 200,
        lit: 0.0,
        table_rate: 0.01,
        mlp_rate: 0.005,
        ..RunConfig::default()
    };
    let mut run = Run::new(config, &prior).unwrap();
    let truth = Scene::canonical(&parse(prompt).unwrap());
    let (before, _) = compare(&run, &truth);
    while run.step_count() < run.config.steps {
        run.step(&prior).unwrap();
    }
    let (iou, psnr) = compare(&run, &truth);
    assert!(
        before < 0.5,
        "the start is already the answer: IoU {before}"
    );
    assert!(iou > 0.8 && psnr > 18.0, "IoU {iou}, PSNR {psnr} dB");
}
