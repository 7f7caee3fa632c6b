//! The conditional U-Net with the names of diffusers' `UNet2DConditionModel`, driven by its
//! `config.json`.

mod added;
mod attention;
mod blocks;
mod config;
mod embeddings;
mod text;

use crate::checkpoint::{
    CheckpointError, KeyTolerance, Renaming, Weights, load_weights, save_weights,
};
use crate::layers::{Convolution, TimestepEmbedding, normalize, project, sinusoidal};
pub use crate::layers::{Nonlinearity, TimeScaleShift};
use attention::Attend;
use blocks::{DownBlock, MidBlock, UpBlock};
use burn::module::Module;
use burn::nn::{GroupNorm, Linear, LinearConfig};
use burn::tensor::{DType, Device, FloatDType, Tensor};
pub(crate) use config::AttentionKind;
pub use config::{PerLevel, UNetConfig};
use dreamfuse_prior::Conditioning;
use embeddings::Addition;
use std::cell::Cell;
use std::path::Path;
use text::TextConditioning;

/// Predicts the noise (or v) in noisy images, given timesteps, text and perhaps a camera.
#[derive(Module, Debug)]
pub struct UNet {
    conv_in: Convolution,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<TimestepEmbedding>,
    add_embedding: Option<Addition>,
    encoder_hid_proj: Option<Linear>,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Convolution,
    #[module(skip)]
    config: UNetConfig,
}

/// The first layer over what the network is told of an image.
const CLASS_WEIGHT: &str = "class_embedding.linear_1.weight";

const READ: &[Renaming] = &[
    (r"\.ff\.net\.0\.proj\.", ".ff.proj_in."),
    (r"\.ff\.net\.2\.", ".ff.proj_out."),
];
const WRITE: &[Renaming] = &[
    (r"\.ff\.proj_in\.", ".ff.net.0.proj."),
    (r"\.ff\.proj_out\.", ".ff.net.2."),
];

impl UNet {
    /// With random weights; the last convolution starts at zero, and so do those that blocks of attention end with.
    pub fn new(config: &UNetConfig, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let embedding = |from: usize| TimestepEmbedding::new(from, config.time_embed_dim(), device);
        Self {
            conv_in: Convolution::new([config.in_channels, first], 3, 1, device),
            time_embedding: embedding(first),
            class_embedding: config.camera_numbers().map(embedding),
            add_embedding: Addition::maybe(config, device),
            encoder_hid_proj: config
                .encoder_hid_dim
                .map(|width| LinearConfig::new(width, config.cross_attention_dim).init(device)),
            down_blocks: (0..channels.len())
                .map(|level| DownBlock::new(config, level, device))
                .collect(),
            mid_block: MidBlock::new(config, last, device),
            up_blocks: (0..channels.len())
                .map(|step| UpBlock::new(config, step, device))
                .collect(),
            conv_norm_out: config.norms().over(first, device),
            conv_out: Convolution::new([first, config.out_channels], 3, 1, device).zeroed(),
            config: config.clone(),
        }
    }

    /// With the class embedding drawn anew, number `i` of a class label weighted by `gains[i]`: the default, which
    /// treats all alike, lets those that vary most or lie farthest from zero drown the others.
    ///
    /// # Panics
    /// When the gains are not as many as the numbers of a class label.
    pub fn with_class_gains(mut self, gains: &[f32], device: &Device) -> Self {
        self.class_embedding = self
            .class_embedding
            .map(|embedding| embedding.with_gains(gains, device));
        self
    }

    /// With the weights of a `diffusion_pytorch_model.safetensors`.
    ///
    /// # Errors
    /// When they do not fit the configuration.
    pub fn load(
        config: &UNetConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        load_weights(
            Self::new(config, device),
            weights,
            READ,
            KeyTolerance::default(),
        )
    }

    /// As [`UNet::load`], from a network that may have attention at fewer levels and may be told less of
    /// an image: what is new changes nothing until it is trained.
    ///
    /// # Errors
    /// When the rest does not fit the configuration.
    pub fn grow(
        config: &UNetConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let tolerance = KeyTolerance {
            optional: &["attentions"],
            ..KeyTolerance::default()
        };
        let told = config.camera_numbers().unwrap_or_default();
        let weights = weights.with_zero_columns(CLASS_WEIGHT, told);
        load_weights(Self::new(config, device), weights, READ, tolerance)
    }

    /// Does what depends on the weights alone once.
    pub(crate) fn prepare(&mut self) {
        self.down_blocks.iter_mut().for_each(DownBlock::prepare);
        self.mid_block.prepare();
        self.up_blocks.iter_mut().for_each(UpBlock::prepare);
    }

    /// Writes a `diffusion_pytorch_model.safetensors`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), CheckpointError> {
        save_weights(self, path, dtype, WRITE)
    }

    /// The network's configuration.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// What the network makes of texts `[batch, tokens, text_width]`.
    ///
    /// # Panics
    /// When it takes them pooled too: then [`UNet::read_pooled`] is for it.
    pub fn read(&self, text: &Tensor<3>) -> Conditioning {
        let whole = text.clone().cast(self.conv_in.dtype());
        let pooled = self
            .add_embedding
            .as_ref()
            .map(|embedding| match embedding {
                Addition::Text(embedding) => embedding.forward(whole.clone()),
                Addition::TextTime(_) => {
                    panic!("this U-Net takes pooled texts, and none were given")
                }
            });
        TextConditioning {
            keys_values: self.keys_values(whole),
            pooled,
        }
        .into()
    }

    /// As [`UNet::read`], with the texts pooled too, `[batch, pooled_width]`, for whole images with sides of `size` pixels that were
    /// as large before.
    ///
    /// # Panics
    /// When the network does not take pooled texts.
    pub fn read_pooled(&self, text: &Tensor<3>, pooled: &Tensor<2>, size: usize) -> Conditioning {
        let Some(Addition::TextTime(embedding)) = &self.add_embedding else {
            panic!("this U-Net takes no pooled texts");
        };
        let (dtype, [batch, _]) = (self.conv_in.dtype(), pooled.dims());
        let width = self.config.addition_time_embed_dim.unwrap_or_default();
        let sizes = sinusoidal(&[size, size, 0, 0, size, size], width, &pooled.device());
        let sizes = sizes
            .reshape([1, config::SIZES * width])
            .repeat_dim(0, batch);
        let all = Tensor::cat(vec![pooled.clone(), sizes], 1).cast(dtype);
        let pooled = embedding.forward(all, Nonlinearity::Silu);
        TextConditioning {
            keys_values: self.keys_values(text.clone().cast(dtype)),
            pooled: Some(pooled),
        }
        .into()
    }

    /// Of each cross-attention, in the order of the network.
    fn keys_values(&self, whole: Tensor<3>) -> Vec<[Tensor<3>; 2]> {
        let text = &self
            .encoder_hid_proj
            .iter()
            .fold(whole, |text, layer| project(layer, text));
        let down = self.down_blocks.iter().map(DownBlock::attentions);
        let up = self.up_blocks.iter().map(UpBlock::attentions);
        let all = down
            .chain([self.mid_block.attentions()])
            .chain(up)
            .flatten();
        all.flat_map(|attention| attention.keys_values(text))
            .collect()
    }

    /// # Shapes
    /// - `sample`: `[batch, in_channels, size, size]`
    /// - `timesteps`: one for each image, in `0..1000`
    /// - `text`: a batch of texts that this network has read
    /// - `camera`: `[batch, camera_numbers]`, if the network takes one; a network of several views takes
    ///   them in rows of `num_views`, and without cameras each image by itself
    /// - output: `[batch, out_channels, size, size]`, in f32 whatever the network computes with
    ///
    /// # Panics
    /// When a camera is missing or given to a network that takes none, or another network has read the text.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: &[usize],
        text: &Conditioning,
        camera: Option<Tensor<2>>,
    ) -> Tensor<4> {
        let text = TextConditioning::from(text);
        let dtype = self.conv_in.dtype();
        let sines = sinusoidal(
            timesteps,
            self.config.block_out_channels[0],
            &sample.device(),
        );
        let mut time = self
            .time_embedding
            .forward(sines.cast(dtype), self.config.act_fn);
        let views = if camera.is_some() {
            self.config.num_views
        } else {
            1
        };
        match (&self.class_embedding, camera) {
            (Some(embedding), Some(camera)) => {
                time = time + embedding.forward(camera.cast(dtype), Nonlinearity::Silu);
            }
            (None, None) => {}
            (Some(_), None) if self.config.num_views > 1 => {}
            (Some(_), None) => panic!("this U-Net takes a camera, and none was given"),
            (None, Some(_)) => panic!("this U-Net takes no camera"),
        }
        if let Some(pooled) = &text.pooled {
            time = time + pooled.clone();
        }
        let context = Attend {
            time: self.config.act_fn.apply(time),
            text,
            views,
            used: Cell::new(0),
        };
        let mut x = self.conv_in.forward(sample.cast(dtype));
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &context, &mut skips);
        }
        x = self.mid_block.forward(x, &context);
        for block in &self.up_blocks {
            x = block.forward(x, &context, &mut skips);
        }
        self.conv_out
            .forward(normalize(&self.conv_norm_out, x, Some(self.config.act_fn)))
            .cast(FloatDType::F32)
    }
}
