//! T5's encoder (Raffel et al. 2020) with the names of transformers' `T5EncoderModel`: DeepFloyd IF reads with one of five
//! billion numbers. A text is read once a run, so that no block's weights stay in memory after their use.

use crate::checkpoint::{CheckpointError, Weights};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Deserialize;

/// The feed-forward layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum FeedForward {
    #[default]
    #[serde(rename = "relu")]
    Relu,
    /// T5 1.1's (Shazeer 2020).
    #[serde(rename = "gated-gelu")]
    GatedGelu,
}

/// The part of transformers' `config.json` that shapes the network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct T5Config {
    pub vocab_size: usize,
    pub d_model: usize,
    /// Width of a head.
    pub d_kv: usize,
    pub d_ff: usize,
    pub num_layers: usize,
    pub num_heads: usize,
    #[serde(default = "default_buckets")]
    pub relative_attention_num_buckets: usize,
    #[serde(default = "default_distance")]
    pub relative_attention_max_distance: usize,
    #[serde(default = "default_epsilon")]
    pub layer_norm_epsilon: f64,
    #[serde(default)]
    pub feed_forward_proj: FeedForward,
}

fn default_buckets() -> usize {
    32
}
fn default_distance() -> usize {
    128
}
fn default_epsilon() -> f64 {
    1e-6
}

/// The weights in their file, and how to use them.
#[derive(Debug)]
pub struct T5Encoder {
    config: T5Config,
    weights: Weights,
    device: Device,
}

/// One table under two names; a file may have either or both.
const WORDS: [&str; 2] = ["shared.weight", "encoder.embed_tokens.weight"];
/// Of whole T5 models, whose decoders are not used.
const UNUSED: [&str; 2] = ["decoder.", "lm_head."];
const POSITIONS: &str = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
const LAST_NORM: &str = "encoder.final_layer_norm.weight";

impl T5Config {
    /// Says what of the configuration cannot be run, if anything.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
        ];
        if let Some((key, size)) = sizes.iter().find(|(_, size)| !(1..=1 << 20).contains(size)) {
            return Err(format!("{key} {size} is not between 1 and {}", 1 << 20));
        }
        if !(1..=1000).contains(&self.num_layers) {
            return Err(format!(
                "num_layers {} is not between 1 and 1000",
                self.num_layers
            ));
        }
        let (buckets, distance) = (
            self.relative_attention_num_buckets,
            self.relative_attention_max_distance,
        );
        if buckets < 4 || !buckets.is_multiple_of(4) || distance <= buckets / 4 {
            return Err(format!(
                "relative_attention_num_buckets {buckets} is no multiple of 4, or relative_attention_max_distance {distance} too small for it"
            ));
        }
        Ok(())
    }

    fn feed_forward_keys(&self) -> &[&str] {
        match self.feed_forward_proj {
            FeedForward::Relu => &["wi"],
            FeedForward::GatedGelu => &["wi_0", "wi_1"],
        }
    }

    /// Names and shapes of a block's tensors.
    fn block_shapes(&self, block: usize) -> Vec<(String, Vec<usize>)> {
        let (width, inner) = (self.d_model, self.d_kv * self.num_heads);
        let key = |rest: &str| format!("encoder.block.{block}.layer.{rest}.weight");
        let mut shapes: Vec<_> = ["q", "k", "v"]
            .map(|part| (key(&format!("0.SelfAttention.{part}")), vec![inner, width]))
            .into();
        shapes.push((key("0.SelfAttention.o"), vec![width, inner]));
        shapes.extend(["0.layer_norm", "1.layer_norm"].map(|norm| (key(norm), vec![width])));
        let ways_in = self.feed_forward_keys().iter();
        shapes.extend(ways_in.map(|part| {
            (
                key(&format!("1.DenseReluDense.{part}")),
                vec![self.d_ff, width],
            )
        }));
        shapes.push((key("1.DenseReluDense.wo"), vec![width, self.d_ff]));
        shapes
    }
}

impl T5Encoder {
    /// With the weights of a `model.safetensors`, of which nothing but names and shapes is read yet.
    ///
    /// # Errors
    /// When they do not fit the configuration.
    pub fn open(
        config: &T5Config,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let model = Self {
            config: config.clone(),
            weights: weights.without(&UNUSED),
            device: device.clone(),
        };
        model.check()?;
        Ok(model)
    }

    /// Every tensor has to be there with its shape, and nothing else.
    fn check(&self) -> Result<(), CheckpointError> {
        let (config, path) = (&self.config, self.weights.path());
        let mut expected: Vec<_> = (0..config.num_layers)
            .flat_map(|block| config.block_shapes(block))
            .collect();
        expected.push((
            POSITIONS.into(),
            vec![config.relative_attention_num_buckets, config.num_heads],
        ));
        expected.push((LAST_NORM.into(), vec![config.d_model]));
        expected.push((self.words().into(), vec![config.vocab_size, config.d_model]));
        for (key, right) in &expected {
            match self.weights.shape(key) {
                Some(shape) if shape == right => {}
                Some(shape) => {
                    let reason = format!("{key} has the shape {shape:?} where {right:?} is right");
                    return Err(CheckpointError::Malformed {
                        path: path.to_owned(),
                        reason,
                    });
                }
                None => {
                    return Err(self.weights.missing(key));
                }
            }
        }
        let known: std::collections::HashSet<_> = expected
            .iter()
            .map(|(key, _)| key.as_str())
            .chain(WORDS)
            .collect();
        match self.weights.keys().find(|key| !known.contains(key)) {
            Some(key) => Err(CheckpointError::UnknownKey {
                path: path.to_owned(),
                key: key.to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn words(&self) -> &'static str {
        let [shared, tied] = WORDS;
        if self.weights.shape(shared).is_none() && self.weights.shape(tied).is_some() {
            tied
        } else {
            shared
        }
    }

    /// Ids `[batch, tokens]`, of which each row's first `lengths` are attended to, to the last hidden state `[batch, tokens, d_model]`.
    ///
    /// # Errors
    /// When the weights can no longer be read.
    pub fn forward(
        &self,
        ids: Tensor<2, Int>,
        lengths: &[usize],
    ) -> Result<Tensor<3>, CheckpointError> {
        let ([batch, tokens], width) = (ids.dims(), self.config.d_model);
        let table = self.weights.tensor::<2>(self.words(), &self.device)?;
        let mut x = table
            .select(0, ids.reshape([batch * tokens]))
            .reshape([batch, tokens, width]);
        let bias = self.position_bias(tokens)? + mask(lengths, tokens, &self.device);
        for block in 0..self.config.num_layers {
            x = self.block(block, x, &bias)?;
        }
        self.normalize(LAST_NORM, x)
    }

    fn block(
        &self,
        block: usize,
        x: Tensor<3>,
        bias: &Tensor<4>,
    ) -> Result<Tensor<3>, CheckpointError> {
        let key = |rest: &str| format!("encoder.block.{block}.layer.{rest}.weight");
        let own = self.normalize(&key("0.layer_norm"), x.clone())?;
        let project =
            |part: &str| self.project(&key(&format!("0.SelfAttention.{part}")), own.clone());
        let attended = self.attend([project("q")?, project("k")?, project("v")?], bias);
        let x = x + self.project(&key("0.SelfAttention.o"), attended)?;
        let own = self.normalize(&key("1.layer_norm"), x.clone())?;
        let dense =
            |part: &str, x: Tensor<3>| self.project(&key(&format!("1.DenseReluDense.{part}")), x);
        let hidden = match self.config.feed_forward_proj {
            FeedForward::Relu => relu(dense("wi", own)?),
            FeedForward::GatedGelu => gelu_new(dense("wi_0", own.clone())?) * dense("wi_1", own)?,
        };
        Ok(x + dense("wo", hidden)?)
    }

    /// A linear layer without a bias.
    fn project(&self, key: &str, x: Tensor<3>) -> Result<Tensor<3>, CheckpointError> {
        let [batch, tokens, width] = x.dims();
        let out = x
            .reshape([batch * tokens, width])
            .matmul(self.weights.tensor::<2>(key, &self.device)?.transpose());
        let [_, width] = out.dims();
        Ok(out.reshape([batch, tokens, width]))
    }

    /// Divides by the root of the mean square; no mean is taken away.
    fn normalize(&self, key: &str, x: Tensor<3>) -> Result<Tensor<3>, CheckpointError> {
        let gain = self
            .weights
            .tensor::<1>(key, &self.device)?
            .unsqueeze::<3>();
        let square = x.clone().powi_scalar(2).mean_dim(2) + self.config.layer_norm_epsilon;
        Ok(x / square.sqrt() * gain)
    }

    /// Scores are not divided by the root of the width: T5's weights have learned that.
    fn attend(&self, [q, k, v]: [Tensor<3>; 3], bias: &Tensor<4>) -> Tensor<3> {
        let ([batch, tokens, _], heads, width) =
            (q.dims(), self.config.num_heads, self.config.d_kv);
        let split = |x: Tensor<3>| x.reshape([batch, tokens, heads, width]).swap_dims(1, 2);
        let scores = split(q).matmul(split(k).swap_dims(2, 3)) + bias.clone();
        softmax(scores, 3)
            .matmul(split(v))
            .swap_dims(1, 2)
            .reshape([batch, tokens, heads * width])
    }

    /// What the distance between two tokens adds to their score: `[1, heads, tokens, tokens]`.
    fn position_bias(&self, tokens: usize) -> Result<Tensor<4>, CheckpointError> {
        let table = self.weights.tensor::<2>(POSITIONS, &self.device)?;
        let at = |query: usize| (0..tokens).map(move |key| key as i64 - query as i64);
        let buckets: Vec<i64> = (0..tokens)
            .flat_map(at)
            .map(|distance| self.bucket(distance) as i64)
            .collect();
        let buckets =
            Tensor::<1, Int>::from_data(TensorData::new(buckets, [tokens * tokens]), &self.device);
        let rows = table
            .select(0, buckets)
            .reshape([tokens, tokens, self.config.num_heads]);
        Ok(rows.permute([2, 0, 1]).unsqueeze())
    }

    /// Near distances have a bucket each, far ones share them logarithmically; half of the buckets are for what comes after.
    fn bucket(&self, distance: i64) -> usize {
        let half = self.config.relative_attention_num_buckets / 2;
        let exact = half / 2;
        let side = if distance > 0 { half } else { 0 };
        let distance = distance.unsigned_abs() as usize;
        if distance < exact {
            return side + distance;
        }
        // In f32, as in transformers: at a bucket's border the last digit decides.
        let farthest =
            (self.config.relative_attention_max_distance as f64 / exact as f64).ln() as f32;
        let further = (distance as f32 / exact as f32).ln() / farthest * (half - exact) as f32;
        side + (exact + further as usize).min(half - 1)
    }
}

/// The tanh approximation, which T5 1.1 was trained with.
fn gelu_new(x: Tensor<3>) -> Tensor<3> {
    let inner =
        (x.clone() + x.clone().powi_scalar(3) * 0.044_715) * (2.0 / std::f64::consts::PI).sqrt();
    x * 0.5 * (inner.tanh() + 1.0)
}

/// Zero for the tokens of a text and next to −∞ for what fills it up: `[batch, 1, 1, tokens]`.
fn mask(lengths: &[usize], tokens: usize, device: &Device) -> Tensor<4> {
    let row = |length: &usize| {
        let length = *length;
        (0..tokens).map(move |token| if token < length { 0.0 } else { f32::MIN })
    };
    let values: Vec<f32> = lengths.iter().flat_map(row).collect();
    Tensor::from_data(
        TensorData::new(values, [lengths.len(), 1, 1, tokens]),
        device,
    )
}
