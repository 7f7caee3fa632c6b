//! Pixel-space diffusion in the shape of DeepFloyd IF's first stage, beside Python: `make_pixel_reference.py` made the
//! checkpoint and the tensors.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::Device;
use common::{
    Reference, assert_close, assert_halves_are_as_near_as_pytorchs, copy_folder, folder,
    unet_output,
};
use dreamfuse_diffusion::text::{TextEncoder, TextPack};
use dreamfuse_diffusion::{Additions, Pipeline};
use dreamfuse_prior::{Batch, Prior, Views};

const TEXTS: [&str; 2] = ["A squirrel  at an easel, painting!", ""];
const TRICKY: [&str; 8] = [
    "a squirrel",
    "  two  spaces ",
    "Café ﬁne ＡＢＣ",
    "日本 語",
    "tab\tand\nline",
    "robots' 12 % of <extra_id_3> <pad> end</s>",
    "½ … “quoted” — dash",
    "🐿 squirrel",
];

fn model() -> (Pipeline, Reference) {
    let path = folder().join("deepfloyd");
    (
        Pipeline::load(&path, &Device::flex()).unwrap(),
        Reference::load(&path),
    )
}

#[test]
fn tokens_are_those_of_transformers() {
    let (pipeline, reference) = model();
    let TextEncoder::T5 { tokenizer, .. } = &pipeline.text else {
        panic!("a T5 text encoder")
    };
    let ids = |texts: &[&str]| {
        let plain = texts
            .iter()
            .map(|text| text.to_lowercase().trim().to_owned());
        plain
            .flat_map(|text| tokenizer.encode(&text).unwrap().0)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&TEXTS), reference.integers("input_ids"));
    let right = reference.integers("tricky_ids");
    for (text, right) in TRICKY.iter().zip(right.chunks(77)) {
        assert_eq!(ids(&[text]), right, "{text:?}");
    }
}

/// The second text is empty: of its 77 tokens one is attended to.
#[test]
fn texts_are_encoded_with_their_masks() {
    let (pipeline, reference) = model();
    let ours = pipeline
        .text
        .encode(&TEXTS.map(String::from), &Device::flex())
        .unwrap()
        .tokens;
    assert_close(ours, reference.floats::<3>("text_embeddings"));
}

#[test]
fn the_unet_computes_what_diffusers_computes() {
    let (pipeline, reference) = model();
    let ours = unet_output(&pipeline, &reference);
    assert_eq!(ours.dims(), [2, 6, 16, 16]);
    assert_close(ours, reference.floats("output"));
}

#[test]
fn halves_are_as_near_as_pytorchs() {
    assert_halves_are_as_near_as_pytorchs("deepfloyd");
}

/// Three of the six channels are the noise; the others are a variance that distillation does not need.
#[test]
fn as_a_prior_it_answers_with_the_noise() {
    let (pipeline, reference) = model();
    assert_eq!(
        (pipeline.spec().resolution, pipeline.spec().sample_shape),
        (16, [3, 16, 16])
    );
    let text = pipeline.condition(&TEXTS.map(String::from)).unwrap();
    let ours = pipeline.predict(&Batch::new(
        reference.floats("sample"),
        &[37, 801],
        &text,
        Views::Unknown,
    ));
    assert_close(ours, reference.floats::<4>("output").narrow(1, 0, 3));
}

#[test]
fn estimates_are_thresholded_as_in_diffusers() {
    let (pipeline, reference) = model();
    assert_close(
        pipeline.clamp_clean(reference.floats("sample")),
        reference.floats("thresholded"),
    );
}

/// A model without its text encoder and tokenizer reads a pack of texts all the same.
#[test]
fn texts_that_were_encoded_before_need_no_text_encoder() {
    let (pipeline, reference) = model();
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("texts.safetensors");
    let texts = TEXTS.map(String::from);
    TextPack::write(
        &path,
        &texts,
        pipeline.text.encode(&texts, &Device::flex()).unwrap(),
    )
    .unwrap();
    for part in ["unet", "scheduler"] {
        copy_folder(
            &folder().join("deepfloyd").join(part),
            &copy.path().join(part),
        );
    }
    let load = |texts| {
        Pipeline::load_with(
            copy.path(),
            &Additions {
                texts,
                ..Additions::default()
            },
            &Device::flex(),
        )
    };
    let error = load(None).err().unwrap().to_string();
    assert!(error.contains("text_encoder/config.json"), "{error}");
    let packed = load(Some(&path)).unwrap();
    assert_close(
        packed.text.encode(&texts, &Device::flex()).unwrap().tokens,
        reference.floats::<3>("text_embeddings"),
    );
    let error = packed.condition(&["a robot".into()]).err().unwrap();
    assert!(
        error.contains("texts.safetensors") && error.contains("\"a robot\""),
        "{error}"
    );
    let unet = folder().join("deepfloyd/unet/diffusion_pytorch_model.safetensors");
    let error = load(Some(&unet)).err().unwrap().to_string();
    assert!(error.contains("no pack of texts"), "{error}");
}
