//! The names of latent diffusion's own checkpoints (CompVis, Stability AI, whose XL adds `label_emb`, and MVDream, which adds
//! `camera_embed`), which most custom models are shared in, and what diffusers and transformers call the same.

/// A key of a U-Net below `model.diffusion_model.`, as diffusers names it. Blocks are numbered through there, and in
/// levels of `layers` residual blocks and a change of size here.
pub(crate) fn unet_key(key: &str, layers: usize) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    let number = |text: &str| text.parse::<usize>().unwrap_or(usize::MAX);
    match parts.as_slice() {
        ["time_embed", index, rest @ ..] => join(
            &format!("time_embedding.linear_{}", number(index) / 2 + 1),
            rest,
        ),
        ["camera_embed", index, rest @ ..] => join(
            &format!("class_embedding.linear_{}", number(index) / 2 + 1),
            rest,
        ),
        ["label_emb", "0", index @ ("0" | "2"), rest @ ..] => join(
            &format!("add_embedding.linear_{}", number(index) / 2 + 1),
            rest,
        ),
        ["input_blocks", "0", "0", rest @ ..] => join("conv_in", rest),
        ["input_blocks", block, slot, rest @ ..] => {
            let (level, layer) = split(number(block).wrapping_sub(1), layers);
            let down = format!("down_blocks.{level}");
            match rest {
                ["op", rest @ ..] => join(&format!("{down}.downsamplers.0.conv"), rest),
                rest => in_block(&down, slot, layer, rest),
            }
        }
        ["middle_block", "1", rest @ ..] => join("mid_block.attentions.0", rest),
        ["middle_block", slot, rest @ ..] => in_block("mid_block", "0", number(slot) / 2, rest),
        ["output_blocks", block, slot, rest @ ..] => {
            let (step, layer) = split(number(block), layers);
            let up = format!("up_blocks.{step}");
            match rest {
                ["conv", rest @ ..] => join(&format!("{up}.upsamplers.0.conv"), rest),
                rest => in_block(&up, slot, layer, rest),
            }
        }
        ["out", "0", rest @ ..] => join("conv_norm_out", rest),
        ["out", "2", rest @ ..] => join("conv_out", rest),
        _ => key.to_owned(),
    }
}

/// Level and layer of a block, when a level has `layers` of them and a change of size.
fn split(block: usize, layers: usize) -> (usize, usize) {
    (block / (layers + 1), block % (layers + 1))
}

fn join(start: &str, rest: &[&str]) -> String {
    [&[start], rest].concat().join(".")
}

/// What lies in slot 0 is a residual block, in slot 1 a transformer, whose parts have the same names.
fn in_block(start: &str, slot: &str, layer: usize, rest: &[&str]) -> String {
    if slot != "0" {
        return join(&format!("{start}.attentions.{layer}"), rest);
    }
    let start = format!("{start}.resnets.{layer}");
    match rest {
        ["in_layers", "0", rest @ ..] => join(&format!("{start}.norm1"), rest),
        ["in_layers", "2", rest @ ..] => join(&format!("{start}.conv1"), rest),
        ["emb_layers", "1", rest @ ..] => join(&format!("{start}.time_emb_proj"), rest),
        ["out_layers", "0", rest @ ..] => join(&format!("{start}.norm2"), rest),
        ["out_layers", "3", rest @ ..] => join(&format!("{start}.conv2"), rest),
        ["skip_connection", rest @ ..] => join(&format!("{start}.conv_shortcut"), rest),
        rest => join(&start, rest),
    }
}

/// A key of an autoencoder of `levels` below `first_stage_model.`, as diffusers names it.
pub(crate) fn vae_key(key: &str, levels: usize) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    let shortcut = |rest: &[&str]| rest.join(".").replace("nin_shortcut", "conv_shortcut");
    match parts.as_slice() {
        [side, "down", level, "block", layer, rest @ ..] => {
            format!(
                "{side}.down_blocks.{level}.resnets.{layer}.{}",
                shortcut(rest)
            )
        }
        [side, "down", level, "downsample", rest @ ..] => {
            format!(
                "{side}.down_blocks.{level}.downsamplers.0.{}",
                rest.join(".")
            )
        }
        // Counted from the finest level there, from the coarsest here.
        [side, "up", level, "block", layer, rest @ ..] => {
            format!(
                "{side}.up_blocks.{}.resnets.{layer}.{}",
                from_coarsest(level, levels),
                shortcut(rest)
            )
        }
        [side, "up", level, "upsample", rest @ ..] => {
            format!(
                "{side}.up_blocks.{}.upsamplers.0.{}",
                from_coarsest(level, levels),
                rest.join(".")
            )
        }
        [side, "mid", "block_1", rest @ ..] => {
            format!("{side}.mid_block.resnets.0.{}", shortcut(rest))
        }
        [side, "mid", "block_2", rest @ ..] => {
            format!("{side}.mid_block.resnets.1.{}", shortcut(rest))
        }
        [side, "mid", "attn_1", part, rest @ ..] => {
            let part = match *part {
                "norm" => "group_norm",
                "q" => "to_q",
                "k" => "to_k",
                "v" => "to_v",
                "proj_out" => "to_out.0",
                other => other,
            };
            format!("{side}.mid_block.attentions.0.{part}.{}", rest.join("."))
        }
        [side, "norm_out", rest @ ..] => format!("{side}.conv_norm_out.{}", rest.join(".")),
        _ => key.to_owned(),
    }
}

fn from_coarsest(level: &str, levels: usize) -> usize {
    level.parse().map_or(usize::MAX, |level: usize| {
        levels.saturating_sub(level.saturating_add(1))
    })
}

/// A key of CLIP's image encoder below `cond_stage_model.model.visual.`, as transformers names it; its blocks have the
/// names of OpenCLIP's.
pub(crate) fn visual_key(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        ["class_embedding"] => "embeddings.class_embedding".into(),
        ["positional_embedding"] => "embeddings.position_embedding.weight".into(),
        ["conv1", rest @ ..] => join("embeddings.patch_embedding", rest),
        ["ln_pre", rest @ ..] => join("pre_layrnorm", rest),
        ["ln_post", rest @ ..] => join("post_layernorm", rest),
        _ => open_clip_key(key),
    }
}

/// A key of OpenCLIP's text encoder, as transformers names it. The joined queries, keys and values of attention are
/// `self_attn.in_proj_weight` and `…_bias`.
pub(crate) fn open_clip_key(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        ["positional_embedding"] => "embeddings.position_embedding.weight".into(),
        ["token_embedding", rest @ ..] => join("embeddings.token_embedding", rest),
        ["ln_final", rest @ ..] => join("final_layer_norm", rest),
        ["transformer", "resblocks", layer, part, rest @ ..] => {
            let start = format!("encoder.layers.{layer}");
            match (*part, rest) {
                ("ln_1", rest) => join(&format!("{start}.layer_norm1"), rest),
                ("ln_2", rest) => join(&format!("{start}.layer_norm2"), rest),
                ("attn", rest) => join(&format!("{start}.self_attn"), rest),
                ("mlp", ["c_fc", rest @ ..]) => join(&format!("{start}.mlp.fc1"), rest),
                ("mlp", ["c_proj", rest @ ..]) => join(&format!("{start}.mlp.fc2"), rest),
                (_, rest) => join(&format!("{start}.{part}"), rest),
            }
        }
        _ => key.to_owned(),
    }
}
