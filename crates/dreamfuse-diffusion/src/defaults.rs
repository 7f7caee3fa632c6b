//! Keys of configurations that our networks do not read: they have to have the values that diffusers gives them by
//! default, or a checkpoint would run and be another model.

use serde_json::{Map, Value, json};

/// What diffusers' `UNet2DConditionModel` (0.42) takes for the keys that [`crate::unet::UNetConfig`] leaves out, and
/// that change what it computes.
pub(crate) fn unet() -> Value {
    json!({
        "attention_type": "default", "center_input_sample": false,
        "class_embeddings_concat": false, "conv_in_kernel": 3, "conv_out_kernel": 3,
        "downsample_padding": 1, "dual_cross_attention": false, "flip_sin_to_cos": true, "freq_shift": 0,
        "mid_block_only_cross_attention": null, "mid_block_scale_factor": 1,
        "num_attention_heads": null, "num_class_embeds": null,
        "only_cross_attention": false, "resnet_out_scale_factor": 1.0, "resnet_skip_time_act": false,
        "reverse_transformer_layers_per_block": null,
        "time_cond_proj_dim": null, "time_embedding_act_fn": null, "time_embedding_dim": null,
        "time_embedding_type": "positional", "timestep_post_act": null,
    })
}

/// The same for `AutoencoderKL`.
pub(crate) fn vae() -> Value {
    json!({
        "act_fn": "silu", "latents_mean": null, "latents_std": null, "mid_block_add_attention": true,
        "shift_factor": null, "use_post_quant_conv": true, "use_quant_conv": true,
    })
}

/// The same for its schedulers.
pub(crate) fn scheduler() -> Value {
    json!({ "trained_betas": null, "rescale_betas_zero_snr": false, "use_flow_sigmas": false })
}

/// Schedulers of diffusers for models that were trained with DDPM's forward process; they differ in how they sample.
const SCHEDULERS: [&str; 22] = [
    "DDIMScheduler",
    "DDIMInverseScheduler",
    "DDIMParallelScheduler",
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "IPNDMScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "RePaintScheduler",
    "SASolverScheduler",
    "UnCLIPScheduler",
    "UniPCMultistepScheduler",
];

/// Says when a scheduler's class is of another process.
pub(crate) fn check_scheduler(config: &Map<String, Value>) -> Result<(), String> {
    match config.get("_class_name").and_then(Value::as_str) {
        Some(class) if !SCHEDULERS.contains(&class) => Err(format!(
            "{class} is not of DDPM's family, so the model was trained with another forward process"
        )),
        _ => Ok(()),
    }
}

/// Says which key has another value than its default, if any.
pub(crate) fn check(config: &Map<String, Value>, defaults: &Value) -> Result<(), String> {
    let differs = |value: &Value, default: &Value| match (value.as_f64(), default.as_f64()) {
        (Some(value), Some(default)) => value != default,
        // A key that is there and empty is as good as one that is not.
        _ => !value.is_null() && value != default,
    };
    let mut defaults = defaults.as_object().into_iter().flatten();
    let wrong = |(key, default): (&String, &Value)| {
        let value = config.get(key).filter(|value| differs(value, default))?;
        Some(format!("{key} is {value}; only {default} would do"))
    };
    defaults.find_map(wrong).map_or(Ok(()), Err)
}
