//! What a model's work costs, from its small files and the headers of its large ones.

use super::files::Files;
use super::picture_prompt::IMAGE_ENCODER_STEM;
use super::plan::{Plan, TextPlan};
use super::{Additions, PREPARED_NUMBERS, SECOND_TEXT_STEM, TEXT_STEM, UNET_STEM, VAE_STEM};
use crate::checkpoint::{CheckpointError, Weights};
use crate::network::{NetworkConfig, PREPARED_PARAMETERS};
use crate::unet::{AttentionKind, UNetConfig};
use crate::uvit::UVitConfig;
use crate::vae::VaeConfig;
use dreamfuse_core::Camera;

/// Multiplications and additions, as if no convolution were made faster than its definition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Of 3 × 3 convolutions.
    pub convolutions: f64,
    /// Of all else.
    pub products: f64,
}

impl Work {
    /// All of it.
    pub fn total(self) -> f64 {
        self.convolutions + self.products
    }

    /// So many times as much.
    pub fn times(self, count: f64) -> Self {
        Self {
            convolutions: count * self.convolutions,
            products: count * self.products,
        }
    }
}

/// Counts of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Numbers of the weights of U-Net and autoencoder, and of a text encoder that stays in memory.
    pub parameters: f64,
    /// Those of a text encoder of them: a pack of encoded texts spares them.
    pub text: f64,
    /// The U-Net's of them.
    pub network: f64,
    /// As many again as are kept in the form that convolutions multiply with.
    pub prepared: f64,
    /// Work of the U-Net for one image under one text.
    pub evaluation: Work,
    /// Work of the autoencoder's encoder for one image, there and back; nothing in pixels.
    pub pull_back: Work,
    /// Numbers that an evaluation of one image holds at most.
    pub activations: f64,
    /// Numbers that one image's way through the encoder and back holds at most.
    pub encoding: f64,
    /// Side of the model's images.
    pub resolution: usize,
    /// Channels, height and width of what it diffuses.
    pub sample_shape: [usize; 3],
    /// Views that it sees together.
    pub views_together: usize,
    /// Channels of the network's first convolution.
    pub channels: usize,
    /// What was inferred or read of the model, in one line.
    pub summary: String,
}

/// Tokens of a text, about: what they cost is little beside the pixels.
const TOKENS: f64 = 77.0;

/// Work, and the most numbers that were held at once.
#[derive(Clone, Copy, Default)]
struct Tally {
    work: Work,
    /// Numbers kept for later.
    kept: f64,
    held: f64,
}

impl Tally {
    fn convolution(&mut self, [from, to]: [usize; 2], kernel: usize, side: usize) {
        let work = 2.0 * (kernel * kernel * from * to * side * side) as f64;
        *if kernel == 3 {
            &mut self.work.convolutions
        } else {
            &mut self.work.products
        } += work;
        // Input, output, and the input's patches or transforms.
        self.hold(((4 * from + to) * side * side) as f64);
    }

    fn hold(&mut self, numbers: f64) {
        self.held = self.held.max(self.kept + numbers);
    }

    fn resnet(&mut self, [from, to]: [usize; 2], side: usize) {
        self.convolution([from, to], 3, side);
        self.convolution([to, to], 3, side);
        if from != to {
            self.convolution([from, to], 1, side);
        }
    }

    /// `layers` of queries, keys, values and output, and each token's way to `others`.
    fn attention(&mut self, width: usize, layers: usize, tokens: f64, others: f64) {
        let width = width as f64;
        self.work.products +=
            2.0 * layers as f64 * width * width * tokens + 4.0 * width * tokens * others;
        self.hold(4.0 * width * tokens);
    }

    fn block_attention(
        &mut self,
        kind: AttentionKind,
        (width, layers): (usize, usize),
        side: usize,
        views: usize,
    ) {
        let tokens = (side * side) as f64;
        match kind {
            AttentionKind::Added => self.attention(width, 4, tokens, tokens + TOKENS),
            AttentionKind::Transformer => {
                let square = (width * width) as f64;
                for _ in 0..layers {
                    self.attention(width, 4, tokens, tokens * views as f64);
                    // The text's keys and values are made once a run.
                    self.attention(width, 2, tokens, TOKENS);
                    // The gated layer of four times the width.
                    self.work.products += 24.0 * square * tokens;
                }
                // Two pointwise layers around them.
                self.work.products += 4.0 * square * tokens;
                self.hold(13.0 * width as f64 * tokens);
            }
        }
    }
}

fn unet(config: &UNetConfig) -> Tally {
    let (channels, last) = (
        &config.block_out_channels,
        config.block_out_channels.len() - 1,
    );
    let side = |level: usize| config.sample_size >> level;
    let attend = |tally: &mut Tally, block_type: &str, level: usize| {
        if let Some(kind) = AttentionKind::of(block_type) {
            let shape = (channels[level], config.transformer_layers(level));
            tally.block_attention(kind, shape, side(level), config.num_views);
        }
    };
    let mut tally = Tally::default();
    let mut skips = Vec::new();
    let mut keep = |tally: &mut Tally, level: usize, channels: usize| {
        let numbers = (channels * side(level) * side(level)) as f64;
        tally.kept += numbers;
        skips.push((channels, numbers));
    };
    tally.convolution([config.in_channels, channels[0]], 3, side(0));
    keep(&mut tally, 0, channels[0]);
    for level in 0..=last {
        for layer in 0..config.layers_per_block {
            let from = if layer == 0 {
                channels[level.saturating_sub(1)]
            } else {
                channels[level]
            };
            tally.resnet([from, channels[level]], side(level));
            attend(&mut tally, &config.down_block_types[level], level);
            keep(&mut tally, level, channels[level]);
        }
        if level < last {
            tally.convolution([channels[level]; 2], 3, side(level + 1));
            keep(&mut tally, level + 1, channels[level]);
        }
    }
    tally.resnet([channels[last]; 2], side(last));
    attend(&mut tally, &config.mid_block_type, last);
    tally.resnet([channels[last]; 2], side(last));
    let mut from = channels[last];
    for level in (0..=last).rev() {
        for _ in 0..=config.layers_per_block {
            let (skip, numbers) = skips.pop().unwrap_or_default();
            tally.resnet([from + skip, channels[level]], side(level));
            tally.kept -= numbers;
            attend(&mut tally, &config.up_block_types[last - level], level);
            from = channels[level];
        }
        if level > 0 {
            tally.convolution([from; 2], 3, side(level - 1));
        }
    }
    tally.convolution([channels[0], config.out_channels], 3, side(0));
    tally
}

fn uvit(config: &UVitConfig) -> Tally {
    let (size, half) = (config.sample_size, config.sample_size / 2);
    let (channels, head) = (config.channels, config.head_channels);
    let input = config.in_channels + Camera::RAY_MAPS;
    let (width, tokens) = (config.hidden_size as f64, config.tokens() as f64);
    let context = TOKENS + config.told_tokens as f64;
    let mut tally = Tally::default();
    tally.convolution([4 * input, channels], 3, half);
    for from in [channels, channels, 2 * channels, channels] {
        tally.resnet([from, channels], half);
    }
    for _ in 0..config.context_layers {
        tally.attention(config.text_size, 4, context, context);
        tally.work.products += 24.0 * (config.text_size * config.text_size) as f64 * context;
    }
    // Patches to tokens and back.
    tally.work.products += 16.0 * channels as f64 * width * tokens;
    for _ in 0..config.blocks {
        tally.attention(config.hidden_size, 4, tokens, tokens);
        tally.attention(config.hidden_size, 2, tokens, context);
        tally.work.products += 4.0 * config.text_size as f64 * width * context;
        if config.references {
            tally.attention(config.hidden_size, 4, tokens, tokens);
        }
        tally.work.products += 6.0 * config.feed_forward_size as f64 * width * tokens;
    }
    tally.convolution([channels, 4 * head], 1, half);
    tally.convolution([head + input, head], 3, size);
    tally.convolution([head, config.in_channels], 3, size);
    tally
}

/// The encoder forward. Its stages' inputs are all kept for the way back.
fn encoder(config: &VaeConfig, size: usize) -> Tally {
    let channels = &config.block_out_channels;
    let last = channels.len() - 1;
    let mut tally = Tally::default();
    tally.convolution([3, channels[0]], 3, size);
    for level in 0..=last {
        let side = size >> level;
        for layer in 0..config.layers_per_block {
            let from = if layer == 0 {
                channels[level.saturating_sub(1)]
            } else {
                channels[level]
            };
            tally.kept += (from * side * side) as f64;
            tally.resnet([from, channels[level]], side);
        }
        if level < last {
            tally.kept += (channels[level] * side * side) as f64;
            tally.convolution([channels[level]; 2], 3, side / 2);
        }
    }
    let side = size >> last;
    tally.resnet([channels[last]; 2], side);
    tally.attention(
        channels[last],
        4,
        (side * side) as f64,
        (side * side) as f64,
    );
    tally.resnet([channels[last]; 2], side);
    tally.convolution([channels[last], 2 * config.latent_channels], 3, side);
    tally
}

impl Cost {
    /// Counts, from the header of each file.
    ///
    /// # Errors
    /// As when the model is loaded, but for what its tensors hold.
    pub fn read(files: &dyn Files, additions: &Additions) -> Result<Self, CheckpointError> {
        let plan = Plan::open(files, additions)?;
        let numbers = |weights: Weights| -> f64 {
            weights
                .keys()
                .filter_map(|key| weights.shape(key))
                .map(|s| s.iter().product::<usize>() as f64)
                .sum()
        };
        let network = numbers(files.weights(UNET_STEM)?);
        let mut parameters = network;
        let is_prepared = parameters <= PREPARED_PARAMETERS as f64;
        let in_memory: &[&str] = match plan.text {
            TextPlan::Clip { .. } => &[TEXT_STEM],
            TextPlan::ClipPair { .. } => &[TEXT_STEM, SECOND_TEXT_STEM],
            TextPlan::Picture(_) => &[IMAGE_ENCODER_STEM],
            TextPlan::T5 { .. } | TextPlan::Pack(_) => &[],
        };
        let mut text = 0.0;
        for stem in in_memory {
            text += numbers(files.weights(stem)?);
        }
        parameters += text;
        let config = &plan.network;
        let (work, channels) = match config {
            NetworkConfig::UNet(config) => (unet(config), config.block_out_channels[0]),
            NetworkConfig::UVit(config) => (uvit(config), config.channels),
        };
        let ([sample_channels, _], size) = (config.channels(), config.sample_size());
        let mut cost = Self {
            prepared: if is_prepared {
                PREPARED_NUMBERS * network
            } else {
                0.0
            },
            parameters,
            text,
            network,
            evaluation: work.work,
            pull_back: Work::default(),
            activations: work.held,
            encoding: 0.0,
            resolution: size,
            sample_shape: [sample_channels, size, size],
            views_together: config.views_per_group(),
            channels,
            summary: plan.summary(),
        };
        if let Some(vae) = &plan.vae {
            cost.parameters += numbers(files.weights(VAE_STEM)?);
            cost.resolution *= vae.factor();
            let forward = encoder(vae, cost.resolution);
            // Forward, forward once more for what was not kept, and backward, which is about two of them without the weights' part.
            cost.pull_back = forward.work.times(3.0);
            cost.encoding = 2.0 * forward.held;
        }
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `torch.utils.flop_counter` counts 803.3 billion in diffusers' U-Net of Stable Diffusion 1.5 at 64 × 64, with keys and values
    /// of the text, and 1116.7 in its encoder of 512 × 512.
    #[test]
    fn the_work_of_stable_diffusion_is_what_pytorch_counts() {
        let config: UNetConfig = serde_json::from_value(json!({
            "sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
            "cross_attention_dim": 768,
        }))
        .unwrap();
        let tally = unet(&config);
        assert!(
            (tally.work.total() / 803.3e9 - 1.0).abs() < 0.02,
            "{:?}",
            tally.work
        );
        let vae: VaeConfig = serde_json::from_value(json!({
            "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [128, 256, 512, 512],
            "down_block_types": [], "up_block_types": [], "layers_per_block": 2,
        }))
        .unwrap();
        let work = encoder(&vae, 512).work.total();
        assert!((work / 1116.7e9 - 1.0).abs() < 0.02, "{work:.4e}");
        assert!(
            tally.kept.abs() < 1.0,
            "what is kept on the way down is taken on the way up: {}",
            tally.kept
        );
        let doubled = UNetConfig {
            num_views: 4,
            ..config
        };
        assert!(unet(&doubled).work.products > 1.2 * tally.work.products);
    }
}
