//! What a single file's tensors say of the shapes of its parts. What shapes cannot say is as in Stable Diffusion 1 and 2.

use super::single_file::{CLIP, OPEN_CLIP, PROJECTION, UNET, VAE, VISUAL, XL_CLIP, XL_OPEN_CLIP};
use crate::checkpoint::Weights;
use serde_json::{Value, json};

/// Numbers of a head in Stable Diffusion 2, and in both text encoders.
const HEAD: usize = 64;

/// Numbers that a size of an image becomes in Stable Diffusion XL.
const SIZE: usize = 256;

/// Views of MVDream.
const MULTI_VIEW: usize = 4;

/// Larger numbers in keys are no layers.
const MOST: usize = 1000;

/// The first number after a prefix, over all keys that have it: one more than the largest.
fn count(weights: &Weights, prefix: &str) -> usize {
    let number = |key: &str| {
        key.strip_prefix(prefix)?
            .split('.')
            .next()?
            .parse::<usize>()
            .ok()
    };
    weights
        .keys()
        .filter_map(number)
        .filter(|number| *number < MOST)
        .max()
        .map_or(0, |most| most + 1)
}

/// Residual blocks of a level: the first change of size comes after them.
pub(super) fn unet_layers(weights: &Weights) -> usize {
    let blocks = count(weights, &format!("{UNET}input_blocks."));
    let is_change = |block: &usize| {
        weights
            .shape(&format!("{UNET}input_blocks.{block}.0.op.weight"))
            .is_some()
    };
    (1..blocks)
        .find(is_change)
        .unwrap_or(blocks)
        .saturating_sub(1)
}

/// Numbers of pooled text and sizes that the U-Net of Stable Diffusion XL takes; others take none.
fn pooled_input(weights: &Weights) -> Option<usize> {
    weights
        .shape(&format!("{UNET}label_emb.0.0.weight"))?
        .get(1)
        .copied()
}

/// Side of the latents that the header speaks of, as `768x768` pixels.
fn noted_size(weights: &Weights) -> Option<usize> {
    let (width, height) = weights.note("modelspec.resolution")?.split_once('x')?;
    let side = width.trim().parse::<usize>().ok()?;
    (width.trim() == height.trim() && side.is_multiple_of(64)).then_some(side / 8)
}

/// `sample_size` is that of 512 pixels; who predicts v was trained with 768, MVDream with 256, and XL with 1024.
pub(super) fn unet(weights: &Weights, predicts_v: bool) -> Option<Value> {
    let layers = unet_layers(weights);
    let levels = count(weights, &format!("{UNET}input_blocks.")) / (layers + 1);
    let block = |level: usize| format!("{UNET}input_blocks.{}", 1 + level * (layers + 1));
    let channels = |level: usize| {
        weights
            .shape(&format!("{}.0.out_layers.3.weight", block(level)))?
            .first()
            .copied()
    };
    let channels = (0..levels).map(channels).collect::<Option<Vec<usize>>>()?;
    let attends = |level: usize| {
        weights
            .keys()
            .any(|key| key.starts_with(&format!("{}.1.", block(level))))
    };
    let first = weights
        .keys()
        .find(|key| key.starts_with(UNET) && key.ends_with(".attn2.to_k.weight"))?;
    let is_linear = projects_linearly(weights)?;
    let heads = if is_linear {
        json!(channels.iter().map(|c| c / HEAD).collect::<Vec<_>>())
    } else {
        json!(8)
    };
    let cameras = match weights.shape(&format!("{UNET}camera_embed.0.weight")) {
        Some(shape) => Some(*shape.get(1)?),
        None => None,
    };
    let pooled = pooled_input(weights);
    let size = match (cameras, pooled, predicts_v) {
        _ if noted_size(weights).is_some() => noted_size(weights)?,
        (Some(_), ..) => 32,
        _ if takes_picture(weights) => 32,
        (None, Some(_), _) => 128,
        (None, None, true) => 96,
        (None, None, false) => 64,
    };
    let blocks =
        |level: usize| count(weights, &format!("{}.1.transformer_blocks.", block(level))).max(1);
    let named = |level: usize, kind: &str| {
        if attends(level) {
            format!("CrossAttn{kind}")
        } else {
            kind.to_owned()
        }
    };
    Some(json!({
        "sample_size": size,
        "in_channels": weights.shape(&format!("{UNET}input_blocks.0.0.weight"))?.get(1)?,
        "out_channels": weights.shape(&format!("{UNET}out.2.weight"))?.first()?,
        "block_out_channels": channels,
        "layers_per_block": layers,
        "down_block_types": (0..levels).map(|level| named(level, "DownBlock2D")).collect::<Vec<_>>(),
        "up_block_types": (0..levels).rev().map(|level| named(level, "UpBlock2D")).collect::<Vec<_>>(),
        "cross_attention_dim": weights.shape(first)?.get(1)?,
        "attention_head_dim": heads,
        "use_linear_projection": is_linear,
        "class_embed_type": cameras.map(|_| "projection"),
        "projection_class_embeddings_input_dim": cameras.or(pooled),
        "addition_embed_type": pooled.map(|_| "text_time"),
        "addition_time_embed_dim": pooled.map(|_| SIZE),
        "transformer_layers_per_block": (0..levels).map(blocks).collect::<Vec<_>>(),
        "num_views": if cameras.is_some() { MULTI_VIEW } else { 1 },
    }))
}

pub(super) fn vae_levels(weights: &Weights) -> usize {
    count(weights, &format!("{VAE}encoder.down."))
}

pub(super) fn vae(weights: &Weights) -> Option<Value> {
    let levels = vae_levels(weights);
    let shape = |key: &str| weights.shape(&format!("{VAE}{key}"));
    let channels = |level: usize| {
        shape(&format!("encoder.down.{level}.block.0.conv2.weight"))?
            .first()
            .copied()
    };
    let latents = *shape("decoder.conv_in.weight")?.get(1)?;
    Some(json!({
        "in_channels": shape("encoder.conv_in.weight")?.get(1)?,
        "out_channels": shape("decoder.conv_out.weight")?.first()?,
        "latent_channels": latents,
        "block_out_channels": (0..levels).map(channels).collect::<Option<Vec<_>>>()?,
        "layers_per_block": count(weights, &format!("{VAE}encoder.down.0.block.")),
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
        "scaling_factor": if pooled_input(weights).is_some() { 0.13025 } else { 0.18215 },
    }))
}

/// Whether it is Zero123, which takes a picture in the place of a text.
pub(super) fn takes_picture(weights: &Weights) -> bool {
    weights.shape(&format!("{PROJECTION}weight")).is_some()
}

pub(super) fn has_open_clip(weights: &Weights) -> bool {
    !takes_picture(weights) && weights.keys().any(|key| key.starts_with(OPEN_CLIP))
}

/// Of Zero123.
pub(super) fn image_encoder(weights: &Weights) -> Option<Value> {
    if !takes_picture(weights) {
        return None;
    }
    let shape = |key: &str| weights.shape(&format!("{VISUAL}{key}"));
    let &[width, _, patch, _] = shape("conv1.weight")? else {
        return None;
    };
    let patches = shape("positional_embedding")?.first()?.saturating_sub(1);
    Some(json!({
        "hidden_size": width,
        "intermediate_size": shape("transformer.resblocks.0.mlp.c_fc.weight")?.first()?,
        "num_hidden_layers": count(weights, &format!("{VISUAL}transformer.resblocks.")),
        "num_attention_heads": (width / HEAD).max(1),
        "image_size": patch * patches.isqrt(),
        "patch_size": patch,
        "projection_dim": shape("proj")?.get(1)?,
        "hidden_act": "quick_gelu",
    }))
}

/// A model of Stable Diffusion's kind, by its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// CLIP ViT-L/14 for texts.
    V1,
    /// OpenCLIP ViT-H/14 for texts, under its own names or transformers', and linear projections in the U-Net.
    V2,
    Xl,
    /// MVDream: Stable Diffusion 2.1 with cameras.
    MultiView,
}

pub(super) fn family(weights: &Weights) -> Family {
    let has_cameras = weights.shape(&format!("{UNET}camera_embed.0.weight"));
    if is_xl(weights) {
        Family::Xl
    } else if has_cameras.is_some() {
        Family::MultiView
    } else if has_open_clip(weights) || projects_linearly(weights) == Some(true) {
        Family::V2
    } else {
        Family::V1
    }
}

/// Whether the U-Net's transformers begin with linear layers, as those of Stable Diffusion 2 and XL do.
fn projects_linearly(weights: &Weights) -> Option<bool> {
    let projection = weights
        .keys()
        .find(|key| key.starts_with(UNET) && key.ends_with(".1.proj_in.weight"))?;
    Some(weights.shape(projection)?.len() == 2)
}

/// Layers of OpenCLIP ViT-H/14.
const WHOLE_OPEN_CLIP: usize = 24;

/// Layers of the text encoder that are used, of those that are stored. The U-Net of Stable Diffusion 2 was trained with the
/// output of the last but one; a file may have left the last out already.
fn used_layers(weights: &Weights, stored: usize) -> Option<usize> {
    match family(weights) {
        Family::V2 | Family::MultiView if stored + 1 == WHOLE_OPEN_CLIP => Some(stored),
        Family::V2 | Family::MultiView => stored.checked_sub(1),
        Family::V1 => {
            // Counted from the end: 1 is the last.
            let layer = weights.note("modelspec.encoder_layer");
            let layer = layer
                .and_then(|layer| layer.parse::<usize>().ok())
                .unwrap_or(1);
            (stored + 1).checked_sub(layer.max(1))
        }
        Family::Xl => Some(stored),
    }
}

/// The token that pads the texts of a tokenizer: OpenCLIP's pads with the first of the vocabulary, whatever tokenizer lies beside
/// the file.
pub(super) fn padding(weights: &Weights, folder: &str) -> Option<&'static str> {
    match (family(weights), folder) {
        (Family::V2 | Family::MultiView, "tokenizer") | (Family::Xl, "tokenizer_2") => Some("!"),
        _ => None,
    }
}

/// Says what the header calls the file, if that is no model that is run here (Stability AI's ModelSpec 1.0).
pub(super) fn check_header(weights: &Weights) -> Result<(), String> {
    let Some(architecture) = weights.note("modelspec.architecture") else {
        return Ok(());
    };
    let base = [
        "stable-diffusion-v1",
        "stable-diffusion-v2",
        "stable-diffusion-xl-v1-base",
    ];
    let is_base = base.iter().any(|known| architecture.starts_with(known));
    if is_base && !architecture.contains('/') {
        return Ok(());
    }
    Err(format!("its header calls it {architecture}"))
}

/// Whether it has the two text encoders of Stable Diffusion XL.
pub(super) fn is_xl(weights: &Weights) -> bool {
    weights.keys().any(|key| key.starts_with(XL_OPEN_CLIP))
}

/// Of the first text encoder.
pub(super) fn text(weights: &Weights) -> Option<Value> {
    if takes_picture(weights) {
        None
    } else if is_xl(weights) {
        clip(weights, XL_CLIP)
    } else if has_open_clip(weights) {
        let stored = count(weights, &format!("{OPEN_CLIP}transformer.resblocks."));
        open_clip(weights, OPEN_CLIP, used_layers(weights, stored)?)
    } else {
        clip(weights, CLIP)
    }
}

/// Of the second, if there is one.
pub(super) fn second_text(weights: &Weights) -> Option<Value> {
    let projection = weights
        .shape(&format!("{XL_OPEN_CLIP}text_projection"))?
        .get(1)?;
    let layers = count(weights, &format!("{XL_OPEN_CLIP}transformer.resblocks."));
    let mut config = open_clip(weights, XL_OPEN_CLIP, layers)?;
    config["projection_dim"] = json!(projection);
    Some(config)
}

fn open_clip(weights: &Weights, prefix: &str, layers: usize) -> Option<Value> {
    let shape = |key: &str| weights.shape(&format!("{prefix}{key}"));
    let hidden = shape("transformer.resblocks.0.mlp.c_fc.weight")?;
    text_config(
        [
            shape("token_embedding.weight")?,
            shape("positional_embedding")?,
            hidden,
        ],
        layers,
        "gelu",
    )
}

fn clip(weights: &Weights, prefix: &str) -> Option<Value> {
    let shape = |key: &str| weights.shape(&format!("{prefix}text_model.{key}"));
    let hidden = shape("encoder.layers.0.mlp.fc1.weight")?;
    let stored = count(weights, &format!("{prefix}text_model.encoder.layers."));
    let embedding = |kind: &str| shape(&format!("embeddings.{kind}_embedding.weight"));
    let act = match family(weights) {
        Family::V2 | Family::MultiView => "gelu",
        Family::V1 | Family::Xl => "quick_gelu",
    };
    text_config(
        [embedding("token")?, embedding("position")?, hidden],
        used_layers(weights, stored)?,
        act,
    )
}

fn text_config([words, places, hidden]: [&[usize]; 3], layers: usize, act: &str) -> Option<Value> {
    let width = *words.get(1)?;
    Some(json!({
        "vocab_size": words[0],
        "hidden_size": width,
        "intermediate_size": hidden.first()?,
        "num_hidden_layers": layers,
        "num_attention_heads": (width / HEAD).max(1),
        "max_position_embeddings": places.first()?,
        "hidden_act": act,
    }))
}

/// What the model predicts: by a tensor or a note that says so, else as its family does. Models of Stable Diffusion 2 predict
/// noise or v, and their tensors are alike.
fn prediction(weights: &Weights) -> Option<&'static str> {
    // An empty tensor with which some models of XL's shape say so.
    if weights.shape("v_pred").is_some() {
        return Some("v_prediction");
    }
    match weights.note("modelspec.prediction_type") {
        Some("v" | "v_prediction" | "v-prediction") => return Some("v_prediction"),
        Some("epsilon" | "eps") => return Some("epsilon"),
        _ => {}
    }
    match (family(weights), weights.note("modelspec.architecture")) {
        (Family::V2, Some("stable-diffusion-v2-768-v")) => Some("v_prediction"),
        (Family::V2, Some("stable-diffusion-v2-512")) => Some("epsilon"),
        (Family::V2, _) => None,
        (Family::V1 | Family::Xl | Family::MultiView, _) => Some("epsilon"),
    }
}

/// Where it can be told what the model predicts.
pub(super) fn scheduler(weights: &Weights) -> Option<Value> {
    Some(json!({
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
        "num_train_timesteps": 1000, "prediction_type": prediction(weights)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The keys that inference looks at, with the shapes of Stable Diffusion 1.5 or 2.1.
    fn shapes(second: bool) -> BTreeMap<String, Vec<usize>> {
        let (text, text_layers) = if second { (1024, 24) } else { (768, 12) };
        let mut keys = BTreeMap::new();
        let mut add = |key: String, shape: &[usize]| keys.insert(key, shape.to_vec());
        add(format!("{UNET}input_blocks.0.0.weight"), &[320, 4, 3, 3]);
        add(format!("{UNET}out.2.weight"), &[4, 320, 3, 3]);
        for (level, channels) in [320, 640, 1280, 1280].into_iter().enumerate() {
            for block in [1 + 3 * level, 2 + 3 * level] {
                let block = format!("{UNET}input_blocks.{block}");
                add(
                    format!("{block}.0.out_layers.3.weight"),
                    &[channels, channels, 3, 3],
                );
                if level < 3 {
                    let projection: &[usize] = if second {
                        &[channels; 2]
                    } else {
                        &[channels, channels, 1, 1]
                    };
                    add(format!("{block}.1.proj_in.weight"), projection);
                    add(
                        format!("{block}.1.transformer_blocks.0.attn2.to_k.weight"),
                        &[channels, text],
                    );
                }
            }
            if level < 3 {
                add(
                    format!("{UNET}input_blocks.{}.0.op.weight", 3 + 3 * level),
                    &[channels, channels, 3, 3],
                );
            }
        }
        add(format!("{VAE}encoder.conv_in.weight"), &[128, 3, 3, 3]);
        add(format!("{VAE}decoder.conv_in.weight"), &[512, 4, 3, 3]);
        add(format!("{VAE}decoder.conv_out.weight"), &[3, 128, 3, 3]);
        for (level, channels) in [128, 256, 512, 512].into_iter().enumerate() {
            for layer in 0..2 {
                add(
                    format!("{VAE}encoder.down.{level}.block.{layer}.conv2.weight"),
                    &[channels, channels, 3, 3],
                );
            }
        }
        for layer in 0..text_layers {
            let key = if second {
                format!("{OPEN_CLIP}transformer.resblocks.{layer}.mlp.c_fc.weight")
            } else {
                format!("{CLIP}text_model.encoder.layers.{layer}.mlp.fc1.weight")
            };
            add(key, &[4 * text, text]);
        }
        let [tokens, places] = if second {
            ["token_embedding.weight", "positional_embedding"]
                .map(|key| format!("{OPEN_CLIP}{key}"))
        } else {
            ["token", "position"]
                .map(|key| format!("{CLIP}text_model.embeddings.{key}_embedding.weight"))
        };
        add(tokens, &[49408, text]);
        add(places, &[77, text]);
        keys
    }

    #[test]
    fn the_shapes_of_stable_diffusion_are_found_again() {
        for second in [false, true] {
            let weights = Weights::of_shapes(shapes(second));
            assert_eq!(unet(&weights, true).unwrap()["sample_size"], 96);
            let unet = unet(&weights, false).unwrap();
            assert_eq!(unet["sample_size"], 64);
            assert_eq!(unet["block_out_channels"], json!([320, 640, 1280, 1280]));
            assert_eq!(unet["layers_per_block"], 2);
            let types = json!([
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "DownBlock2D"
            ]);
            assert_eq!(unet["down_block_types"], types);
            let types = json!([
                "UpBlock2D",
                "CrossAttnUpBlock2D",
                "CrossAttnUpBlock2D",
                "CrossAttnUpBlock2D"
            ]);
            assert_eq!(unet["up_block_types"], types);
            let heads = if second {
                json!([5, 10, 20, 20])
            } else {
                json!(8)
            };
            assert_eq!(
                (&unet["attention_head_dim"], &unet["use_linear_projection"]),
                (&heads, &json!(second))
            );
            let text = text(&weights).unwrap();
            let right = if second {
                (1024, 23, 16, "gelu")
            } else {
                (768, 12, 12, "quick_gelu")
            };
            assert_eq!(unet["cross_attention_dim"], right.0);
            assert_eq!(
                (&text["hidden_size"], &text["num_hidden_layers"]),
                (&json!(right.0), &json!(right.1))
            );
            assert_eq!(
                (&text["num_attention_heads"], &text["hidden_act"]),
                (&json!(right.2), &json!(right.3))
            );
            let vae = vae(&weights).unwrap();
            assert_eq!(
                (&vae["block_out_channels"], &vae["layers_per_block"]),
                (&json!([128, 256, 512, 512]), &json!(2))
            );
            let mut more = shapes(second);
            more.insert(format!("{UNET}camera_embed.0.weight"), vec![1280, 16]);
            let multi_view = super::unet(&Weights::of_shapes(more), false).unwrap();
            assert_eq!(
                (&unet["num_views"], &unet["class_embed_type"]),
                (&json!(1), &Value::Null)
            );
            assert_eq!(
                (&multi_view["num_views"], &multi_view["sample_size"]),
                (&json!(4), &json!(32))
            );
            assert_eq!(multi_view["projection_class_embeddings_input_dim"], 16);
            assert_eq!(
                scheduler(&weights).is_none(),
                second,
                "a second one predicts noise or v; nothing says which"
            );
        }
    }

    #[test]
    fn the_shapes_of_stable_diffusion_xl_are_found_again() {
        let mut keys = BTreeMap::new();
        let mut add = |key: String, shape: &[usize]| keys.insert(key, shape.to_vec());
        add(format!("{UNET}input_blocks.0.0.weight"), &[320, 4, 3, 3]);
        add(format!("{UNET}out.2.weight"), &[4, 320, 3, 3]);
        add(format!("{UNET}label_emb.0.0.weight"), &[1280, 2816]);
        for (level, (channels, blocks)) in [(320, 0), (640, 2), (1280, 10)].into_iter().enumerate()
        {
            for block in
                [1 + 3 * level, 2 + 3 * level].map(|block| format!("{UNET}input_blocks.{block}"))
            {
                add(
                    format!("{block}.0.out_layers.3.weight"),
                    &[channels, channels, 3, 3],
                );
                for i in 0..blocks {
                    add(format!("{block}.1.proj_in.weight"), &[channels; 2]);
                    add(
                        format!("{block}.1.transformer_blocks.{i}.attn2.to_k.weight"),
                        &[channels, 2048],
                    );
                }
            }
            if level < 2 {
                add(
                    format!("{UNET}input_blocks.{}.0.op.weight", 3 + 3 * level),
                    &[channels, channels, 3, 3],
                );
            }
        }
        add(
            format!("{XL_CLIP}text_model.embeddings.token_embedding.weight"),
            &[49408, 768],
        );
        add(
            format!("{XL_CLIP}text_model.embeddings.position_embedding.weight"),
            &[77, 768],
        );
        (0..12).for_each(|i| {
            add(
                format!("{XL_CLIP}text_model.encoder.layers.{i}.mlp.fc1.weight"),
                &[3072, 768],
            );
        });
        add(
            format!("{XL_OPEN_CLIP}token_embedding.weight"),
            &[49408, 1280],
        );
        add(format!("{XL_OPEN_CLIP}positional_embedding"), &[77, 1280]);
        add(format!("{XL_OPEN_CLIP}text_projection"), &[1280, 1280]);
        (0..32).for_each(|i| {
            add(
                format!("{XL_OPEN_CLIP}transformer.resblocks.{i}.mlp.c_fc.weight"),
                &[5120, 1280],
            );
        });
        for (key, shape) in shapes(false)
            .into_iter()
            .filter(|(key, _)| key.starts_with(VAE))
            .collect::<Vec<_>>()
        {
            add(key, &shape);
        }
        let with = |marker: &str| {
            Weights::of_shapes(
                keys.clone()
                    .into_iter()
                    .chain([(marker.to_owned(), vec![0])]),
            )
        };
        assert_eq!(
            scheduler(&with("v_pred")).unwrap()["prediction_type"],
            "v_prediction"
        );
        let without_texts = keys
            .clone()
            .into_iter()
            .filter(|(key, _)| !key.starts_with("conditioner."));
        assert_eq!(
            vae(&Weights::of_shapes(without_texts)).unwrap()["scaling_factor"],
            0.13025
        );
        assert_eq!(
            vae(&Weights::of_shapes(shapes(false))).unwrap()["scaling_factor"],
            0.18215
        );
        let weights = Weights::of_shapes(keys);
        let unet = unet(&weights, false).unwrap();
        let types = json!([
            "DownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D"
        ]);
        assert_eq!(
            (&unet["down_block_types"], &unet["sample_size"]),
            (&types, &json!(128))
        );
        assert_eq!(unet["transformer_layers_per_block"], json!([1, 2, 10]));
        assert_eq!(
            (&unet["attention_head_dim"], &unet["cross_attention_dim"]),
            (&json!([5, 10, 20]), &json!(2048))
        );
        assert_eq!(
            (&unet["addition_embed_type"], &unet["class_embed_type"]),
            (&json!("text_time"), &Value::Null)
        );
        let config: crate::unet::UNetConfig = serde_json::from_value(unet).unwrap();
        assert_eq!(
            (config.check(), config.pooled_width()),
            (Ok(()), Some(1280))
        );
        let (first, second) = (text(&weights).unwrap(), second_text(&weights).unwrap());
        assert_eq!(
            (&first["num_hidden_layers"], &first["hidden_act"]),
            (&json!(12), &json!("quick_gelu"))
        );
        assert_eq!(
            (&second["num_hidden_layers"], &second["num_attention_heads"]),
            (&json!(32), &json!(20))
        );
        assert_eq!(
            (&second["projection_dim"], &second["hidden_act"]),
            (&json!(1280), &json!("gelu"))
        );
        assert_eq!(scheduler(&weights).unwrap()["prediction_type"], "epsilon");
    }
}
