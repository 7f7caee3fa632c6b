//! Four views at once in the shape of MVDream, beside its authors' own code: `make_multi_view_reference.py` made the
//! checkpoint and the tensors.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{Reference, assert_close, folder, relative_error};
use dreamfuse_core::Camera;
use dreamfuse_diffusion::{FrozenPrior, Pipeline, ReadText};

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

fn text(pipeline: &Pipeline, reference: &Reference) -> ReadText {
    pipeline.unet.read(&reference.floats("text_embeddings"))
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

#[test]
fn four_views_are_answered_together() {
    let (pipeline, reference) = model();
    assert!(pipeline.takes_camera());
    assert_eq!(pipeline.views_together(), 4);
    let text = text(&pipeline, &reference);
    let ours = pipeline.noise(
        reference.floats("sample"),
        &TIMESTEPS,
        text,
        Some(&cameras()),
    );
    assert_close(ours, reference.floats("output"));
}

#[test]
fn without_cameras_each_picture_is_by_itself() {
    let (pipeline, reference) = model();
    let answer = |cameras: Option<&[Camera]>, count: usize| {
        let text = text(&pipeline, &reference).part(0..count);
        let sample = reference.floats::<4>("sample").narrow(0, 0, count);
        pipeline.noise(sample, &TIMESTEPS[..count], text, cameras)
    };
    assert_close(answer(None, 8), reference.floats("output_single"));
    // Three views are no row of four.
    assert_close(
        answer(Some(&cameras()[..3]), 3),
        reference.floats::<4>("output_single").narrow(0, 0, 3),
    );
}

#[test]
fn views_in_another_order_are_the_same_views() {
    let (pipeline, reference) = model();
    let order = [2, 0, 3, 1, 5, 4, 7, 6];
    let pick = |x: Tensor<4>| {
        Tensor::cat(
            order.iter().map(|&i| x.clone().narrow(0, i, 1)).collect(),
            0,
        )
    };
    let cameras = cameras();
    let moved: Vec<Camera> = order.iter().map(|&index| cameras[index]).collect();
    let texts = text(&pipeline, &reference);
    let text = ReadText::cat(&order.map(|index| texts.part(index..index + 1)));
    let ours = pipeline.noise(
        pick(reference.floats("sample")),
        &TIMESTEPS,
        text,
        Some(&moved),
    );
    assert_close(ours, pick(reference.floats("output")));
    // Another camera, by contrast, is another view.
    let ours = pipeline.noise(reference.floats("sample"), &TIMESTEPS, texts, Some(&moved));
    assert!(relative_error(ours, reference.floats::<4>("output")) > 1e-2);
}
