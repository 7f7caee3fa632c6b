//! Checkpoints that cannot be run, each with one line that says what is wrong and where.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::Device;
use common::{copy_folder, folder};
use dreamfuse_diffusion::{Additions, LoraSource, Pipeline};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize_to_file};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const UNET: &str = "sd15/unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "sd15/vae/diffusion_pytorch_model.safetensors";
const TEXT: &str = "sd15/text_encoder/model.safetensors";
const SINGLE: &str = "sd15.safetensors";
const LORA: &str = "sd15/lora-kohya.safetensors";

/// Two numbers at bytes 4 to 8 and nothing before them.
const GAP: &[u8] =
    b"\x39\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[4,8]}}   \0\0\0\0\0\0\0\0";

/// What is done to a model.
enum Damage {
    /// A file is missing.
    Gone(&'static str),
    /// Another name.
    Renamed(&'static str, &'static str),
    /// Only the beginning of a file is there.
    Cut(&'static str, usize),
    Bytes(&'static str, &'static [u8]),
    Json(&'static str, &'static str, Value),
    /// A tensor is missing.
    Lacks(&'static str, &'static str),
    /// A tensor that belongs nowhere.
    Has(&'static str, &'static str),
    Shape(&'static str, &'static str, &'static [usize]),
    Type(&'static str, &'static str, Dtype),
}
use Damage::{Bytes, Cut, Gone, Has, Json, Lacks, Renamed, Shape, Type};

type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn edit(path: &Path, change: impl FnOnce(&mut Tensors)) {
    let bytes = std::fs::read(path).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let entry = |(key, view): (String, TensorView)| {
        (
            key,
            (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
        )
    };
    let mut tensors: Tensors = read.tensors().into_iter().map(entry).collect();
    change(&mut tensors);
    let views: Vec<(&String, TensorView)> = tensors
        .iter()
        .map(|(key, (dtype, shape, data))| {
            (key, TensorView::new(*dtype, shape.clone(), data).unwrap())
        })
        .collect();
    serialize_to_file(views, None, path).unwrap();
}

impl Damage {
    fn apply(&self, root: &Path) {
        match self {
            Gone(file) => std::fs::remove_file(root.join(file)).unwrap(),
            Renamed(file, to) => std::fs::rename(root.join(file), root.join(to)).unwrap(),
            Cut(file, length) => {
                let bytes = std::fs::read(root.join(file)).unwrap();
                std::fs::write(root.join(file), &bytes[..*length]).unwrap();
            }
            Bytes(file, bytes) => std::fs::write(root.join(file), bytes).unwrap(),
            Json(file, key, value) => {
                let path = root.join(file);
                let mut config: Value =
                    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                config[key] = value.clone();
                std::fs::write(path, config.to_string()).unwrap();
            }
            Lacks(file, key) => edit(&root.join(file), |tensors| {
                drop(tensors.remove(*key).unwrap());
            }),
            Has(file, key) => edit(&root.join(file), |tensors| {
                tensors.insert((*key).to_owned(), (Dtype::F16, vec![2], vec![0; 4]));
            }),
            Shape(file, key, shape) => edit(&root.join(file), |tensors| {
                let count = shape.iter().product::<usize>();
                let old = tensors.insert(
                    (*key).to_owned(),
                    (Dtype::F16, shape.to_vec(), vec![0; 2 * count]),
                );
                assert!(old.is_some(), "{key} was not there");
            }),
            Type(file, key, dtype) => edit(&root.join(file), |tensors| {
                let (of, shape, data) = tensors.get_mut(*key).unwrap();
                *of = *dtype;
                data.resize(shape.iter().product::<usize>() * dtype.bitsize() / 8, 0);
            }),
        }
    }
}

/// Damage, what is loaded then, and what the line has to name.
fn cases() -> Vec<(Damage, &'static str, [&'static str; 2])> {
    let unet_key = "down_blocks.0.resnets.0.conv1.weight";
    let single_key = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight";
    let lora_key = "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight";
    let mut cases = vec![
        (
            Gone(UNET),
            "sd15",
            ["unet/diffusion_pytorch_model.safetensors", "cannot read"],
        ),
        (
            Gone("sd15/unet/config.json"),
            "sd15",
            ["unet/config.json", "cannot read"],
        ),
        (
            Gone("sd15/text_encoder/config.json"),
            "sd15",
            ["text_encoder/config.json", "cannot read"],
        ),
        (
            Gone("sd15/scheduler/scheduler_config.json"),
            "sd15",
            ["scheduler_config.json", "cannot read"],
        ),
        (
            Gone("sd15/tokenizer/vocab.json"),
            "sd15",
            ["vocab.json", "cannot read"],
        ),
        (
            Gone("sd15/tokenizer/merges.txt"),
            "sd15",
            ["merges.txt", "cannot read"],
        ),
        (
            Renamed(UNET, "sd15/unet/diffusion_pytorch_model.bin"),
            "sd15",
            ["diffusion_pytorch_model.bin", "pickle"],
        ),
        (
            Renamed(TEXT, "sd15/text_encoder/pytorch_model.bin"),
            "sd15",
            ["pytorch_model.bin", "pickle"],
        ),
        (
            Renamed(SINGLE, "model.ckpt"),
            "model.ckpt",
            ["model.ckpt", "pickle"],
        ),
        (
            Bytes(UNET, b"\x80\x02}q\x00."),
            "sd15",
            ["unet", "is a pickle"],
        ),
        (Bytes(UNET, b""), "sd15", ["unet", "no safetensors file"]),
        (
            Bytes(UNET, b"\xff\xff\xff\xff\xff\xff\xff\xff{"),
            "sd15",
            ["unet", "no safetensors file"],
        ),
        (
            Bytes(UNET, b"\x02\0\0\0\0\0\0\0[]"),
            "sd15",
            ["unet", "its header is damaged"],
        ),
        (Cut(UNET, 3), "sd15", ["unet", "no safetensors file"]),
        (Cut(UNET, 100), "sd15", ["unet", "no safetensors file"]),
        (Cut(UNET, 40_000), "sd15", ["unet", "its header speaks of"]),
        (Cut(VAE, 60_000), "sd15", ["vae", "its header speaks of"]),
        (
            Cut(TEXT, 20_000),
            "sd15",
            ["text_encoder", "its header speaks of"],
        ),
        (
            Cut(SINGLE, 90_000),
            SINGLE,
            ["sd15.safetensors", "its header speaks of"],
        ),
        (Lacks(UNET, unet_key), "sd15", ["unet", unet_key]),
        (
            Lacks(VAE, "decoder.conv_norm_out.weight"),
            "sd15",
            ["vae", "decoder.conv_norm_out.weight is missing"],
        ),
        (
            Has(UNET, "controlnet.0.weight"),
            "sd15",
            ["unet", "controlnet.0.weight belongs to no part"],
        ),
        (
            Has(VAE, "encoder.extra.bias"),
            "sd15",
            ["vae", "encoder.extra.bias belongs to no part"],
        ),
        (
            Has(TEXT, "encoder.layers.9.mlp.fc1.bias"),
            "sd15",
            ["text_encoder", "layers.9.mlp.fc1.bias"],
        ),
        (
            Shape(UNET, unet_key, &[8, 8, 3, 1]),
            "sd15",
            ["unet", unet_key],
        ),
        (Shape(UNET, unet_key, &[72, 8]), "sd15", ["unet", unet_key]),
        (
            Shape(UNET, "conv_norm_out.bias", &[9]),
            "sd15",
            ["unet", "conv_norm_out.bias has the shape"],
        ),
        (
            Shape(UNET, "time_embedding.linear_1.weight", &[32]),
            "sd15",
            ["unet", "time_embedding.linear_1.weight"],
        ),
        (
            Shape(TEXT, "encoder.layers.0.mlp.fc1.weight", &[16, 32]),
            "sd15",
            ["text_encoder", "mlp.fc1.weight"],
        ),
        (Type(UNET, unet_key, Dtype::I64), "sd15", ["unet", unet_key]),
        (
            Type(UNET, unet_key, Dtype::F8_E4M3),
            "sd15",
            ["unet", "f32, f16 and bf16 are read"],
        ),
        (
            Has(SINGLE, "model.diffusion_model.label_emb.0.weight"),
            SINGLE,
            [SINGLE, "label_emb.0.weight"],
        ),
        (Lacks(SINGLE, single_key), SINGLE, [SINGLE, unet_key]),
        (
            Gone("sd15/tokenizer/vocab.json"),
            SINGLE,
            ["sd15/tokenizer/vocab.json", "missing beside it"],
        ),
        (
            Renamed(UNET, "unet.safetensors"),
            "unet.safetensors",
            ["unet.safetensors", "model.diffusion_model."],
        ),
        (Gone(SINGLE), SINGLE, [SINGLE, "no such file or folder"]),
        (
            Lacks(LORA, lora_key),
            "lora",
            [LORA, "one of the two factors is missing"],
        ),
        (
            Has(LORA, "lora_te2_encoder.lora_up.weight"),
            "lora",
            [LORA, "lora_te2_encoder"],
        ),
        (
            Has(LORA, "lora_unet_nowhere.lora_up.weight"),
            "lora",
            [LORA, "lora_unet_nowhere"],
        ),
        (
            Shape(LORA, lora_key, &[8, 3, 1, 1]),
            "lora",
            [LORA, "do not make"],
        ),
        (
            Shape(
                LORA,
                "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight",
                &[],
            ),
            "lora",
            [LORA, "do not make"],
        ),
        (
            Bytes(LORA, b"\x02\0\0\0\0\0\0\0{}"),
            "lora",
            [LORA, "holds no adaptation"],
        ),
        (
            Shape(
                SINGLE,
                "model.diffusion_model.input_blocks.1.0.out_layers.3.weight",
                &[],
            ),
            SINGLE,
            [SINGLE, "conv2.weight"],
        ),
        (
            Has(SINGLE, "conditioner.embedders.0.model.x"),
            SINGLE,
            [SINGLE, "Stable Diffusion XL"],
        ),
        (
            Gone("sd15/vae/config.json"),
            "sd15",
            ["unet/config.json", "there is no vae/config.json"],
        ),
        (
            Bytes(UNET, GAP),
            "sd15",
            ["unet", "its header is damaged: invalid offset"],
        ),
        (Cut(LORA, 500), "lora", [LORA, "no safetensors file"]),
        (
            Bytes("sd15/tokenizer/merges.txt", b"#version: 0.2\nnopair\n"),
            "sd15",
            ["tokenizer", "nopair"],
        ),
        (
            Bytes("sd15/tokenizer/vocab.json", b"[1, 2]"),
            "sd15",
            ["tokenizer", "vocab.json"],
        ),
        (
            Bytes("sd15/unet/config.json", b"{\"sample_size\": 8"),
            "sd15",
            ["unet/config.json", "EOF"],
        ),
    ];
    let json = |file, key, value| (Json(file, key, value), "sd15", [file, key]);
    let (unet, vae, text) = (
        "sd15/unet/config.json",
        "sd15/vae/config.json",
        "sd15/text_encoder/config.json",
    );
    cases.extend([
        json(
            unet,
            "down_block_types",
            json!(["CrossAttnDownBlock2D", "AttnDownBlock2D"]),
        ),
        json(unet, "mid_block_type", json!("UNetMidBlock2D")),
        json(unet, "act_fn", json!("mish")),
        json(unet, "class_embed_type", json!("timestep")),
        json(unet, "addition_embed_type", json!("text_time")),
        json(unet, "encoder_hid_dim", json!(4096)),
        json(unet, "norm_num_groups", json!(3)),
        json(unet, "cross_attention_dim", json!(24)),
        json(unet, "sample_size", json!(9)),
        json(
            vae,
            "down_block_types",
            json!(["DownEncoderBlock2D", "AttnDownEncoderBlock2D"]),
        ),
        json(vae, "norm_num_groups", json!(5)),
        json(vae, "scaling_factor", json!(0)),
        json(vae, "shift_factor", json!(0.1)),
        json(vae, "in_channels", json!(1)),
        json(text, "hidden_act", json!("relu")),
        json(text, "num_attention_heads", json!(5)),
        json(unet, "layers_per_block", json!(1_000_000)),
        json(unet, "block_out_channels", json!([0, 16])),
        json(
            "sd15/scheduler/scheduler_config.json",
            "beta_end",
            json!(1.5),
        ),
        json(
            "sd15/scheduler/scheduler_config.json",
            "num_train_timesteps",
            json!(1_000_000_000),
        ),
        json(
            "sd15/scheduler/scheduler_config.json",
            "beta_schedule",
            json!("sigmoid"),
        ),
        json(
            "sd15/scheduler/scheduler_config.json",
            "prediction_type",
            json!("sample"),
        ),
        json(
            "sd15/scheduler/scheduler_config.json",
            "rescale_betas_zero_snr",
            json!(true),
        ),
        (
            Json(unet, "in_channels", json!(9)),
            "sd15",
            [unet, "latents"],
        ),
        (
            Json(vae, "latent_channels", json!(16)),
            "sd15",
            ["config.json", "latents"],
        ),
    ]);
    cases.extend(deepfloyd_cases());
    cases
}

/// A text encoder in two files, whose weights are read when a text is; and what only this architecture has.
fn deepfloyd_cases() -> Vec<(Damage, &'static str, [&'static str; 2])> {
    let index = "deepfloyd/text_encoder/model.safetensors.index.json";
    let shard = "deepfloyd/text_encoder/model-00002-of-00002.safetensors";
    let key = "encoder.block.1.layer.0.SelfAttention.k.weight";
    let (unet, text) = (
        "deepfloyd/unet/config.json",
        "deepfloyd/text_encoder/config.json",
    );
    let piece = "deepfloyd/tokenizer/spiece.model";
    let json = |file, key, value| (Json(file, key, value), "deepfloyd", [file, key]);
    vec![
        (Gone(shard), "deepfloyd", [shard, "cannot read"]),
        (
            Gone(index),
            "deepfloyd",
            ["text_encoder/model.safetensors", "cannot read"],
        ),
        (
            Cut(shard, 9_000),
            "deepfloyd",
            [shard, "its header speaks of"],
        ),
        (Lacks(shard, key), "deepfloyd", [shard, key]),
        (
            Shape(shard, key, &[24, 23]),
            "deepfloyd",
            [index, "where [24, 24] is right"],
        ),
        (
            Type(shard, key, Dtype::F8_E4M3),
            "deepfloyd",
            ["has the dtype F8_E4M3", key],
        ),
        (
            Json(index, "weight_map", json!({"shared.weight": "../../../x"})),
            "deepfloyd",
            [index, "no name of a file"],
        ),
        (Bytes(index, b"{}"), "deepfloyd", [index, "weight_map"]),
        (
            Bytes(piece, b"\x0a\x02no"),
            "deepfloyd",
            [piece, "SentencePiece"],
        ),
        (Gone(piece), "deepfloyd", [piece, "cannot read"]),
        (
            Json(text, "num_layers", json!(3)),
            "deepfloyd",
            [index, "encoder.block.2"],
        ),
        (
            Json(text, "num_layers", json!(1)),
            "deepfloyd",
            [index, "encoder.block.1"],
        ),
        (
            Json(text, "d_ff", json!(33)),
            "deepfloyd",
            [index, "wi_0.weight"],
        ),
        json(text, "d_kv", json!(0)),
        (
            Json(text, "vocab_size", json!(100)),
            "deepfloyd",
            [piece, "more than the text encoder's 100"],
        ),
        json(text, "relative_attention_num_buckets", json!(6)),
        json(text, "feed_forward_proj", json!("gated-silu")),
        json(text, "model_type", json!("umt5")),
        json(unet, "encoder_hid_dim_type", json!("text_image_proj")),
        json(unet, "cross_attention_norm", json!("layer_norm")),
        (
            Json(unet, "out_channels", json!(3)),
            "deepfloyd",
            [unet, "[3, 3] channels"],
        ),
        (
            Json(unet, "encoder_hid_dim", json!(32)),
            "deepfloyd",
            [unet, "encoder_hid_dim is 32, and the text is 24 wide"],
        ),
    ]
}

#[test]
fn every_damage_has_its_line() {
    let cases = cases();
    assert!(cases.len() >= 97);
    let wrong: Vec<String> = cases
        .iter()
        .enumerate()
        .filter_map(|(number, (damage, loaded, named))| {
            let copy = tempfile::tempdir().unwrap();
            for model in ["sd15", "deepfloyd"] {
                copy_folder(&folder().join(model), &copy.path().join(model));
            }
            std::fs::copy(folder().join(SINGLE), copy.path().join(SINGLE)).unwrap();
            damage.apply(copy.path());
            let lora = LoraSource {
                path: copy.path().join(LORA),
                scale: 1.0,
            };
            let (model, loras) = if *loaded == "lora" {
                ("sd15", vec![lora])
            } else {
                (*loaded, Vec::new())
            };
            let additions = Additions {
                loras: &loras,
                ..Additions::default()
            };
            let error =
                Pipeline::load_with(&copy.path().join(model), &additions, &Device::flex()).err();
            let line = error.map_or_else(|| "it was loaded".to_owned(), |error| error.to_string());
            let is_right = !line.contains('\n')
                && line.len() < 400
                && named.iter().all(|part| line.contains(part));
            (!is_right).then(|| format!("{number}: {named:?} in {line:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
