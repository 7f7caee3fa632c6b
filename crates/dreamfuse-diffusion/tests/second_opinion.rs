//! The same checkpoints in candle, whose authors read the same papers.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::{Device, Tensor as Ours, TensorData};
use candle_core::{DType, Device as CandleDevice, Tensor, safetensors};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::{
    Activation, ClipTextConfig, ClipTextTransformer,
};
use candle_transformers::models::stable_diffusion::unet_2d::{
    BlockConfig, UNet2DConditionModel, UNet2DConditionModelConfig,
};
use candle_transformers::models::stable_diffusion::vae::{AutoEncoderKL, AutoEncoderKLConfig};
use candle_transformers::models::t5;
use common::{Reference, folder, relative_error};
use dreamfuse_diffusion::checkpoint::save_weights;
use dreamfuse_diffusion::text::TextEncoder;
use dreamfuse_diffusion::unet::{UNet, UNetConfig};
use dreamfuse_diffusion::vae::{Vae, VaeConfig};
use dreamfuse_diffusion::{Pipeline, Weights};
use dreamfuse_prior::sampler::normal;
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

const CPU: CandleDevice = CandleDevice::Cpu;

/// Tensors of files below the folder of references, as f32.
fn tensors(files: &[&str]) -> HashMap<String, Tensor> {
    let read = |file: &&str| safetensors::load(folder().join(file), &CPU).unwrap();
    files
        .iter()
        .flat_map(read)
        .map(|(key, tensor)| (key, tensor.to_dtype(DType::F32).unwrap()))
        .collect()
}

fn weights(tensors: HashMap<String, Tensor>) -> VarBuilder<'static> {
    VarBuilder::from_tensors(tensors, DType::F32, &CPU)
}

fn to_candle<const D: usize>(tensor: &Ours<D>) -> Tensor {
    Tensor::from_vec(
        tensor.to_data().try_to_vec::<f32>().unwrap(),
        tensor.dims().to_vec(),
        &CPU,
    )
    .unwrap()
}

#[track_caller]
fn assert_alike<const D: usize>(ours: Ours<D>, theirs: &Tensor) {
    let shape: [usize; D] = theirs.dims().to_vec().try_into().unwrap();
    let values = theirs.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let error = relative_error(
        ours,
        Ours::from_data(TensorData::new(values, shape), &Device::flex()),
    );
    assert!(error <= 1e-4, "relative error {error:.2e}");
}

fn model(name: &str) -> (Pipeline, Reference) {
    let path = folder().join(name);
    (
        Pipeline::load(&path, &Device::flex()).unwrap(),
        Reference::load(&path),
    )
}

/// A folder's tensors of `shapes`, drawn anew. candle has norms of 32 groups alone, which the references are too small for.
fn random(shapes: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let mut keys: Vec<&String> = shapes.keys().collect();
    keys.sort();
    let draw = |(index, key): (usize, &String)| {
        let (shape, count) = (shapes[key].dims().to_vec(), shapes[key].elem_count());
        let numbers = normal([1, 1, 1, count], 7, index as u64, &Device::flex())
            .to_data()
            .try_to_vec::<f32>()
            .unwrap();
        let fan_in = count / shape[0];
        let (scale, middle) = if shape.len() > 1 {
            ((fan_in as f64).sqrt().recip(), 0.0)
        } else {
            (0.1, 0.5)
        };
        let tensor = Tensor::from_vec(numbers, shape, &CPU)
            .unwrap()
            .affine(scale, middle)
            .unwrap();
        (key.clone(), tensor)
    };
    keys.into_iter().enumerate().map(draw).collect()
}

/// Weights of a network of ours, drawn anew: the file and candle's tensors.
fn drawn(folder: &Path, save: impl Fn(&Path)) -> (Weights, HashMap<String, Tensor>) {
    let path = folder.join("weights.safetensors");
    save(&path);
    let tensors = random(&safetensors::load(&path, &CPU).unwrap());
    safetensors::save(&tensors, &path).unwrap();
    (Weights::open(&path).unwrap(), tensors)
}

#[test]
fn the_unets_of_stable_diffusion() {
    for (heads, use_linear_projection) in [([4, 4], false), ([2, 4], true)] {
        let config: UNetConfig = serde_json::from_value(json!({
            "sample_size": 8, "in_channels": 4, "out_channels": 4, "block_out_channels": [64, 128], "layers_per_block": 1,
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
            "cross_attention_dim": 16, "attention_head_dim": heads, "use_linear_projection": use_linear_projection,
        }))
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let device = Device::flex();
        let (own, mut tensors) = drawn(folder.path(), |path| {
            UNet::new(&config, &device)
                .save(path, burn::tensor::DType::F32)
                .unwrap();
        });
        let ours = UNet::load(&config, own, &device).unwrap();
        if use_linear_projection {
            let pointwise = tensors.iter_mut().filter(|(key, _)| key.contains(".proj_"));
            for (_, tensor) in pointwise.filter(|(_, tensor)| tensor.rank() == 4) {
                *tensor = tensor.flatten_from(1).unwrap();
            }
        }
        let block = |index: usize, use_cross_attn: Option<usize>| BlockConfig {
            out_channels: [64, 128][index],
            use_cross_attn,
            attention_head_dim: heads[index],
        };
        let config = UNet2DConditionModelConfig {
            blocks: vec![block(0, Some(1)), block(1, None)],
            layers_per_block: 1,
            cross_attention_dim: 16,
            use_linear_projection,
            ..Default::default()
        };
        let theirs = UNet2DConditionModel::new(weights(tensors), 4, 4, false, config).unwrap();
        let sample = normal([1, 4, 8, 8], 1, 0, &device);
        let text = normal([1, 1, 5, 16], 2, 0, &device).reshape([1, 5, 16]);
        let right = theirs
            .forward(&to_candle(&sample), 801.0, &to_candle(&text))
            .unwrap();
        assert_alike(
            ours.forward(sample, &[801], &ours.read(&text), None),
            &right,
        );
    }
}

/// candle gives draws of the latents alone: with a variance of e⁻²⁰⁰ a draw is the mean.
#[test]
fn the_autoencoder() {
    let config: VaeConfig = serde_json::from_value(json!({
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [32, 64], "layers_per_block": 1,
        "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"],
    }))
    .unwrap();
    let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
    let path = folder.path().join("weights.safetensors");
    save_weights(
        &Vae::new(&config, &device),
        &path,
        burn::tensor::DType::F32,
        &[],
    )
    .unwrap();
    let mut tensors = random(&safetensors::load(&path, &CPU).unwrap());
    let means = |key: &str, variance: f64| {
        let mean = tensors[key].narrow(0, 0, 4).unwrap();
        Tensor::cat(&[&mean, &mean.affine(0.0, variance).unwrap()], 0).unwrap()
    };
    let still = [("quant_conv.weight", 0.0), ("quant_conv.bias", -200.0)]
        .map(|(key, v)| (key.to_owned(), means(key, v)));
    tensors.extend(still);
    safetensors::save(&tensors, &path).unwrap();
    let ours = Vae::load(&config, Weights::open(&path).unwrap(), &device).unwrap();
    let shape = AutoEncoderKLConfig {
        block_out_channels: vec![32, 64],
        ..Default::default()
    };
    let theirs = AutoEncoderKL::new(weights(tensors), 3, 3, shape).unwrap();
    let images = normal([1, 3, 16, 16], 1, 0, &device);
    let latents = theirs
        .encode(&to_candle(&images))
        .unwrap()
        .sample()
        .unwrap();
    assert_alike(ours.moments(images).narrow(1, 0, 4), &latents);
    let right = theirs.decode(&latents).unwrap();
    let latents = Ours::from_data(
        TensorData::new(
            latents.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [1, 4, 8, 8],
        ),
        &device,
    );
    assert_alike(ours.decode(latents * config.scaling_factor), &right);
}

#[test]
fn clips_text_encoder() {
    let (pipeline, reference) = model("sd15");
    let config = ClipTextConfig {
        vocab_size: 0,
        embed_dim: 16,
        activation: Activation::QuickGelu,
        intermediate_size: 32,
        max_position_embeddings: 24,
        pad_with: None,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        projection_dim: 16,
    };
    let tensors = tensors(&["sd15/text_encoder/model.safetensors"]);
    let vocab_size = tensors["embeddings.token_embedding.weight"].dim(0).unwrap();
    let theirs = ClipTextTransformer::new(
        weights(tensors),
        &ClipTextConfig {
            vocab_size,
            ..config
        },
    )
    .unwrap();
    let ids = Tensor::from_vec(reference.integers("input_ids"), (2, 24), &CPU).unwrap();
    let theirs = theirs.forward_with_mask(&ids, usize::MAX).unwrap();
    let texts = ["a squirrel at an easel!", ""].map(String::from);
    assert_alike(
        pipeline
            .text
            .encode(&texts, &Device::flex())
            .unwrap()
            .tokens,
        &theirs,
    );
}

/// candle's knows no mask: a text without filling needs none.
#[test]
fn t5s_encoder() {
    let (pipeline, _) = model("deepfloyd");
    let TextEncoder::T5 { tokenizer, model } = &pipeline.text else {
        panic!("a T5 text encoder")
    };
    let config = std::fs::read(folder().join("deepfloyd/text_encoder/config.json")).unwrap();
    let config: t5::Config = serde_json::from_slice(&config).unwrap();
    let shards =
        [1, 2].map(|i| format!("deepfloyd/text_encoder/model-0000{i}-of-00002.safetensors"));
    let tensors = tensors(&shards.each_ref().map(String::as_str));
    let mut theirs = t5::T5EncoderModel::load(weights(tensors), &config).unwrap();
    let (ids, length) = tokenizer.encode("a squirrel at an easel").unwrap();
    let alone = Tensor::from_vec(ids[..length].to_vec(), (1, length), &CPU).unwrap();
    let filled = Ours::from_data(
        TensorData::new(ids.clone(), [1, ids.len()]),
        &Device::flex(),
    );
    let ours = model
        .forward(filled, &[length])
        .unwrap()
        .narrow(1, 0, length);
    assert_alike(ours, &theirs.forward(&alone).unwrap());
}
