//! Latent diffusion in the shape of Stable Diffusion XL, beside Python: `make_xl_reference.py` made the checkpoint and the
//! tensors.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::{Device, Tensor};
use common::{
    Reference, assert_close, assert_halves_are_as_near_as_pytorchs, copy_folder, folder,
    relative_error,
};
use dreamfuse_diffusion::text::{TextEncoder, TextPack};
use dreamfuse_diffusion::{Additions, CheckpointError, LoraSource, Pipeline};
use dreamfuse_prior::Prior;
use serde_json::Value;
use std::path::Path;

const TEXTS: [&str; 2] = ["a squirrel at an easel!", "two robots"];
const TIMESTEPS: [usize; 2] = [37, 801];

fn model() -> (Pipeline, Reference) {
    let path = folder().join("sdxl");
    (
        Pipeline::load(&path, &Device::flex()).unwrap(),
        Reference::load(&path),
    )
}

/// In a folder, and in a single file with the folder's configurations beside it.
fn models() -> Vec<(Pipeline, Reference)> {
    let (folder_model, reference) = model();
    let file = Pipeline::load(&folder().join("sdxl.safetensors"), &Device::flex()).unwrap();
    vec![
        (folder_model, reference),
        (file, Reference::load(&folder().join("sdxl"))),
    ]
}

/// The copy of the folder, with one key of a configuration changed.
fn changed(file: &str, key: &str, value: Value) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&folder().join("sdxl"), copy.path());
    let path = copy.path().join(file);
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(path, config.to_string()).unwrap();
    copy
}

#[track_caller]
fn assert_refused(file: &str, key: &str, value: Value, named: &str) {
    let copy = changed(file, key, value);
    let line = Pipeline::load(copy.path(), &Device::flex())
        .err()
        .unwrap()
        .to_string();
    assert!(
        line.contains("config.json") && line.contains(named) && !line.contains('\n'),
        "{line}"
    );
}

#[test]
fn both_tokenizers_are_those_of_transformers() {
    let (pipeline, reference) = model();
    let TextEncoder::ClipPair(pair) = &pipeline.text else {
        panic!("two CLIP text encoders")
    };
    for (tokenizer, name) in pair.tokenizers.iter().zip(["input_ids", "input_ids_2"]) {
        let ids: Vec<i64> = TEXTS
            .iter()
            .flat_map(|text| tokenizer.encode(text).unwrap())
            .collect();
        assert_eq!(ids, reference.integers(name), "{name}");
    }
    assert_ne!(
        reference.integers("input_ids"),
        reference.integers("input_ids_2"),
        "one pads as the other"
    );
}

#[test]
fn texts_are_encoded_by_both_and_pooled_by_the_second() {
    for (pipeline, reference) in models() {
        let ours = pipeline
            .text
            .encode(&TEXTS.map(String::from), &Device::flex())
            .unwrap();
        assert_close(ours.tokens, reference.floats::<3>("text_embeddings"));
        assert_close(ours.pooled.unwrap(), reference.floats::<2>("pooled"));
    }
}

#[test]
fn the_empty_text_is_zeros_unless_the_index_says_otherwise() {
    let largest = |pipeline: &Pipeline| {
        let ours = pipeline
            .text
            .encode(&[String::new()], &Device::flex())
            .unwrap();
        let largest = |x: Tensor<1>| x.abs().max().into_scalar::<f32>();
        [
            largest(ours.tokens.reshape([-1])),
            largest(ours.pooled.unwrap().reshape([-1])),
        ]
    };
    assert_eq!(largest(&model().0), [0.0; 2]);
    let copy = changed(
        "model_index.json",
        "force_zeros_for_empty_prompt",
        Value::Bool(false),
    );
    let [tokens, pooled] = largest(&Pipeline::load(copy.path(), &Device::flex()).unwrap());
    assert!(tokens > 0.1 && pooled > 0.1, "{tokens} {pooled}");
}

/// By way of the prior's own reading of texts: with the sizes that diffusers tells a whole image.
#[test]
fn the_unet_computes_what_diffusers_computes() {
    for (pipeline, reference) in models() {
        assert_eq!(
            (
                pipeline.spec().resolution,
                pipeline.spec().sample_shape,
                pipeline.spec().takes_camera
            ),
            (16, [4, 8, 8], false)
        );
        for (texts, name) in [(TEXTS, "output"), (["", ""], "output_empty")] {
            let text = pipeline.condition(&texts.map(String::from)).unwrap();
            let ours = pipeline.network.unet().unwrap().forward(
                reference.floats("sample"),
                &TIMESTEPS,
                &text,
                None,
            );
            assert_close(ours, reference.floats::<4>(name));
        }
    }
    let (_, reference) = model();
    let difference = relative_error(
        reference.floats::<4>("output_empty"),
        reference.floats("output"),
    );
    assert!(
        difference > 0.01,
        "the text changes next to nothing: {difference}"
    );
}

#[test]
fn halves_are_as_near_as_pytorchs() {
    assert_halves_are_as_near_as_pytorchs("sdxl");
}

#[test]
fn images_become_latents_of_the_folders_scale_and_images_again() {
    for (pipeline, reference) in models() {
        assert_close(
            pipeline.encode(reference.floats("picture")).samples,
            reference.floats::<4>("latents"),
        );
        assert_close(
            pipeline.decode(reference.floats("latents")),
            reference.floats::<4>("decoded"),
        );
    }
}

#[test]
fn adaptations_reach_all_three_networks() {
    let reference = Reference::load(&folder().join("sdxl"));
    let path = folder().join("sdxl/lora.safetensors");
    let lora: LoraSource = format!("{}:0.7", path.display()).parse().unwrap();
    let with = |model: &Path| {
        Pipeline::load_with(
            model,
            &Additions {
                loras: std::slice::from_ref(&lora),
                ..Additions::default()
            },
            &Device::flex(),
        )
    };
    let pipeline = with(&folder().join("sdxl")).unwrap();
    let ours = pipeline
        .text
        .encode(&TEXTS.map(String::from), &Device::flex())
        .unwrap();
    assert_close(ours.tokens, reference.floats::<3>("text_embeddings_lora"));
    assert_close(ours.pooled.unwrap(), reference.floats::<2>("pooled_lora"));
    let text = pipeline.condition(&TEXTS.map(String::from)).unwrap();
    let ours = pipeline.network.unet().unwrap().forward(
        reference.floats("sample"),
        &TIMESTEPS,
        &text,
        None,
    );
    assert_close(ours, reference.floats::<4>("output_lora"));
    let Err(CheckpointError::UnknownKey { key, .. }) = with(&folder().join("sd15")) else {
        panic!("sd15 has no second text encoder");
    };
    assert!(key.starts_with("lora_te2_"), "{key}");
}

#[test]
fn packed_texts_are_the_encoders() {
    let (pipeline, reference) = model();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("texts.safetensors");
    let texts = TEXTS.map(String::from);
    TextPack::write(
        &path,
        &texts,
        pipeline.text.encode(&texts, &Device::flex()).unwrap(),
    )
    .unwrap();
    let additions = Additions {
        texts: Some(&path),
        ..Additions::default()
    };
    let packed = Pipeline::load_with(&folder().join("sdxl"), &additions, &Device::flex()).unwrap();
    let ours = packed.text.encode(&texts, &Device::flex()).unwrap();
    assert_close(ours.tokens, reference.floats::<3>("text_embeddings"));
    assert_close(ours.pooled.unwrap(), reference.floats::<2>("pooled"));
    let missing = packed
        .text
        .encode(&["another".into()], &Device::flex())
        .unwrap_err();
    assert!(missing.contains("another"), "{missing}");
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let unet = "unet/config.json";
    assert_refused(
        unet,
        "addition_time_embed_dim",
        3.into(),
        "addition_time_embed_dim",
    );
    assert_refused(
        unet,
        "projection_class_embeddings_input_dim",
        20.into(),
        "projection_class_embeddings_input_dim",
    );
    assert_refused(
        unet,
        "projection_class_embeddings_input_dim",
        40.into(),
        "one 16 wide",
    );
    assert_refused(
        unet,
        "transformer_layers_per_block",
        serde_json::json!([1, 2, 10]),
        "transformer_layers_per_block",
    );
    assert_refused(
        unet,
        "addition_embed_type",
        "text_image".into(),
        "addition_embed_type",
    );
    let second = "text_encoder_2/config.json";
    assert_refused(second, "projection_dim", Value::Null, "projection_dim");
    assert_refused(
        second,
        "num_attention_heads",
        5.into(),
        "num_attention_heads",
    );
    assert_refused(
        "tokenizer_2/tokenizer_config.json",
        "model_max_length",
        20.into(),
        "model_max_length 20",
    );
    assert_refused(
        unet,
        "addition_time_embed_dim",
        (1u64 << 62).into(),
        "addition_time_embed_dim",
    );
}
