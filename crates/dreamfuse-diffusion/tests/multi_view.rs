//! Four views at once in the shape of MVDream, beside its authors' own code: `make_multi_view_reference.py` made the
//! checkpoint and the tensors.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{Reference, assert_close, folder, relative_error};
use dreamfuse_core::{Camera, Told};
use dreamfuse_diffusion::Pipeline;
use dreamfuse_prior::{Batch, Conditioning, Prior, Views};

const TIMESTEPS: [usize; 8] = [37, 37, 37, 37, 801, 801, 801, 801];

fn model() -> (Pipeline, Reference) {
    let path = folder().join("mvdream.safetensors");
    (
        Pipeline::load(&path, &Device::flex()).unwrap(),
        Reference::load(&folder().join("mvdream")),
    )
}

/// As `get_camera(4, elevation=15, azimuth_start=30)`, twice.
fn cameras() -> Vec<Camera> {
    let camera = |index: u16| {
        Camera::orbit(
            (30.0 + 90.0 * f32::from(index)).to_radians(),
            15f32.to_radians(),
        )
    };
    (0..8).map(|index| camera(index % 4)).collect()
}

fn text(pipeline: &Pipeline, reference: &Reference) -> Conditioning {
    pipeline
        .network
        .read(&reference.floats("text_embeddings"), None, 0)
}

#[test]
fn cameras_are_told_as_mvdream_tells_them() {
    let values: Vec<f32> = cameras()[..4].iter().flat_map(Camera::matrix).collect();
    let ours = Tensor::<2>::from_data(
        TensorData::new(values, [4, Camera::MATRIX]),
        &Device::flex(),
    );
    assert_close(ours, model().1.floats("cameras"));
}

fn told() -> Vec<Told> {
    cameras().into_iter().map(Told::camera).collect()
}

/// The answer to the reference's samples, together.
fn together(
    pipeline: &Pipeline,
    samples: Tensor<4>,
    text: &Conditioning,
    told: &[Told],
) -> Tensor<4> {
    let views = Views::Groups { told, per_group: 4 };
    pipeline.predict(&Batch::new(samples, &TIMESTEPS, text, views))
}

#[test]
fn four_views_are_answered_together() {
    let (pipeline, reference) = model();
    assert!(pipeline.spec().takes_camera);
    assert_eq!(pipeline.spec().views_per_group, 4);
    let text = text(&pipeline, &reference);
    let ours = together(&pipeline, reference.floats("sample"), &text, &told());
    assert_close(ours, reference.floats("output"));
}

#[test]
fn views_that_are_no_group_are_seen_by_themselves() {
    let (pipeline, reference) = model();
    let answer = |views: Views, count: usize| {
        let text = text(&pipeline, &reference).slice(0..count);
        let sample = reference.floats::<4>("sample").narrow(0, 0, count);
        pipeline.predict(&Batch::new(sample, &TIMESTEPS[..count], &text, views))
    };
    let single = reference.floats::<4>("output_single");
    assert_close(answer(Views::Unknown, 8), single.clone());
    assert_close(answer(Views::Each(&told()[..3]), 3), single.narrow(0, 0, 3));
}

/// As the detector of the Janus problem asks: one image at four noise levels. Were they taken for a
/// group of views, the least noisy one would show the others the image.
#[test]
fn noise_levels_of_one_image_do_not_attend_to_each_other() {
    let (pipeline, reference) = model();
    let (told, timesteps) = ([told()[0]; 4], [100, 400, 700, 900]);
    let text = text(&pipeline, &reference).select(&[0; 4]);
    let samples = reference.floats::<4>("sample").narrow(0, 0, 4);
    let answer = |samples: Tensor<4>| {
        let batch = Batch::new(samples, &timesteps, &text, Views::Each(&told));
        pipeline.predict(&batch)
    };
    let whole = answer(samples.clone());
    // Another image at the lowest noise level changes nothing at the others.
    let other = samples.clone().narrow(0, 0, 1) * -1.0;
    let changed = answer(Tensor::cat(vec![other, samples.narrow(0, 1, 3)], 0));
    let error = relative_error(changed.narrow(0, 1, 3), whole.narrow(0, 1, 3));
    assert!(error < 1e-6, "{error}");
}

#[test]
fn views_in_another_order_are_the_same_views() {
    let (pipeline, reference) = model();
    let order = [2, 0, 3, 1, 5, 4, 7, 6];
    let pick = |x: Tensor<4>| {
        let parts = order.iter().map(|&i| x.clone().narrow(0, i, 1));
        Tensor::cat(parts.collect(), 0)
    };
    let told = told();
    let moved: Vec<Told> = order.iter().map(|&index| told[index]).collect();
    let texts = text(&pipeline, &reference);
    let samples = pick(reference.floats("sample"));
    let ours = together(&pipeline, samples, &texts.select(&order), &moved);
    assert_close(ours, pick(reference.floats("output")));
    // Another camera, by contrast, is another view.
    let ours = together(&pipeline, reference.floats("sample"), &texts, &moved);
    assert!(relative_error(ours, reference.floats::<4>("output")) > 1e-2);
}
