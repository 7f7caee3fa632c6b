//! The trained prior as a folder that diffusers and transformers open part by part.

use crate::config::TrainConfig;
use crate::denoiser::Denoiser;
use crate::trainer::TrainError;
use burn::tensor::DType;
use dreamfuse_core::files::{create_folder, write_atomically};
use dreamfuse_diffusion::NetworkConfig;
use dreamfuse_diffusion::pipeline::UNET_WEIGHTS;
use dreamfuse_diffusion::tokenizer::TokenizerFiles;
use dreamfuse_diffusion::uvit::UVitConfig;
use dreamfuse_toybox::words;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

/// The tokenizer of the toybox world.
pub(crate) fn tokenizer_files(config: &TrainConfig) -> TokenizerFiles {
    TokenizerFiles::for_words(words::tokens(), config.tokens)
}

/// Writes the folder, weights in f16.
pub(crate) fn write(
    folder: &Path,
    config: &TrainConfig,
    tokenizer: &TokenizerFiles,
    model: &Denoiser,
) -> Result<(), TrainError> {
    for part in ["unet", "text_encoder", "tokenizer", "scheduler"] {
        create_folder(&folder.join(part))?;
    }
    let text = |name: &str, text: &str| write_atomically(&folder.join(name), text.as_bytes());
    let (library, class, network) = match &config.network() {
        NetworkConfig::UNet(config) => ("diffusers", "UNet2DConditionModel", json!(config)),
        NetworkConfig::UVit(config) => ("dreamfuse_uvit", UVitConfig::CLASS, json!(config)),
    };
    text("unet/config.json", &joined(network, of_class(class)))?;
    text("text_encoder/config.json", &text_encoder(config, tokenizer))?;
    let mut scheduler = of_class("DDPMScheduler");
    scheduler["clip_sample"] = json!(true);
    let scheduler = joined(json!(config.schedule()), scheduler);
    text("scheduler/scheduler_config.json", &scheduler)?;
    text("tokenizer/vocab.json", &tokenizer.vocab)?;
    text("tokenizer/merges.txt", &tokenizer.merges)?;
    text("tokenizer/tokenizer_config.json", &tokenizer.config)?;
    let index = json!({
        "_class_name": "DiffusionPipeline", "unet": [library, class],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDPMScheduler"],
    });
    text("model_index.json", &pretty(&index))?;
    text("words.txt", &(words::all().join("\n") + "\n"))?;
    model.network.save(&folder.join(UNET_WEIGHTS), DType::F16)?;
    let weights = folder.join("text_encoder/model.safetensors");
    Ok(model.text_encoder.save(&weights, DType::F16)?)
}

/// What diffusers writes first.
fn of_class(name: &str) -> Value {
    json!({"_class_name": name, "_diffusers_version": "0.42.1"})
}

fn text_encoder(config: &TrainConfig, tokenizer: &TokenizerFiles) -> String {
    let size = tokenizer.vocab_size;
    let also = json!({
        "architectures": ["CLIPTextModel"], "model_type": "clip_text_model",
        "bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1,
    });
    joined(json!(config.text_encoder(size)), also)
}

/// The keys of two objects, as the text of a file.
fn joined(first: Value, second: Value) -> String {
    let (Value::Object(mut keys), Value::Object(others)) = (first, second) else {
        unreachable!("configurations are objects")
    };
    keys.extend(others);
    pretty(&keys)
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("JSON values serialize") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Int, Tensor};
    use dreamfuse_core::{Purpose, ViewWord, stream};
    use dreamfuse_diffusion::Tokenizer;
    use dreamfuse_diffusion::clip_text::ClipTextModel;
    use dreamfuse_toybox::{CaptionSampler, CaptionShares};

    #[test]
    fn the_shipped_words_keep_their_ids() {
        let config: TrainConfig = toml::from_str(include_str!("../configs/prior-32.toml")).unwrap();
        let ids = |vocab: &str| {
            serde_json::from_str::<std::collections::HashMap<String, usize>>(vocab).unwrap()
        };
        let today = ids(&tokenizer_files(&config).vocab);
        let shipped = ids(include_str!(
            "../../dreamfuse-diffusion/assets/embedded-prior/tokenizer/vocab.json"
        ));
        for (token, id) in shipped
            .into_iter()
            .filter(|(token, _)| !token.starts_with("<|"))
        {
            assert_eq!(today.get(&token), Some(&id), "{token}");
        }
    }

    #[test]
    fn words_keep_their_meaning_in_a_larger_vocabulary() {
        let tokenizer = |words: &[&'static str]| {
            let files = TokenizerFiles::for_words(words.iter().copied(), 8);
            files.tokenizer().unwrap()
        };
        let device = Device::flex();
        let (small, large) = (
            tokenizer(&["cat", "dog"]),
            tokenizer(&["cat", "lion", "dog"]),
        );
        let encoder = |tokenizer: &Tokenizer| {
            let config: TrainConfig =
                toml::from_str(include_str!("../configs/prior-32.toml")).unwrap();
            let config = TrainConfig {
                text_width: 16,
                tokens: 8,
                ..config
            };
            ClipTextModel::new(&config.text_encoder(tokenizer.vocabulary_size()), &device)
        };
        let (old, fresh) = (encoder(&small), encoder(&large));
        let grown = old.clone().with_tokens(&large.ids_in(&small), &fresh);
        let meaning = |model: &ClipTextModel, tokenizer: &Tokenizer, text: &str| {
            let ids = tokenizer.encode(text).unwrap();
            model
                .forward(Tensor::<1, Int>::from_ints(ids.as_slice(), &device).unsqueeze())
                .into_data()
        };
        assert_eq!(
            meaning(&grown, &large, "dog cat"),
            meaning(&old, &small, "dog cat")
        );
        assert_ne!(
            meaning(&grown, &large, "lion"),
            meaning(&grown, &large, "dog")
        );
    }

    #[test]
    fn every_word_of_the_world_is_one_token() {
        let config: TrainConfig = toml::from_str(include_str!("../configs/prior-32.toml")).unwrap();
        let files = tokenizer_files(&config);
        let tokenizer = files.tokenizer().unwrap();
        for word in words::tokens() {
            if word.chars().all(char::is_alphabetic) {
                assert_eq!(tokenizer.pieces(word), 1, "{word}");
            }
        }
    }

    #[test]
    fn captions_fit_the_tokens() {
        let config: TrainConfig = toml::from_str(include_str!("../configs/prior-32.toml")).unwrap();
        let files = tokenizer_files(&config);
        let tokenizer = files.tokenizer().unwrap();
        let captions = CaptionSampler::new(CaptionShares {
            pairs: 0.9,
            colors: 0.1,
            materials: 0.9,
            extras: 0.9,
            sizes: 0.9,
            counts: 0.5,
        });
        let mut rng = stream(1, Purpose::Caption, 0, 0);
        for _ in 0..20_000 {
            let text = captions.sample(&mut rng).text + ViewWord::Overhead.suffix();
            assert!(tokenizer.encode(&text).is_ok(), "{text}");
        }
    }
}
