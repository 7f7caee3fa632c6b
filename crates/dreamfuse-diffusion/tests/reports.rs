//! Files as public reports show them: each gives the image of the model that it is, or one line that says what it is.
//! The kinds are numbered as in docs/priors.md.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(
    clippy::semicolon_if_nothing_returned,
    reason = "a case is a line where it can be"
)]

mod common;
#[path = "common/edit.rs"]
mod edit;

use burn::tensor::{Device, Tensor};
use common::{copy_folder, folder, relative_error};
use dreamfuse_core::Told;
use dreamfuse_diffusion::{Additions, LoraSource, Pipeline};
use dreamfuse_prior::{Batch, Prior, Views};
use edit::{Tensors, edit, edit_json, note, read, write};
use safetensors::Dtype;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const CLIP: &str = "cond_stage_model.transformer.";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";

/// What has to come of a case.
enum Expected {
    /// The answer of another model, which lies in the folder too.
    Like(&'static str),
    /// An error of one line with these words.
    Says(&'static [&'static str]),
}
use Expected::{Like, Says};

struct Case {
    name: &'static str,
    /// Changes a copy of the reference models.
    make: fn(&Path),
    /// What is loaded, and with which LoRA.
    model: &'static str,
    lora: Option<&'static str>,
    expected: Expected,
}

fn case(name: &'static str, model: &'static str, make: fn(&Path), expected: Expected) -> Case {
    Case {
        name,
        make,
        model,
        lora: None,
        expected,
    }
}

fn lora(name: &'static str, file: &'static str, make: fn(&Path), expected: Expected) -> Case {
    Case {
        name,
        make,
        model: "sd15",
        lora: Some(file),
        expected,
    }
}

/// The prior's answer to fixed noise, which depends on all of its parts but the decoder.
fn answer(model: &Path, lora: Option<PathBuf>) -> Result<Tensor<4>, String> {
    let loras: Vec<LoraSource> = lora
        .into_iter()
        .map(|path| LoraSource { path, scale: 0.7 })
        .collect();
    let additions = Additions {
        loras: &loras,
        ..Additions::default()
    };
    let pipeline =
        Pipeline::load_with(model, &additions, &Device::flex()).map_err(|e| e.to_string())?;
    let [channels, height, width] = pipeline.spec().sample_shape;
    let shape = [2, channels, height, width];
    let noise = dreamfuse_prior::sampler::normal(shape, 5, 0, &Device::flex());
    let prompts = ["a red apple", "a  Blue! mug"].map(String::from);
    let text = pipeline.condition(&prompts)?;
    let told = [Told::default(); 2];
    let views = Views::Each(&told);
    Ok(pipeline.predict(&Batch::new(noise, &[400, 700], &text, views)))
}

fn copy_file(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

/// `sd21.safetensors` with OpenCLIP's text encoder of `layers` blocks, 64 numbers wide, so that its heads can be told.
fn wide_sd2(root: &Path, file: &str, layers: usize) {
    let (mut tensors, notes) = read(&root.join("sd21.safetensors"));
    let width = 64;
    let text = "cond_stage_model.model.";
    tensors.retain(|key, _| !key.starts_with(text));
    let mut seed = 1;
    let mut add = |key: String, shape: &[usize], scale: f32, offset: f32| {
        seed += 1;
        let count = shape.iter().product::<usize>();
        let values = dreamfuse_prior::sampler::normal([1, 1, 1, count], seed, 0, &Device::flex());
        let values = values.into_data().try_to_vec::<f32>().unwrap();
        let bytes = values
            .iter()
            .flat_map(|v| (offset + scale * v).to_le_bytes());
        tensors.insert(key, (Dtype::F32, shape.to_vec(), bytes.collect()));
    };
    for layer in 0..layers {
        let block = format!("{text}transformer.resblocks.{layer}.");
        for norm in ["ln_1", "ln_2"] {
            add(format!("{block}{norm}.weight"), &[width], 0.0, 1.0);
            add(format!("{block}{norm}.bias"), &[width], 0.1, 0.0);
        }
        for (name, rows, columns) in [
            ("attn.in_proj_", 3 * width, width),
            ("attn.out_proj.", width, width),
            ("mlp.c_fc.", 2 * width, width),
            ("mlp.c_proj.", width, 2 * width),
        ] {
            add(format!("{block}{name}weight"), &[rows, columns], 0.1, 0.0);
            add(format!("{block}{name}bias"), &[rows], 0.1, 0.0);
        }
    }
    add(
        format!("{text}token_embedding.weight"),
        &[564, width],
        1.0,
        0.0,
    );
    add(
        format!("{text}positional_embedding"),
        &[24, width],
        0.2,
        0.0,
    );
    add(format!("{text}ln_final.weight"), &[width], 0.0, 1.0);
    add(format!("{text}ln_final.bias"), &[width], 0.1, 0.0);
    let keys: Vec<String> = tensors
        .keys()
        .filter(|key| key.ends_with("attn2.to_k.weight") || key.ends_with("attn2.to_v.weight"))
        .cloned()
        .collect();
    for key in keys {
        let rows = tensors[&key].1[0];
        seed_matrix(&mut tensors, key, rows, width);
    }
    write(&root.join(file), &tensors, notes);
    let beside = root.join(file).with_extension("");
    for part in ["tokenizer", "unet", "vae", "scheduler"] {
        copy_folder(&root.join("sd21").join(part), &beside.join(part));
        let weights = beside
            .join(part)
            .join("diffusion_pytorch_model.safetensors");
        std::fs::remove_file(weights).ok();
    }
    edit_json(&beside.join("unet/config.json"), |config| {
        config["cross_attention_dim"] = json!(width);
    });
}

fn seed_matrix(tensors: &mut Tensors, key: String, rows: usize, columns: usize) {
    let values = dreamfuse_prior::sampler::normal([1, 1, rows, columns], 9, 0, &Device::flex());
    let values = values.into_data().try_to_vec::<f32>().unwrap();
    let bytes = values
        .iter()
        .flat_map(|v| (0.1 * v).to_le_bytes())
        .collect();
    tensors.insert(key, (Dtype::F32, vec![rows, columns], bytes));
}

/// The same file with transformers' names, as conversions of SD 2 have them.
fn with_transformers_names(root: &Path, from: &str, to: &str) {
    let (tensors, notes) = read(&root.join(from));
    let old = "cond_stage_model.model.";
    let new = format!("{CLIP}text_model.");
    let mut renamed = Tensors::new();
    for (key, (dtype, shape, data)) in tensors {
        let Some(rest) = key.strip_prefix(old) else {
            renamed.insert(key, (dtype, shape, data));
            continue;
        };
        let name = rest
            .replace(
                "positional_embedding",
                "embeddings.position_embedding.weight",
            )
            .replace("token_embedding", "embeddings.token_embedding")
            .replace("ln_final", "final_layer_norm")
            .replace("transformer.resblocks.", "encoder.layers.")
            .replace(".ln_1.", ".layer_norm1.")
            .replace(".ln_2.", ".layer_norm2.")
            .replace(".mlp.c_fc.", ".mlp.fc1.")
            .replace(".mlp.c_proj.", ".mlp.fc2.")
            .replace(".attn.", ".self_attn.");
        if let Some((start, end)) = name.split_once("in_proj_") {
            let third = data.len() / 3;
            let mut part = shape.clone();
            part[0] /= 3;
            for (index, letter) in ["q", "k", "v"].into_iter().enumerate() {
                let bytes = data[index * third..(index + 1) * third].to_vec();
                renamed.insert(
                    format!("{new}{start}{letter}_proj.{end}"),
                    (dtype, part.clone(), bytes),
                );
            }
        } else {
            renamed.insert(format!("{new}{name}"), (dtype, shape, data));
        }
    }
    write(&root.join(to), &renamed, notes);
    copy_folder(
        &root.join(from).with_extension(""),
        &root.join(to).with_extension(""),
    );
}

/// Kind 1: what a model is has to be read or refused.
fn guessed() -> Vec<Case> {
    vec![
        case(
            "SD 2 of 24 blocks",
            "a.safetensors",
            |root| {
                wide_sd2(root, "a.safetensors", 24);
                wide_sd2(root, "b.safetensors", 24);
                with_transformers_names(root, "b.safetensors", "c.safetensors");
                edit(&root.join("c.safetensors"), |t| {
                    t.retain(|key, _| !key.contains("layers.23."))
                });
            },
            Like("c.safetensors"),
        ),
        case(
            "SD 2 of 23 blocks",
            "b.safetensors",
            |root| {
                wide_sd2(root, "a.safetensors", 24);
                let (mut tensors, notes) = read(&root.join("a.safetensors"));
                tensors.retain(|key, _| !key.contains("resblocks.23."));
                write(&root.join("b.safetensors"), &tensors, notes);
                copy_folder(&root.join("a"), &root.join("b"));
            },
            Like("a.safetensors"),
        ),
        case(
            "SD 2 beside SD 1's tokenizer",
            "b.safetensors",
            |root| {
                wide_sd2(root, "a.safetensors", 24);
                wide_sd2(root, "b.safetensors", 24);
                std::fs::remove_dir_all(root.join("b/tokenizer")).unwrap();
                copy_folder(&root.join("sd15/tokenizer"), &root.join("b/tokenizer"));
            },
            Like("a.safetensors"),
        ),
        case(
            "SD 2 without a scheduler",
            "a.safetensors",
            |root| {
                wide_sd2(root, "a.safetensors", 24);
                std::fs::remove_file(root.join("a").join(SCHEDULER)).unwrap();
            },
            Says(&[SCHEDULER, "missing beside it"]),
        ),
        case(
            "SD 2 under transformers' names without a scheduler",
            "b.safetensors",
            |root| {
                wide_sd2(root, "a.safetensors", 24);
                with_transformers_names(root, "a.safetensors", "b.safetensors");
                std::fs::remove_file(root.join("b").join(SCHEDULER)).unwrap();
            },
            Says(&[SCHEDULER, "missing beside it"]),
        ),
        case(
            "SD 2 whose header says v",
            "b.safetensors",
            |root| {
                wide_sd2(root, "a.safetensors", 24);
                edit_json(&root.join("a").join(SCHEDULER), |c| {
                    c["prediction_type"] = json!("v_prediction")
                });
                wide_sd2(root, "b.safetensors", 24);
                std::fs::remove_file(root.join("b").join(SCHEDULER)).unwrap();
                note(
                    &root.join("b.safetensors"),
                    "modelspec.prediction_type",
                    "v",
                );
            },
            Like("a.safetensors"),
        ),
        case(
            "SD 2 whose header says its kind",
            "b.safetensors",
            |root| {
                wide_sd2(root, "a.safetensors", 24);
                edit_json(&root.join("a").join(SCHEDULER), |c| {
                    c["prediction_type"] = json!("v_prediction")
                });
                wide_sd2(root, "b.safetensors", 24);
                std::fs::remove_file(root.join("b").join(SCHEDULER)).unwrap();
                note(
                    &root.join("b.safetensors"),
                    "modelspec.architecture",
                    "stable-diffusion-v2-768-v",
                );
            },
            Like("a.safetensors"),
        ),
        case(
            "SD 1 whose header says v",
            "b.safetensors",
            |root| {
                single(root, "a.safetensors");
                edit_json(&root.join("a").join(SCHEDULER), |c| {
                    c["prediction_type"] = json!("v_prediction")
                });
                single(root, "b.safetensors");
                std::fs::remove_file(root.join("b").join(SCHEDULER)).unwrap();
                note(
                    &root.join("b.safetensors"),
                    "modelspec.prediction_type",
                    "v",
                );
            },
            Like("a.safetensors"),
        ),
        case(
            "SD 1 that skips the last layer",
            "b.safetensors",
            |root| {
                for file in ["a.safetensors", "b.safetensors"] {
                    single(root, file);
                }
                edit_json(&root.join("a/text_encoder/config.json"), |config| {
                    config["num_hidden_layers"] = json!(1);
                    config["num_attention_heads"] = json!(1);
                });
                std::fs::remove_file(root.join("b/text_encoder/config.json")).unwrap();
                note(&root.join("b.safetensors"), "modelspec.encoder_layer", "2");
            },
            Like("a.safetensors"),
        ),
        case(
            "a refiner's header",
            "sd15.safetensors",
            |root| {
                note(
                    &root.join("sd15.safetensors"),
                    "modelspec.architecture",
                    "stable-diffusion-xl-v1-refiner",
                );
            },
            Says(&["stable-diffusion-xl-v1-refiner", "cannot run"]),
        ),
        case(
            "an inpainting model's header",
            "sd15.safetensors",
            |root| {
                note(
                    &root.join("sd15.safetensors"),
                    "modelspec.architecture",
                    "stable-diffusion-v1/inpainting",
                );
            },
            Says(&["stable-diffusion-v1/inpainting"]),
        ),
        case(
            "a flow-matching scheduler",
            "sd15",
            |root| {
                std::fs::write(
                    root.join("sd15").join(SCHEDULER),
                    r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}"#,
                )
                .unwrap();
            },
            Says(&["FlowMatchEulerDiscreteScheduler", "another forward process"]),
        ),
        case(
            "EDM's scheduler",
            "sd15",
            |root| class(root, "EDMEulerScheduler"),
            Says(&["EDMEulerScheduler"]),
        ),
        case(
            "a consistency scheduler",
            "sd15",
            |root| class(root, "LCMScheduler"),
            Says(&["LCMScheduler"]),
        ),
        case(
            "a scheduler with flow sigmas",
            "sd15",
            |root| {
                edit_json(&root.join("sd15").join(SCHEDULER), |c| {
                    c["use_flow_sigmas"] = json!(true)
                });
            },
            Says(&["use_flow_sigmas"]),
        ),
        case(
            "another sampler of DDPM's family",
            "sd15",
            |root| {
                copy_folder(&root.join("sd15"), &root.join("plain"));
                class(root, "DPMSolverMultistepScheduler");
            },
            Like("plain"),
        ),
        case(
            "a word that training added",
            "sd15",
            |root| {
                copy_folder(&root.join("sd15"), &root.join("plain"));
                add_word(root, "<cat-toy>");
            },
            Like("plain"),
        ),
        case(
            "a word whose id is another",
            "sd15",
            |root| {
                add_word(root, "<cat-toy>");
                edit_json(&root.join("sd15/tokenizer/added_tokens.json"), |c| {
                    c["<cat-toy>"] = json!(9000)
                });
            },
            Says(&["<cat-toy>", "9000"]),
        ),
        case(
            "a word without an embedding",
            "sd15",
            |root| {
                let vocabulary = std::fs::read(root.join("sd15/tokenizer/vocab.json")).unwrap();
                let vocabulary: HashMap<String, u32> = serde_json::from_slice(&vocabulary).unwrap();
                let added = json!({"<cat-toy>": vocabulary.len()}).to_string();
                std::fs::write(root.join("sd15/tokenizer/added_tokens.json"), added).unwrap();
            },
            Says(&["more than the text encoder's"]),
        ),
    ]
}

fn class(root: &Path, name: &str) {
    edit_json(&root.join("sd15").join(SCHEDULER), |config| {
        config["_class_name"] = json!(name);
    });
}

/// As `save_pretrained` leaves a model with a textual inversion.
fn add_word(root: &Path, word: &str) {
    let vocabulary = std::fs::read(root.join("sd15/tokenizer/vocab.json")).unwrap();
    let vocabulary: HashMap<String, u32> = serde_json::from_slice(&vocabulary).unwrap();
    let added = json!({ word: vocabulary.len() }).to_string();
    std::fs::write(root.join("sd15/tokenizer/added_tokens.json"), added).unwrap();
    edit(&root.join("sd15").join(TEXT), |tensors| {
        let key = tensors
            .keys()
            .find(|key| key.ends_with("token_embedding.weight"))
            .unwrap()
            .clone();
        let (_, shape, data) = tensors.get_mut(&key).unwrap();
        let row = data.len() / shape[0];
        shape[0] = vocabulary.len() + 1;
        data.resize(row * shape[0], 0);
    });
    edit_json(&root.join("sd15/text_encoder/config.json"), |config| {
        config["vocab_size"] = json!(vocabulary.len() + 1);
    });
}

/// `sd15.safetensors` under another name, with its configurations beside it.
fn single(root: &Path, file: &str) {
    copy_file(&root.join("sd15.safetensors"), &root.join(file));
    let beside = root.join(file).with_extension("");
    for part in ["tokenizer", "text_encoder", "unet", "vae", "scheduler"] {
        copy_folder(&root.join("sd15").join(part), &beside.join(part));
    }
}

/// Kind 2: what Python writes today, and wrote before.
fn written() -> Vec<Case> {
    let as_it_was: fn(&Path) = |root| copy_folder(&root.join("sd15"), &root.join("plain"));
    let mut cases = vec![
        case(
            "tokenizer.json alone",
            "sd15",
            |root| {
                copy_folder(&root.join("sd15"), &root.join("plain"));
                whole_tokenizer(root);
            },
            Like("plain"),
        ),
        case(
            "tokenizer.json with merges as lines",
            "sd15",
            |root| {
                copy_folder(&root.join("sd15"), &root.join("plain"));
                whole_tokenizer(root);
                edit_json(&root.join("sd15/tokenizer/tokenizer.json"), |file| {
                    let merges = file["model"]["merges"].as_array().unwrap();
                    let line = |pair: &Value| {
                        format!(
                            "{} {}",
                            pair[0].as_str().unwrap(),
                            pair[1].as_str().unwrap()
                        )
                    };
                    file["model"]["merges"] = merges.iter().map(line).collect();
                });
            },
            Like("plain"),
        ),
        case(
            "tokenizer.json cut short",
            "sd15",
            |root| {
                whole_tokenizer(root);
                let path = root.join("sd15/tokenizer/tokenizer.json");
                let text = std::fs::read_to_string(&path).unwrap();
                std::fs::write(path, &text[..text.len() / 2]).unwrap();
            },
            Says(&["tokenizer.json"]),
        ),
        case(
            "no tokenizer_config.json",
            "sd15.safetensors",
            |root| {
                single(root, "plain.safetensors");
                edit_json(
                    &root.join("plain/tokenizer/tokenizer_config.json"),
                    |config| {
                        config["model_max_length"] = json!(24);
                    },
                );
            },
            Like("plain.safetensors"),
        ),
        case(
            "the fp16 variant",
            "sd15",
            |root| {
                copy_folder(&root.join("sd15"), &root.join("plain"));
                std::fs::rename(
                    root.join("sd15").join(UNET),
                    root.join("sd15/unet/diffusion_pytorch_model.fp16.safetensors"),
                )
                .unwrap();
            },
            Like("plain"),
        ),
        case(
            "the non_ema variant",
            "sd15",
            |root| {
                copy_folder(&root.join("sd15"), &root.join("plain"));
                std::fs::rename(
                    root.join("sd15").join(UNET),
                    root.join("sd15/unet/diffusion_pytorch_model.non_ema.safetensors"),
                )
                .unwrap();
            },
            Like("plain"),
        ),
        case(
            "several files of a variant",
            "deepfloyd",
            |root| {
                copy_folder(&root.join("deepfloyd"), &root.join("plain"));
                let text = root.join("deepfloyd/text_encoder");
                let index = text.join("model.safetensors.index.json");
                edit_json(&index, |file| {
                    for (_, value) in file["weight_map"].as_object_mut().unwrap() {
                        *value = json!(value.as_str().unwrap().replace("model-", "model.fp16-"));
                    }
                });
                std::fs::rename(&index, text.join("model.safetensors.index.fp16.json")).unwrap();
                for number in 1..=2 {
                    let name = |start: &str| {
                        text.join(format!("{start}-0000{number}-of-00002.safetensors"))
                    };
                    std::fs::rename(name("model"), name("model.fp16")).unwrap();
                }
            },
            Like("plain"),
        ),
        case(
            "a text encoder without text_model",
            "sd15.safetensors",
            |root| {
                single(root, "plain.safetensors");
                edit(&root.join("sd15.safetensors"), |tensors| {
                    *tensors = std::mem::take(tensors)
                        .into_iter()
                        .map(|(key, value)| {
                            (key.replace(&format!("{CLIP}text_model."), CLIP), value)
                        })
                        .collect();
                });
            },
            Like("plain.safetensors"),
        ),
        case(
            "a flag that nothing reads",
            "sd15.safetensors",
            |root| {
                single(root, "plain.safetensors");
                add(
                    &root.join("sd15.safetensors"),
                    "some.flag",
                    Dtype::BOOL,
                    vec![],
                    vec![1],
                );
            },
            Like("plain.safetensors"),
        ),
        case(
            "weights in f8 that nothing reads",
            "sd15.safetensors",
            |root| {
                single(root, "plain.safetensors");
                add(
                    &root.join("sd15.safetensors"),
                    "model_ema.x",
                    Dtype::F8_E4M3,
                    vec![2],
                    vec![1, 2],
                );
            },
            Like("plain.safetensors"),
        ),
        case(
            "a count in a part",
            "sd15",
            |root| {
                copy_folder(&root.join("sd15"), &root.join("plain"));
                add(
                    &root.join("sd15").join(UNET),
                    "num_batches_tracked",
                    Dtype::I64,
                    vec![1],
                    vec![0; 8],
                );
            },
            Like("plain"),
        ),
        case(
            "a flag in a part",
            "sd15",
            |root| {
                copy_folder(&root.join("sd15"), &root.join("plain"));
                add(
                    &root.join("sd15").join(UNET),
                    "is_trained",
                    Dtype::BOOL,
                    vec![1],
                    vec![1],
                );
            },
            Like("plain"),
        ),
        lora(
            "LoRA by attention processors",
            "l.safetensors",
            |root| {
                rename_lora(root, |key| {
                    let key = key
                        .replace(".lora_A.weight", "_lora.down.weight")
                        .replace(".lora_B.weight", "_lora.up.weight");
                    ["to_q", "to_k", "to_v"].iter().fold(key, |key, name| {
                        key.replace(&format!(".{name}_lora"), &format!(".processor.{name}_lora"))
                    })
                });
            },
            Like("lora"),
        ),
        lora(
            "the same without the part's name",
            "l.safetensors",
            |root| {
                rename_lora(root, |key| key.replacen("unet.", "", 1));
            },
            Like("lora"),
        ),
        lora(
            "PEFT's own file",
            "l.safetensors",
            |root| {
                rename_lora(root, |key| key.replacen("unet.", "base_model.model.", 1));
            },
            Like("lora"),
        ),
        lora(
            "PEFT's with the adapter's name",
            "l.safetensors",
            |root| {
                rename_lora(root, |key| {
                    key.replace(".lora_A.", ".lora_A.default.")
                        .replace(".lora_B.", ".lora_B.default.")
                });
            },
            Like("lora"),
        ),
        lora(
            "PEFT's with its configuration",
            "l.safetensors",
            |root| {
                rename_lora(root, |key| key.replacen("unet.", "base_model.model.", 1));
                let config = json!({"r": 4, "lora_alpha": 4, "use_rslora": false}).to_string();
                std::fs::write(root.join("adapter_config.json"), config).unwrap();
            },
            Like("lora"),
        ),
        lora(
            "PEFT's names behind the part's",
            "l.safetensors",
            |root| {
                rename_lora(root, |key| {
                    key.replacen("unet.", "unet.base_model.model.", 1)
                });
            },
            Like("lora"),
        ),
        case(
            "a VAE without its outer convolutions",
            "sd15",
            |root| {
                edit_json(&root.join("sd15/vae/config.json"), |config| {
                    config["use_quant_conv"] = json!(false)
                });
            },
            Says(&["use_quant_conv"]),
        ),
        lora(
            "LoHa",
            "l.safetensors",
            |root| factors(root, hadamard),
            Like("difference"),
        ),
        lora(
            "a whole difference",
            "l.safetensors",
            |root| factors(root, whole),
            Like("difference"),
        ),
    ];
    for (name, key, says) in [
        (
            "LoKr",
            "lora_unet_mid_block_resnets_0_conv1.lokr_w1",
            "LoKr",
        ),
        (
            "DoRA of kohya",
            "lora_unet_mid_block_resnets_0_conv1.dora_scale",
            "DoRA",
        ),
        (
            "DoRA of PEFT",
            "unet.mid_block.resnets.0.conv1.lora_magnitude_vector",
            "DoRA",
        ),
        (
            "Tucker",
            "lora_unet_mid_block_resnets_0_conv1.lora_mid.weight",
            "Tucker",
        ),
        (
            "LoHa with Tucker",
            "lora_unet_mid_block_resnets_0_conv1.hada_t1",
            "Tucker",
        ),
        (
            "OFT",
            "lora_unet_mid_block_resnets_0_conv1.oft_blocks",
            "OFT",
        ),
        ("IA3", "lora_unet_mid_block_resnets_0_conv1.on_input", "IA3"),
        ("textual inversion", "emb_params", "textual inversion"),
        (
            "a transformer's LoRA",
            "transformer.blocks.0.attn.to_q.lora_A.weight",
            "transformer",
        ),
        (
            "a whole model as LoRA",
            "model.diffusion_model.out.0.weight",
            "whole model",
        ),
    ] {
        cases.push(Case {
            name,
            make: as_it_was,
            model: "sd15",
            lora: Some(key),
            expected: Says(match says {
                "LoKr" => &["LoKr"],
                "DoRA" => &["DoRA"],
                "Tucker" => &["Tucker"],
                "OFT" => &["OFT"],
                "IA3" => &["IA3"],
                "textual inversion" => &["textual inversion"],
                "transformer" => &["transformer"],
                _ => &["whole model", "--prior"],
            }),
        });
    }
    cases
}

fn add(path: &Path, key: &str, dtype: Dtype, shape: Vec<usize>, data: Vec<u8>) {
    edit(path, |tensors| {
        tensors.insert(key.to_owned(), (dtype, shape, data));
    });
}

/// The U-Net's attention layers of PEFT's file, as they are and with other names; without a header, so that both have
/// the strength 1.
fn rename_lora(root: &Path, name: impl Fn(&str) -> String) {
    let (mut tensors, _) = read(&root.join("sd15/lora-peft.safetensors"));
    tensors.retain(|key, _| {
        key.starts_with("unet.") && (key.contains("attn1.to_q") || key.contains("attn2.to_v"))
    });
    assert!(tensors.len() >= 4);
    write(&root.join("lora.safetensors"), &tensors, HashMap::new());
    let renamed = tensors
        .into_iter()
        .map(|(key, value)| (name(&key), value))
        .collect();
    write(&root.join("l.safetensors"), &renamed, HashMap::new());
}

/// Ends of keys with values and shapes, and under `=` what they make.
type Form = Vec<(&'static str, Vec<f32>, Vec<usize>)>;

/// A difference of one weight in some form, and a model with that weight changed by hand.
fn factors(root: &Path, form: fn(&[f32], usize, usize) -> Form) {
    let key = "mid_block.attentions.0.proj_in.weight";
    copy_folder(&root.join("sd15"), &root.join("difference"));
    let path = root.join("difference").join(UNET);
    let (tensors, _) = read(&path);
    let (dtype, shape, data) = tensors[key].clone();
    assert_eq!(dtype, Dtype::F16);
    let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
    let left: Vec<f32> = (0..rows).map(|i| 0.5 + 0.25 * (i % 3) as f32).collect();
    let module = "lora_unet_mid_block_attentions_0_proj_in";
    let mut file = Tensors::new();
    let mut difference = vec![0.0; rows * columns];
    for (end, values, mut of) in form(&left, rows, columns) {
        if end == "=" {
            difference = values;
            continue;
        }
        if end == ".diff" {
            of.clone_from(&shape);
        }
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        file.insert(format!("{module}{end}"), (Dtype::F32, of, bytes));
    }
    write(&root.join("l.safetensors"), &file, HashMap::new());
    edit(&path, |tensors| {
        let values = data.as_chunks::<2>().0.iter().zip(&difference);
        let sum = values.flat_map(|(bytes, difference)| {
            let weight = half(u16::from_le_bytes(*bytes)) + 0.7 * difference;
            weight.to_le_bytes()
        });
        tensors.insert(key.into(), (Dtype::F32, shape.clone(), sum.collect()));
    });
}

/// A number of f16.
fn half(bits: u16) -> f32 {
    let (sign, exponent, mantissa) = (
        bits >> 15,
        i32::from(bits >> 10 & 31),
        f32::from(bits & 1023),
    );
    let value = if exponent == 0 {
        mantissa * 2f32.powi(-24)
    } else {
        (1.0 + mantissa / 1024.0) * 2f32.powi(exponent - 15)
    };
    if sign == 1 { -value } else { value }
}

fn hadamard(left: &[f32], rows: usize, columns: usize) -> Form {
    let right: Vec<f32> = (0..columns).map(|j| 0.1 * (j % 4) as f32 - 0.1).collect();
    let ones = vec![2.0; columns];
    // (left rightᵀ) ∘ (left onesᵀ), α = 3 with rank 1.
    let at = |index: usize| {
        3.0 * left[index / columns] * right[index % columns] * left[index / columns] * 2.0
    };
    vec![
        (".hada_w1_a", left.to_vec(), vec![rows, 1]),
        (".hada_w1_b", right.clone(), vec![1, columns]),
        (".hada_w2_a", left.to_vec(), vec![rows, 1]),
        (".hada_w2_b", ones, vec![1, columns]),
        (".alpha", vec![3.0], vec![1]),
        ("=", (0..rows * columns).map(at).collect(), vec![]),
    ]
}

fn whole(left: &[f32], rows: usize, columns: usize) -> Form {
    let values: Vec<f32> = (0..rows * columns)
        .map(|i| left[i / columns] * 0.1 * (i % 5) as f32)
        .collect();
    vec![(".diff", values.clone(), vec![]), ("=", values, vec![])]
}

/// As transformers 5 saves a tokenizer.
fn whole_tokenizer(root: &Path) {
    let folder = root.join("sd15/tokenizer");
    let vocabulary: Value =
        serde_json::from_slice(&std::fs::read(folder.join("vocab.json")).unwrap()).unwrap();
    let merges = std::fs::read_to_string(folder.join("merges.txt")).unwrap();
    let lines = merges
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let merges: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
    let special = ["<|startoftext|>", "<|endoftext|>"].map(|token| {
        json!({"id": vocabulary[token], "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
    });
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", vocabulary["<|endoftext|>"]],
            "cls": ["<|startoftext|>", vocabulary["<|startoftext|>"]], "trim_offsets": false, "add_prefix_space": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<|endoftext|>", "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges},
    });
    std::fs::write(folder.join("tokenizer.json"), file.to_string()).unwrap();
    std::fs::remove_file(folder.join("vocab.json")).unwrap();
    std::fs::remove_file(folder.join("merges.txt")).unwrap();
}

/// Sets the first value of a tensor.
fn spoil(path: &Path, part: &str, dtype: Dtype, bits: &[u8]) {
    edit(path, |tensors| {
        let found = tensors
            .iter_mut()
            .find(|(key, (of, shape, _))| key.contains(part) && *of == dtype && shape.len() >= 2);
        let (_, (_, _, data)) = found.unwrap();
        data[..bits.len()].copy_from_slice(bits);
    });
}

/// Kind 3: values that are not finite.
fn not_finite() -> Vec<Case> {
    vec![
        case(
            "NaN in a U-Net",
            "sd15",
            |root| {
                spoil(
                    &root.join("sd15").join(UNET),
                    "mid_block",
                    Dtype::F16,
                    &[0, 0x7e],
                )
            },
            Says(&["not finite", "mid_block", UNET]),
        ),
        case(
            "infinity in a U-Net",
            "sd15",
            |root| {
                spoil(
                    &root.join("sd15").join(UNET),
                    "up_blocks",
                    Dtype::F16,
                    &[0, 0x7c],
                )
            },
            Says(&["not finite", "up_blocks"]),
        ),
        case(
            "infinity below zero in a VAE",
            "sd15",
            |root| {
                spoil(
                    &root.join("sd15/vae/diffusion_pytorch_model.safetensors"),
                    "encoder",
                    Dtype::F16,
                    &[0, 0xfc],
                )
            },
            Says(&["not finite", "vae", "encoder"]),
        ),
        case(
            "NaN in a text encoder",
            "sd15",
            |root| {
                spoil(
                    &root.join("sd15").join(TEXT),
                    "layers.1",
                    Dtype::F16,
                    &[1, 0x7c],
                )
            },
            Says(&["not finite", "text_encoder", "layers.1"]),
        ),
        case(
            "NaN in a single file",
            "sd15.safetensors",
            |root| {
                spoil(
                    &root.join("sd15.safetensors"),
                    "input_blocks.1.",
                    Dtype::F16,
                    &[0, 0x7e],
                )
            },
            Says(&[
                "not finite",
                "sd15.safetensors",
                "model.diffusion_model.input_blocks.1.",
            ]),
        ),
        lora(
            "NaN in a LoRA",
            "sd15/lora-kohya.safetensors",
            |root| {
                spoil(
                    &root.join("sd15/lora-kohya.safetensors"),
                    "lora_up",
                    Dtype::F16,
                    &[0, 0x7e],
                )
            },
            Says(&["not finite", "lora-kohya.safetensors", "lora_up"]),
        ),
        case(
            "NaN in T5",
            "deepfloyd",
            |root| {
                spoil(
                    &root.join("deepfloyd/text_encoder/model-00002-of-00002.safetensors"),
                    "weight",
                    Dtype::F16,
                    &[0, 0x7e],
                )
            },
            Says(&["not finite", "model-00002"]),
        ),
    ]
}

/// Kind 4: what the user has in hand.
fn in_hand() -> Vec<Case> {
    fn put(root: &Path, bytes: &[u8]) {
        std::fs::write(root.join("sd15").join(UNET), bytes).unwrap();
    }
    vec![
        case(
            "a Git LFS pointer",
            "sd15",
            |root| {
                put(
                    root,
                    b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3438167534\n",
                )
            },
            Says(&["Git LFS pointer", "git lfs pull", UNET]),
        ),
        case(
            "a sign-in page",
            "sd15",
            |root| {
                put(
                    root,
                    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>",
                )
            },
            Says(&["web page", "HF_TOKEN"]),
        ),
        case(
            "an XML answer",
            "sd15",
            |root| {
                put(
                    root,
                    b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
                )
            },
            Says(&["web page"]),
        ),
        case(
            "a server's message",
            "sd15",
            |root| put(root, b"{\"error\":\"Repository not found\"}"),
            Says(&["server's error message"]),
        ),
        case(
            "a renamed pickle",
            "sd15",
            |root| put(root, b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94."),
            Says(&["pickle"]),
        ),
        case(
            "a renamed pickle in a ZIP",
            "sd15",
            |root| {
                put(
                    root,
                    b"PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl\x00\x00",
                )
            },
            Says(&["pickle"]),
        ),
        case(
            "a GGUF file",
            "sd15",
            |root| {
                put(
                    root,
                    b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
                )
            },
            Says(&["GGUF"]),
        ),
        case(
            "an HDF5 file",
            "sd15",
            |root| put(root, b"\x89HDF\r\n\x1a\n\x00\x00\x00\x00"),
            Says(&["HDF5"]),
        ),
        case(
            "a ZIP archive",
            "sd15",
            |root| put(root, b"PK\x03\x04\x14\x00\x00\x00\x00\x00model.safetensors"),
            Says(&["ZIP"]),
        ),
        case(
            "a gzip archive",
            "sd15",
            |root| put(root, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
            Says(&["gzip"]),
        ),
        case(
            "a pickle called .ckpt that is a page",
            "m.ckpt",
            |root| std::fs::write(root.join("m.ckpt"), "<html></html>").unwrap(),
            Says(&["web page"]),
        ),
        case(
            "the cache's outer folder",
            "models--a--b",
            |root| {
                copy_folder(
                    &root.join("sd15"),
                    &root.join("models--a--b/snapshots/1234"),
                )
            },
            Says(&["outer folder", "snapshots/1234"]),
        ),
        case(
            "the whole cache",
            "hub",
            |root| copy_folder(&root.join("sd15"), &root.join("hub/models--a--b")),
            Says(&["OWNER/NAME"]),
        ),
        case(
            "a part's folder",
            "sd15/unet",
            |_| {},
            Says(&["one part", "folder above it"]),
        ),
        case(
            "a part's folder by itself",
            "vae",
            |root| copy_folder(&root.join("sd15/vae"), &root.join("vae")),
            Says(&["one part", "the whole of it"]),
        ),
        case(
            "a folder with a single file",
            "downloads",
            |root| {
                copy_file(
                    &root.join("sd15.safetensors"),
                    &root.join("downloads/x.safetensors"),
                )
            },
            Says(&["no model in diffusers' layout", "x.safetensors"]),
        ),
        case(
            "a folder around the model",
            "outer",
            |root| copy_folder(&root.join("sd15"), &root.join("outer/sd15")),
            Says(&["folder of this one", "outer/sd15"]),
        ),
        case(
            "a pointer in place of a configuration",
            "sd15",
            |root| {
                std::fs::write(
                    root.join("sd15/unet/config.json"),
                    "version https://git-lfs.github.com/spec/v1\n",
                )
                .unwrap()
            },
            Says(&["unet/config.json", "Git LFS pointer"]),
        ),
        case(
            "a page in place of the words",
            "sd15",
            |root| {
                std::fs::write(root.join("sd15/tokenizer/vocab.json"), "<!doctype html>").unwrap()
            },
            Says(&["vocab.json", "web page"]),
        ),
        case(
            "a U-Net's file",
            "sd15/unet/diffusion_pytorch_model.safetensors",
            |_| {},
            Says(&["U-Net alone", "folder of the whole model"]),
        ),
        case(
            "a VAE's file",
            "sd15/vae/diffusion_pytorch_model.safetensors",
            |_| {},
            Says(&["VAE alone"]),
        ),
        case(
            "a LoRA as a model",
            "sd15/lora-kohya.safetensors",
            |_| {},
            Says(&["LoRA", "--lora"]),
        ),
        case(
            "pickles in several files",
            "sd15",
            |root| {
                std::fs::remove_file(root.join("sd15").join(TEXT)).unwrap();
                std::fs::write(
                    root.join("sd15/text_encoder/pytorch_model.bin.index.json"),
                    "{}",
                )
                .unwrap();
            },
            Says(&["pickle"]),
        ),
        case(
            "an empty folder",
            "empty",
            |root| std::fs::create_dir(root.join("empty")).unwrap(),
            Says(&["empty"]),
        ),
        lora(
            "a LoRA's folder",
            "lora",
            |root| {
                copy_file(
                    &root.join("sd15/lora-peft.safetensors"),
                    &root.join("lora/pytorch_lora_weights.safetensors"),
                )
            },
            Says(&["folder", "pytorch_lora_weights.safetensors"]),
        ),
        lora(
            "a LoRA that is a pointer",
            "l.safetensors",
            |root| {
                std::fs::write(
                    root.join("l.safetensors"),
                    "version https://git-lfs.github.com/spec/v1\n",
                )
                .unwrap()
            },
            Says(&["Git LFS pointer"]),
        ),
    ]
}

/// Why a case is wrong, if it is.
fn wrong(case: &Case) -> Option<String> {
    let copy = tempfile::tempdir().unwrap();
    let root = copy.path();
    for model in ["sd15", "sd21", "deepfloyd"] {
        copy_folder(&folder().join(model), &root.join(model));
    }
    for file in ["sd15.safetensors", "sd21.safetensors"] {
        copy_file(&folder().join(file), &root.join(file));
    }
    (case.make)(root);
    let lora = case.lora.map(|name| {
        let is_file = name.ends_with(".safetensors") || root.join(name).exists();
        if !is_file {
            // The name is a key.
            add_lora(root, name);
            return root.join("l.safetensors");
        }
        root.join(name)
    });
    let found = answer(&root.join(case.model), lora);
    match (&case.expected, found) {
        (Says(words), Err(line)) => {
            let is_right = !line.contains('\n')
                && line.len() < 500
                && words.iter().all(|word| line.contains(word));
            (!is_right).then(|| format!("{}: {words:?} in {line:?}", case.name))
        }
        (Says(_), Ok(_)) => Some(format!("{}: it was loaded", case.name)),
        (Like(_), Err(line)) => Some(format!("{}: {line}", case.name)),
        (Like(other), Ok(found)) => {
            let (model, lora) = match *other {
                "lora" => ("sd15", Some(root.join("lora.safetensors"))),
                other => (other, None),
            };
            let expected = answer(&root.join(model), lora).unwrap();
            let error = relative_error(found, expected);
            (error > 1e-5).then(|| format!("{}: relative error {error:.1e}", case.name))
        }
    }
}

fn add_lora(root: &Path, key: &str) {
    let tensors = Tensors::from([(key.to_owned(), (Dtype::F32, vec![1], vec![0; 4]))]);
    write(&root.join("l.safetensors"), &tensors, HashMap::new());
}

#[test]
fn files_of_public_reports_are_read_or_named() {
    let cases: Vec<Case> = [guessed(), written(), not_finite(), in_hand()]
        .into_iter()
        .flatten()
        .collect();
    assert!(cases.len() >= 80, "{}", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A LoRA changes what is computed: otherwise the comparisons above would show nothing.
#[test]
fn the_comparisons_see_a_difference() {
    let root = folder();
    let plain = answer(&root.join("sd15"), None).unwrap();
    let adapted = answer(
        &root.join("sd15"),
        Some(root.join("sd15/lora-kohya.safetensors")),
    );
    assert!(relative_error(adapted.unwrap(), plain) > 1e-3);
}
