//! The whole loop against a prior that knows the answer: what comes out is the scene, with both its things.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dreamfuse_engine::{
    ExportOptions, RefineConfig, RefineMethod, Run, RunConfig, export_mesh, refine,
};
use dreamfuse_eval::{GroundTruthPrior, agreement};
use dreamfuse_toybox::{Scene, parse};
use std::ops::ControlFlow;

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
    let before = agreement(&run.snapshot(), &truth);
    while run.step_count() < run.config.steps {
        run.step(&prior).unwrap();
    }
    let after = agreement(&run.snapshot(), &truth);
    assert!(
        before.iou < 0.5,
        "the start is already the answer: {before:?}"
    );
    assert!(after.iou > 0.92 && after.psnr > 19.5, "{after:?}");
    // The second stage, with larger images of the same prior.
    let sharp = GroundTruthPrior::new(prompt, 96).unwrap();
    run.config.refine = RefineConfig {
        steps: 12,
        guidance_scale: 1.0,
        vertex_rate: 0.003,
        ..RefineConfig::default()
    };
    let options = ExportOptions {
        cells: 96,
        faces: 6000,
        texture: 512,
        ..ExportOptions::of(&run.config)
    };
    let mut exported = export_mesh(&run.snapshot(), options).unwrap();
    let baked = agreement(&exported.model, &truth);
    // By the gradient of score distillation, from the same start.
    let mut by_guidance = exported.clone();
    let config = run.config.refine.clone();
    run.config.refine.method = RefineMethod::Guidance;
    run.config.refine.noise = [0.5; 2];
    run.config.guidance.clip = f64::INFINITY.into();
    let stage = refine(&run, &sharp, &mut by_guidance, &mut |_| {
        Ok(ControlFlow::Continue(()))
    });
    assert!(stage.unwrap().is_continue());
    let guided = agreement(&by_guidance.model, &truth);
    assert!(
        guided.psnr > baked.psnr + 2.0 && guided.iou > baked.iou + 0.005,
        "{baked:?} {guided:?}"
    );
    run.config.refine = config;
    let mut changes = Vec::new();
    let stage = refine(&run, &sharp, &mut exported, &mut |report| {
        changes.push(report.change);
        Ok(ControlFlow::Continue(()))
    });
    assert!(stage.unwrap().is_continue() && changes.len() == 12);
    let refined = agreement(&exported.model, &truth);
    assert!(
        refined.psnr > baked.psnr + 3.0
            && refined.sharpness > baked.sharpness + 0.25
            && refined.iou > baked.iou + 0.005
            && exported.self_intersections == 0,
        "{baked:?} {refined:?} {changes:?}"
    );
}
