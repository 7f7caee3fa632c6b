//! Parity with Python's own classes: `make_reference.py` beside this file made the tensors.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use common::{Reference, assert_close, copy_folder, folder, relative_error};
use dreamfuse_core::{Camera, Shading, Told};
use dreamfuse_diffusion::checkpoint::read_json;
use dreamfuse_diffusion::clip_text::{ClipTextConfig, ClipTextModel};
use dreamfuse_diffusion::pipeline::{Folder, clip_tokenizer};
use dreamfuse_diffusion::unet::{UNet, UNetConfig};
use dreamfuse_diffusion::{CheckpointError, Pipeline, Weights};
use dreamfuse_prior::{Batch, Prior, Views};
use safetensors::SafeTensors;
use serde_json::json;
use std::path::Path;

fn load_text(folder: &Path) -> ClipTextModel {
    let config: ClipTextConfig = read_json(&folder.join("config.json")).unwrap();
    let path = folder.join("model.safetensors");
    ClipTextModel::load(&config, Weights::open(&path).unwrap(), &Device::flex()).unwrap()
}

fn load_unet(folder: &Path) -> UNet {
    let config: UNetConfig = read_json(&folder.join("config.json")).unwrap();
    let path = folder.join("diffusion_pytorch_model.safetensors");
    UNet::load(&config, Weights::open(&path).unwrap(), &Device::flex()).unwrap()
}

#[test]
fn token_ids_are_those_of_transformers() {
    let tokenizer = clip_tokenizer(&Folder(&folder())).unwrap();
    let cases: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder().join("tokens.json")).unwrap())
            .unwrap();
    let mut compared = 0;
    for case in cases.as_array().unwrap() {
        let (text, right) = (
            case["text"].as_str().unwrap(),
            case["ids"].as_array().unwrap(),
        );
        let right: Vec<i64> = right.iter().map(|id| id.as_i64().unwrap()).collect();
        assert_eq!(tokenizer.token_ids(text).unwrap(), right, "{text}");
        compared += right.len();
    }
    assert!(compared > 50);
    let reference = Reference::load(&folder());
    let padded = tokenizer.encode("a squirrel at an easel").unwrap();
    assert_eq!(padded, reference.integers("input_ids")[..padded.len()]);
}

#[test]
fn text_embeddings_are_those_of_transformers() {
    let reference = Reference::load(&folder());
    let ids = reference.integers("input_ids");
    let ids = Tensor::<2, Int>::from_data(
        TensorData::new(ids.clone(), [3, ids.len() / 3]),
        &Device::flex(),
    );
    let ours = load_text(&folder().join("text_encoder")).forward(ids);
    let error = relative_error(ours, reference.floats::<3>("text_embeddings"));
    assert!(error <= 1e-4, "relative error {error:.2e}");
}

/// The shipped weights, not small random ones: `make_embedded_reference.py` read the same folder.
#[test]
fn the_built_in_prior_computes_what_python_computes() {
    let prior = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/embedded-prior");
    let reference = Reference::load(&folder().join("embedded"));
    let ids = reference.integers("input_ids");
    let padded = clip_tokenizer(&Folder(&prior))
        .unwrap()
        .encode("a squirrel at an easel")
        .unwrap();
    assert_eq!(padded, ids[..padded.len()]);
    let ids = Tensor::<2, Int>::from_data(
        TensorData::new(ids.clone(), [2, ids.len() / 2]),
        &Device::flex(),
    );
    assert_close(
        load_text(&prior.join("text_encoder")).forward(ids),
        reference.floats::<3>("text_embeddings"),
    );
    assert_close(
        unet_output(&load_unet(&prior.join("unet")), &reference),
        reference.floats("output"),
    );
}

fn unet_output(unet: &UNet, reference: &Reference) -> Tensor<4> {
    let timesteps: Vec<usize> = reference
        .integers("timesteps")
        .iter()
        .map(|t| *t as usize)
        .collect();
    unet.forward(
        reference.floats("sample"),
        &timesteps,
        &unet.read(&reference.floats("text_embeddings")),
        Some(reference.floats("class_labels")),
    )
}

#[test]
fn the_unet_computes_what_diffusers_computes() {
    let reference = Reference::load(&folder());
    for (name, output) in [
        ("unet", "output"),
        ("unet_scale_shift", "output_scale_shift"),
    ] {
        let ours = unet_output(&load_unet(&folder().join(name)), &reference);
        let error = relative_error(ours, reference.floats(output));
        assert!(error <= 1e-4, "{name}: relative error {error:.2e}");
    }
}

#[test]
fn a_network_that_is_told_more_starts_as_the_one_that_was_told_less() {
    let reference = Reference::load(&folder());
    let path = folder().join("unet");
    let before = load_unet(&path);
    let config = UNetConfig {
        projection_class_embeddings_input_dim: Some(Told::CONDITIONING),
        ..before.config().clone()
    };
    let weights = Weights::open(&path.join("diffusion_pytorch_model.safetensors")).unwrap();
    let grown = UNet::grow(&config, weights, &Device::flex()).unwrap();
    let timesteps: Vec<usize> = reference
        .integers("timesteps")
        .iter()
        .map(|t| *t as usize)
        .collect();
    let told: Vec<f32> = (0..timesteps.len())
        .flat_map(|index| {
            let told = Told {
                shading: Some(Shading::Textureless),
                background: Some([0.9, 0.1, 0.2]),
                canonical: Some(true),
                is_turned: false,
                ..Told::camera(Camera::orbit(index as f32, 0.3))
            };
            told.conditioning()
        })
        .collect();
    let text = before.read(&reference.floats("text_embeddings"));
    let answer = |network: &UNet, width: usize| {
        let rows = told.chunks_exact(Told::CONDITIONING);
        let labels: Vec<f32> = rows.flat_map(|row| row[..width].to_vec()).collect();
        let labels = TensorData::new(labels, [timesteps.len(), width]);
        let labels = Tensor::from_data(labels, &Device::flex());
        network.forward(reference.floats("sample"), &timesteps, &text, Some(labels))
    };
    let expected = answer(&before, Camera::CONDITIONING);
    let error = relative_error(answer(&grown, Told::CONDITIONING), expected);
    assert!(error <= 1e-6, "relative error {error:.2e}");
}

#[test]
fn parts_of_a_batch_are_put_together_in_order() {
    let reference = Reference::load(&folder());
    let pipeline = Pipeline::load(&folder(), &Device::flex()).unwrap();
    let cameras = [0.0, 0.8, 2.5].map(|azimuth| Camera::orbit(azimuth, 0.3));
    let (noisy, timesteps) = (reference.floats::<4>("sample"), [37, 500, 801]);
    let (unet, text) = (
        load_unet(&folder().join("unet")),
        reference.floats("text_embeddings"),
    );
    let labels = cameras.iter().flat_map(Camera::conditioning).collect();
    let labels = Tensor::from_data(
        TensorData::new(labels, [3, Camera::CONDITIONING]),
        &Device::flex(),
    );
    let whole = unet.forward(noisy.clone(), &timesteps, &unet.read(&text), Some(labels));
    let right = pipeline.schedule.noise_of(noisy.clone(), whole, &timesteps);
    let (text, told) = (
        pipeline.network.read(&text, None, 0),
        cameras.map(Told::camera),
    );
    let batch = Batch::new(noisy, &timesteps, &text, Views::Each(&told));
    let error = relative_error(pipeline.predict(&batch), right);
    assert!(error <= 1e-5, "relative error {error:.2e}");
}

#[test]
fn saved_checkpoints_have_the_keys_and_values_that_were_read() {
    let out = tempfile::tempdir().unwrap();
    for (name, file) in [
        ("unet", "diffusion_pytorch_model.safetensors"),
        ("text_encoder", "model.safetensors"),
    ] {
        let path = out.path().join(file);
        if name == "unet" {
            load_unet(&folder().join(name))
                .save(&path, DType::F16)
                .unwrap();
        } else {
            load_text(&folder().join(name))
                .save(&path, DType::F16)
                .unwrap();
        }
        let (ours, theirs) = (
            std::fs::read(&path).unwrap(),
            std::fs::read(folder().join(name).join(file)).unwrap(),
        );
        let (ours, theirs) = (
            SafeTensors::deserialize(&ours).unwrap(),
            SafeTensors::deserialize(&theirs).unwrap(),
        );
        // transformers 5 leaves the prefix out that older versions write and all versions read.
        let key = |key: &str| key.trim_start_matches("text_model.").to_owned();
        assert_eq!(ours.len(), theirs.len());
        for (name, right) in theirs.tensors() {
            let found = ours
                .tensors()
                .into_iter()
                .find(|(ours, _)| key(ours) == key(&name));
            let (_, view) = found.unwrap_or_else(|| panic!("{name} was not written"));
            assert_eq!(
                (view.shape(), view.data()),
                (right.shape(), right.data()),
                "{name}"
            );
        }
    }
}

#[test]
fn a_folder_is_loaded_whole_and_damage_is_named() {
    let copy = tempfile::tempdir().unwrap();
    for part in ["unet", "text_encoder", "tokenizer", "scheduler"] {
        copy_folder(&folder().join(part), &copy.path().join(part));
    }
    assert!(
        Pipeline::load(copy.path(), &Device::flex())
            .unwrap()
            .spec()
            .takes_camera
    );
    let message = |file: &str, bytes: Option<&[u8]>| {
        let path = copy.path().join(file);
        let before = std::fs::read(&path).unwrap();
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let error = Pipeline::load(copy.path(), &Device::flex())
            .err()
            .map(|e: CheckpointError| e.to_string());
        std::fs::write(&path, before).unwrap();
        let error = error.unwrap_or_else(|| panic!("{file} was accepted"));
        assert!(
            error.contains(file.split('/').next().unwrap()) && !error.contains('\n'),
            "{error}"
        );
        error
    };
    // Other files may be named than the one that was edited: the pair does not fit.
    let refused = |file: &str, bytes: &[u8], named: &str| {
        let path = copy.path().join(file);
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let error = Pipeline::load(copy.path(), &Device::flex())
            .err()
            .map(|e| e.to_string());
        std::fs::write(&path, before).unwrap();
        error
            .is_some_and(|error| error.contains(named) && error.contains("dreamfuse cannot run it"))
    };
    let weights = "unet/diffusion_pytorch_model.safetensors";
    let whole = std::fs::read(folder().join(weights)).unwrap();
    assert!(message(weights, None).contains("cannot read"));
    message(weights, Some(&whole[..whole.len() / 2]));
    message(weights, Some(b"\x80\x02}q\x00."));
    let text = std::fs::read(folder().join("text_encoder/model.safetensors")).unwrap();
    message(weights, Some(&text));
    message("unet/config.json", Some(b"{\"sample_size\": 16"));
    for (file, key, value) in [
        ("unet/config.json", "cross_attention_dim", json!(24)),
        ("unet/config.json", "in_channels", json!(4)),
        ("unet/config.json", "sample_size", json!(15)),
        (
            "unet/config.json",
            "projection_class_embeddings_input_dim",
            json!(5),
        ),
        ("unet/config.json", "dual_cross_attention", json!(true)),
        ("unet/config.json", "flip_sin_to_cos", json!(false)),
        ("unet/config.json", "class_embeddings_concat", json!(true)),
        ("text_encoder/config.json", "num_attention_heads", json!(3)),
        ("text_encoder/config.json", "vocab_size", json!(100)),
        (
            "tokenizer/tokenizer_config.json",
            "model_max_length",
            json!(99),
        ),
        (
            "scheduler/scheduler_config.json",
            "num_train_timesteps",
            json!(0),
        ),
        (
            "scheduler/scheduler_config.json",
            "rescale_betas_zero_snr",
            json!(true),
        ),
        (
            "scheduler/scheduler_config.json",
            "trained_betas",
            json!([0.1, 0.2]),
        ),
    ] {
        let text = std::fs::read(folder().join(file)).unwrap();
        let mut edited: serde_json::Value = serde_json::from_slice(&text).unwrap();
        edited[key] = value.clone();
        let path = if key == "vocab_size" {
            "tokenizer/vocab.json"
        } else {
            file
        };
        assert!(
            refused(file, edited.to_string().as_bytes(), path),
            "{key} = {value}"
        );
    }
    message("tokenizer/merges.txt", Some(b"#version: 0.2\nnopair\n"));
}
