//! The names that tensors of adaptations have: kohya's scripts, diffusers' old and new ones, PEFT, LyCORIS and ComfyUI.

use super::adaptation::Factor;
use crate::checkpoint::ldm::unet_key;

/// The part of a model that an adaptation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    UNet,
    Text,
    /// The second text encoder of Stable Diffusion XL.
    SecondText,
}

/// What a key says.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    Factor {
        part: Part,
        module: String,
        factor: Factor,
    },
    /// Of a kind that is not merged, by its name.
    Known(&'static str),
    Unknown,
}

/// What a file calls the part, and how the names of modules are written there.
const PREFIXES: [(&str, Part); 9] = [
    ("lora_unet_", Part::UNet),
    ("unet.", Part::UNet),
    ("diffusion_model.", Part::UNet),
    ("lora_te_", Part::Text),
    ("lora_te1_", Part::Text),
    ("text_encoder.", Part::Text),
    ("lora_te2_", Part::SecondText),
    ("text_encoder_2.", Part::SecondText),
    ("text_model.", Part::Text),
];

/// Modules of a U-Net by themselves, as in diffusers' first files and PEFT's own.
const BARE: [&str; 7] = [
    "down_blocks.",
    "mid_block.",
    "up_blocks.",
    "conv_in",
    "conv_out",
    "time_embedding.",
    "add_embedding.",
];

/// Ends of keys.
const ENDS: [(&str, Factor); 22] = [
    (".lora_down.weight", Factor::Down),
    (".lora.down.weight", Factor::Down),
    ("_lora.down.weight", Factor::Down),
    (".lora_linear_layer.down.weight", Factor::Down),
    (".lora_A.weight", Factor::Down),
    (".lora_A.default.weight", Factor::Down),
    (".lora_up.weight", Factor::Up),
    (".lora.up.weight", Factor::Up),
    ("_lora.up.weight", Factor::Up),
    (".lora_linear_layer.up.weight", Factor::Up),
    (".lora_B.weight", Factor::Up),
    (".lora_B.default.weight", Factor::Up),
    (".alpha", Factor::Alpha),
    (".network_alpha", Factor::Alpha),
    (".hada_w1_a", Factor::HadamardLeft1),
    (".hada_w1_b", Factor::HadamardRight1),
    (".hada_w2_a", Factor::HadamardLeft2),
    (".hada_w2_b", Factor::HadamardRight2),
    (".diff", Factor::Difference),
    (".w_norm", Factor::Difference),
    (".diff_b", Factor::BiasDifference),
    (".b_norm", Factor::BiasDifference),
];

/// Parts of keys of what is not merged.
const KNOWN: [(&str, &str); 18] = [
    (
        "lora_mid.",
        "LoCon with a Tucker decomposition, which is not merged",
    ),
    (
        "hada_t1",
        "LoHa with a Tucker decomposition, which is not merged",
    ),
    (
        "hada_t2",
        "LoHa with a Tucker decomposition, which is not merged",
    ),
    ("lokr_", "LoKr, which is not merged"),
    ("dora_scale", "DoRA, which is not merged"),
    ("lora_magnitude_vector", "DoRA, which is not merged"),
    ("oft_", "OFT, which is not merged"),
    ("boft_", "BOFT, which is not merged"),
    ("ia3_l", "IA3, which is not merged"),
    (".on_input", "IA3, which is not merged"),
    ("vera_", "VeRA, which is not merged"),
    ("lora_B.bias", "LoRA with biases, which is not merged"),
    (
        "lllite_",
        "ControlNet-LLLite, which is not an adaptation of weights",
    ),
    (
        "ip_adapter",
        "an IP-Adapter, which is not an adaptation of weights",
    ),
    (
        "emb_params",
        "textual inversion, a new word and no adaptation",
    ),
    (
        "bundle_emb",
        "textual inversion, a new word and no adaptation",
    ),
    (
        "model.diffusion_model.",
        "a whole model; give it with --prior",
    ),
    (
        "lora_transformer_",
        "a transformer (Stable Diffusion 3, FLUX), which is not run here",
    ),
];

/// Reads a key.
pub(super) fn read(key: &str) -> Kind {
    if let Some((_, name)) = KNOWN.iter().find(|(part, _)| key.contains(part)) {
        return Kind::Known(name);
    }
    if key.starts_with("transformer.") {
        return Kind::Known("a transformer (Stable Diffusion 3, FLUX), which is not run here");
    }
    let found = ENDS.iter().find_map(|(end, factor)| {
        let (part, module) = module_name(key.strip_suffix(end)?)?;
        Some(Kind::Factor {
            part,
            module,
            factor: *factor,
        })
    });
    found.unwrap_or(Kind::Unknown)
}

/// Part and module of a key without its end: dots and underscores are one, as in kohya's files.
fn module_name(stem: &str) -> Option<(Part, String)> {
    let stem = &stem.replacen("base_model.model.", "", 1);
    let known = PREFIXES
        .iter()
        .find_map(|(prefix, part)| Some((*part, stem.strip_prefix(prefix)?)));
    let is_bare = BARE.iter().any(|start| stem.starts_with(start));
    let bare = if is_bare {
        Some((Part::UNet, stem.as_str()))
    } else {
        // Under transformers 5, PEFT's own files.
        let is_text = stem.starts_with("encoder.layers.");
        is_text.then_some((Part::Text, stem.as_str()))
    };
    let (part, module) = known.or(bare)?;
    let mut module = flat(&module.replace(".processor", ""));
    if part != Part::UNet {
        // diffusers' first files give the text encoder's layers the names of the U-Net's.
        for (name, own) in [
            ("_to_q", "_q_proj"),
            ("_to_k", "_k_proj"),
            ("_to_v", "_v_proj"),
            ("_to_out", "_out_proj"),
        ] {
            if let Some(start) = module.strip_suffix(name) {
                module = format!("{start}{own}");
            }
        }
    } else if module.ends_with("_to_out") {
        module += "_0"; // diffusers' first files name the list, not its entry
    }
    Some((part, module))
}

/// The module that a name of latent diffusion stands for, in a network of `layers` residual blocks a level: so most files for Stable
/// Diffusion XL name them.
pub(super) fn of_ldm(module: &str, layers: usize) -> Option<String> {
    const KINDS: [(&str, usize); 6] = [
        ("input_blocks", 2),
        ("middle_block", 1),
        ("output_blocks", 2),
        ("time_embed", 1),
        ("label_emb", 2),
        ("out", 1),
    ];
    let (kind, numbers) = KINDS
        .into_iter()
        .find(|(kind, _)| module.starts_with(kind))?;
    let rest = module[kind.len()..].strip_prefix('_')?;
    let parts: Vec<&str> = rest.splitn(numbers + 1, '_').collect();
    let dotted = parts.join(".").replace("layers_", "layers.");
    Some(flat(&unet_key(&format!("{kind}.{dotted}"), layers)))
}

/// transformers 5 leaves out a prefix that earlier versions and all adaptations have.
pub(super) fn flat(name: &str) -> String {
    let flat = name.replace('.', "_");
    flat.strip_prefix("text_model_")
        .map_or(flat.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_under_all_their_names() {
        let module = "down_blocks.0.attentions.0.transformer_blocks.0.attn1";
        let expected = (
            Part::UNet,
            "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0".to_owned(),
        );
        for stem in [
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0".to_owned(),
            format!("unet.{module}.to_out.0"),
            format!("unet.{module}.processor.to_out"),
            format!("{module}.processor.to_out"),
            format!("base_model.model.{module}.to_out.0"),
        ] {
            assert_eq!(module_name(&stem), Some(expected.clone()), "{stem}");
        }
        let expected = (Part::Text, "encoder_layers_0_self_attn_q_proj".to_owned());
        for stem in [
            "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
            "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
            "text_encoder.text_model.encoder.layers.0.self_attn.to_q",
            "base_model.model.text_model.encoder.layers.0.self_attn.q_proj",
            "base_model.model.encoder.layers.0.self_attn.q_proj",
        ] {
            assert_eq!(module_name(stem), Some(expected.clone()), "{stem}");
        }
        assert_eq!(
            module_name("lora_te2_x"),
            Some((Part::SecondText, "x".into()))
        );
        assert_eq!(module_name("lora_te3_x"), None);
    }

    #[test]
    fn names_of_latent_diffusion_are_found_again() {
        let of_ldm = |name: &str| of_ldm(name, 2);
        let expected = |name: &str| Some(name.to_owned());
        let attention = "transformer_blocks_1_attn1_to_q";
        assert_eq!(
            of_ldm(&format!("input_blocks_4_1_{attention}")),
            expected(&format!("down_blocks_1_attentions_0_{attention}"))
        );
        assert_eq!(
            of_ldm(&format!("middle_block_1_{attention}")),
            expected(&format!("mid_block_attentions_0_{attention}"))
        );
        assert_eq!(
            of_ldm("output_blocks_5_0_in_layers_2"),
            expected("up_blocks_1_resnets_2_conv1")
        );
        assert_eq!(of_ldm("time_embed_2"), expected("time_embedding_linear_2"));
        assert_eq!(of_ldm("label_emb_0_0"), expected("add_embedding_linear_1"));
        assert_eq!(of_ldm("out_2"), expected("conv_out"));
        assert_eq!(
            [
                of_ldm("down_blocks_0_resnets_0_conv1"),
                of_ldm("time_embedding_linear_1")
            ],
            [None, None]
        );
    }

    #[test]
    fn what_is_not_merged_is_called_by_its_name() {
        for (key, name) in [
            ("lora_unet_mid_block_x.lokr_w1", "LoKr"),
            ("unet.mid_block.x.lora_magnitude_vector", "DoRA"),
            ("lora_unet_mid_block_x.dora_scale", "DoRA"),
            ("lora_unet_mid_block_x.lora_mid.weight", "Tucker"),
            ("emb_params", "textual inversion"),
            ("transformer.blocks.0.lora_A.weight", "transformer"),
            ("model.diffusion_model.out.2.weight", "whole model"),
        ] {
            let Kind::Known(found) = read(key) else {
                panic!("{key} is not known");
            };
            assert!(found.contains(name), "{key}: {found}");
        }
        assert_eq!(read("something.weight"), Kind::Unknown);
    }
}
