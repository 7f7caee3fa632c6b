//! The transformer of CLIP's encoders (Radford et al. 2021), with the names of transformers.

use crate::layers::project;
use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu, sigmoid};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Activation of the feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    Gelu,
    /// `x · sigmoid(1.702 x)`.
    QuickGelu,
}

/// What a token sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attends {
    /// Itself and those before it.
    Before,
    All,
}

/// What shapes an encoder.
pub(crate) struct ClipShape {
    pub width: usize,
    /// Values between the feed-forward layers.
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub activation: Activation,
    /// Of the norms.
    pub epsilon: f64,
}

#[derive(Module, Debug)]
pub(crate) struct ClipEncoder {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    self_attn: SelfAttention,
    layer_norm1: LayerNorm,
    mlp: FeedForward,
    layer_norm2: LayerNorm,
}

#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    #[module(skip)]
    heads: usize,
}

#[derive(Module, Debug)]
struct FeedForward {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

impl ClipShape {
    pub(crate) fn norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.width)
            .with_epsilon(self.epsilon)
            .init(device)
    }
}

impl ClipEncoder {
    /// With random weights.
    pub(crate) fn new(shape: &ClipShape, device: &Device) -> Self {
        let (width, hidden) = (shape.width, shape.hidden);
        let linear = |from: usize, to: usize| LinearConfig::new(from, to).init(device);
        let layer = |_| Layer {
            self_attn: SelfAttention {
                q_proj: linear(width, width),
                k_proj: linear(width, width),
                v_proj: linear(width, width),
                out_proj: linear(width, width),
                heads: shape.heads,
            },
            layer_norm1: shape.norm(device),
            mlp: FeedForward {
                fc1: linear(width, hidden),
                fc2: linear(hidden, width),
                activation: shape.activation,
            },
            layer_norm2: shape.norm(device),
        };
        Self {
            layers: (0..shape.layers).map(layer).collect(),
        }
    }

    /// Hidden states `[batch, tokens, width]` after the last layer.
    pub(crate) fn forward(&self, x: Tensor<3>, attends: Attends) -> Tensor<3> {
        let layers = self.layers.iter();
        layers.fold(x, |x, layer| layer.forward(x, attends))
    }

    /// Hidden states before the last layer, and after it.
    ///
    /// # Panics
    /// When it has no layers.
    pub(crate) fn before_last(&self, x: Tensor<3>, attends: Attends) -> (Tensor<3>, Tensor<3>) {
        let (last, others) = self.layers.split_last().expect("a layer");
        let before = others.iter().fold(x, |x, layer| layer.forward(x, attends));
        let after = last.forward(before.clone(), attends);
        (before, after)
    }
}

impl Layer {
    fn forward(&self, x: Tensor<3>, attends: Attends) -> Tensor<3> {
        let attended = self
            .self_attn
            .forward(self.layer_norm1.forward(x.clone()), attends);
        let x = x + attended;
        x.clone() + self.mlp.forward(self.layer_norm2.forward(x))
    }
}

impl SelfAttention {
    fn forward(&self, x: Tensor<3>, attends: Attends) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let split = |x: Tensor<3>| {
            x.reshape([batch, tokens, self.heads, width / self.heads])
                .swap_dims(1, 2)
        };
        let [q, k, v] = [&self.q_proj, &self.k_proj, &self.v_proj]
            .map(|linear| split(project(linear, x.clone())));
        let options = AttentionModuleOptions {
            is_causal: attends == Attends::Before,
            ..Default::default()
        };
        let attended = attention(q, k, v, None, None, options);
        project(
            &self.out_proj,
            attended.swap_dims(1, 2).reshape([batch, tokens, width]),
        )
    }
}

impl FeedForward {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = project(&self.fc1, x);
        let x = match self.activation {
            Activation::Gelu => gelu(x),
            Activation::QuickGelu => x.clone() * sigmoid(x * 1.702),
        };
        project(&self.fc2, x)
    }
}
