//! Pixels attend to the text and to each other at once, as in DeepFloyd IF.

use super::attention::Attend;
use super::config::UNetConfig;
use crate::layers::{Norms, normalize, project};
use burn::module::Module;
use burn::nn::{GroupNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use dreamfuse_kernels::attention;

/// diffusers' `Attention` with `added_kv_proj_dim` (`AttnAddedKVProcessor2_0`).
#[derive(Module, Debug)]
pub(super) struct AddedAttention {
    group_norm: GroupNorm,
    norm_cross: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    add_k_proj: Linear,
    add_v_proj: Linear,
    to_out: Vec<Linear>,
    #[module(skip)]
    heads: usize,
}

/// Of the text's norm, whatever the network's other norms have.
const TEXT_NORMS: Norms = Norms {
    groups: 32,
    epsilon: 1e-5,
};

impl AddedAttention {
    pub(super) fn new(config: &UNetConfig, channels: usize, heads: usize, device: &Device) -> Self {
        let text = config.cross_attention_dim;
        let linear = |from: usize| LinearConfig::new(from, channels).init(device);
        Self {
            group_norm: Norms {
                epsilon: 1e-5,
                ..config.norms()
            }
            .over(channels, device),
            norm_cross: config
                .cross_attention_norm
                .as_ref()
                .map(|_| TEXT_NORMS.over(text, device)),
            to_q: linear(channels),
            to_k: linear(channels),
            to_v: linear(channels),
            add_k_proj: linear(text),
            add_v_proj: linear(text),
            to_out: vec![linear(channels)],
            heads,
        }
    }

    /// Keys and values of a text `[batch, tokens, cross_attention_dim]`.
    pub(super) fn keys_values(&self, text: &Tensor<3>) -> [Tensor<3>; 2] {
        let text = match &self.norm_cross {
            // Its groups are of numbers of all tokens.
            Some(norm) => {
                let channels_first = text.clone().swap_dims(1, 2).unsqueeze_dim(3);
                normalize(norm, channels_first, None)
                    .squeeze_dim::<3>(3)
                    .swap_dims(1, 2)
            }
            None => text.clone(),
        };
        [
            project(&self.add_k_proj, text.clone()),
            project(&self.add_v_proj, text),
        ]
    }

    /// `[batch, channels, h, w]` to the same.
    pub(super) fn forward(&self, x: Tensor<4>, context: &Attend) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let own = normalize(&self.group_norm, x.clone(), None);
        let own = own
            .reshape([batch, channels, height * width])
            .swap_dims(1, 2);
        let [keys, values] = context.next_keys_values();
        let keys = Tensor::cat(vec![keys, project(&self.to_k, own.clone())], 1);
        let values = Tensor::cat(vec![values, project(&self.to_v, own.clone())], 1);
        let attended = project(
            &self.to_out[0],
            attention(project(&self.to_q, own), keys, values, self.heads),
        );
        x + attended
            .swap_dims(1, 2)
            .reshape([batch, channels, height, width])
    }
}
