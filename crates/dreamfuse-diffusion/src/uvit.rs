//! The network of the built-in prior: a transformer over patches between convolutions, which is told
//! all that the renderer knows of an image.
//!
//! After the U-ViT of Hoogeboom et al. 2023 ("simple diffusion", section 3): 2 × 2 pixels become
//! channels, convolutions work at half the resolution, a transformer at a quarter of it. Each pixel
//! knows its own ray ([`Camera::push_ray_maps`]), and the text meets the camera in layers of its own before
//! the pixels attend to both.
//!
//! [`Camera::push_ray_maps`]: dreamfuse_core::Camera::push_ray_maps

mod block;
mod config;
mod context;
mod frames;
mod reference;

use crate::checkpoint::{CheckpointError, KeyTolerance, Weights, load_weights, save_weights};
use crate::layers::{
    Convolution, Nonlinearity, Norms, ResnetBlock, TimeInput, TimeScaleShift, linear, normalize,
    pixel_shuffle, pixel_unshuffle, project, zeroed,
};
use block::Block;
use burn::module::{Initializer, Module, Param};
use burn::nn::{GroupNorm, Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
pub use config::UVitConfig;
use context::ContextEncoder;
use dreamfuse_core::{Camera, Told};
use dreamfuse_prior::{Conditioning, Leaf, Shown};
use frames::Frames;
use reference::ShownTokens;
use std::path::Path;

/// Predicts v in noisy images, given timesteps, text and what is told of each image.
#[derive(Module, Debug)]
pub struct UVit {
    conv_in: Convolution,
    context: ContextEncoder,
    down: Vec<ResnetBlock>,
    /// 2 × 2 pixels to a token.
    patch_in: Linear,
    rays_in: Linear,
    /// `[tokens, width]`.
    position: Param<Tensor<2>>,
    blocks: Vec<Block>,
    patch_out: Linear,
    up: Vec<ResnetBlock>,
    norm_out: GroupNorm,
    /// To pixels of the whole resolution, which two convolutions finish beside the input.
    head: Convolution,
    head_1: Convolution,
    /// Scales and shifts what the first of them finds: how much of the noisy input belongs in the output depends on the
    /// noise level.
    head_modulation: Linear,
    head_2: Convolution,
    /// A gain for the noisy input itself, by which it is added to the output.
    skip: Linear,
    #[module(skip)]
    config: UVitConfig,
}

/// An image on its way through the network.
struct Inside {
    /// `[batch, in_channels, size, size]`, in the network's dtype.
    sample: Tensor<4>,
    /// The same with its rays.
    input: Tensor<4>,
    /// `[batch, channels, size / 2, size / 2]`.
    convolved: Tensor<4>,
    /// `[batch, tokens, hidden_size]`.
    tokens: Tensor<3>,
    context: Tensor<3>,
    /// `[batch, conditioning_size]`, after the nonlinearity.
    embedding: Tensor<2>,
}

const NORMS: Norms = Norms {
    groups: 8,
    epsilon: 1e-5,
};

impl UVit {
    /// With random weights; the last convolution starts at zero.
    pub fn new(config: &UVitConfig, device: &Device) -> Self {
        let &UVitConfig {
            channels,
            hidden_size,
            head_channels,
            ..
        } = config;
        let input = config.in_channels + Camera::RAY_MAPS;
        let time = TimeInput {
            width: config.conditioning_size,
            scale_shift: TimeScaleShift::ScaleShift,
        };
        let resnet = |from: usize| ResnetBlock::new(NORMS, Some(time), [from, channels], device);
        let position = Initializer::Normal {
            mean: 0.0,
            std: 0.02,
        };
        Self {
            conv_in: Convolution::new([4 * input, channels], 3, 1, device),
            context: ContextEncoder::new(config, device),
            down: vec![resnet(channels), resnet(channels)],
            patch_in: LinearConfig::new(4 * channels, hidden_size).init(device),
            rays_in: LinearConfig::new(16 * Camera::RAY_MAPS, hidden_size).init(device),
            position: position.init([config.tokens(), hidden_size], device),
            blocks: (0..config.blocks)
                .map(|_| Block::new(config, device))
                .collect(),
            patch_out: LinearConfig::new(hidden_size, 4 * channels).init(device),
            up: vec![resnet(2 * channels), resnet(channels)],
            norm_out: NORMS.over(channels, device),
            head: Convolution::new([channels, 4 * head_channels], 1, 1, device),
            head_1: Convolution::new([head_channels + input, head_channels], 3, 1, device),
            head_modulation: zeroed(LinearConfig::new(time.width, 2 * head_channels).init(device)),
            head_2: Convolution::new([head_channels, config.in_channels], 3, 1, device).zeroed(),
            skip: zeroed(LinearConfig::new(time.width, config.in_channels).init(device)),
            config: config.clone(),
        }
    }

    /// With value `i` of [`Told::conditioning`] weighted by `gains[i]` at first: the default, which treats
    /// all alike, lets those that vary most or lie farthest from zero drown the others.
    pub fn with_told_gains(mut self, gains: &[f32; Told::CONDITIONING], device: &Device) -> Self {
        self.context = self.context.with_told_gains(gains, device);
        self
    }

    /// With the weights of a safetensors file that [`UVit::save`] wrote.
    ///
    /// # Errors
    /// When they do not fit the configuration.
    pub fn load(
        config: &UVitConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        load_weights(
            Self::new(config, device),
            weights,
            &[],
            KeyTolerance::default(),
        )
    }

    /// As [`UVit::load`], from a network that may have taken no references yet: the layers for them then add nothing.
    ///
    /// # Errors
    /// When the rest does not fit the configuration.
    pub fn grow(
        config: &UVitConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let tolerance = KeyTolerance {
            optional: &["norm_x", "attn_x"],
            ..KeyTolerance::default()
        };
        load_weights(Self::new(config, device), weights, &[], tolerance)
    }

    /// Writes a safetensors file; docs/priors.md says how Python opens it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), CheckpointError> {
        save_weights(self, path, dtype, &[])
    }

    /// The network's configuration.
    pub fn config(&self) -> &UVitConfig {
        &self.config
    }

    /// Does what depends on the weights alone once.
    pub(crate) fn prepare(&mut self) {
        [&mut self.conv_in, &mut self.head_1, &mut self.head_2]
            .into_iter()
            .for_each(Convolution::prepare);
        self.down
            .iter_mut()
            .chain(&mut self.up)
            .for_each(ResnetBlock::prepare);
    }

    /// What the network makes of texts `[batch, tokens, text_size]` alone: it keeps them, because their
    /// keys and values depend on the camera.
    pub fn read(&self, text: &Tensor<3>) -> Conditioning {
        Conditioning::new(vec![Leaf::Tokens(text.clone().cast(self.conv_in.dtype()))])
    }

    /// # Shapes
    /// - `sample`: `[batch, in_channels, sample_size, sample_size]`
    /// - `timesteps`: one for each image, in `0..1000`
    /// - `text`: a batch of texts that this network has read
    /// - `told`: one for each image
    /// - `shown`: reference images that this network has read
    /// - output: `[batch, in_channels, sample_size, sample_size]`, in f32 whatever the network computes with
    ///
    /// # Panics
    /// When there are not as many of each, or another network has read the text; when images are shown to a network
    /// that takes none.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: &[usize],
        text: &Conditioning,
        told: &[Told],
        shown: Option<Shown>,
    ) -> Tensor<4> {
        self.forward_with_features(sample, timesteps, text, told, shown)
            .0
    }

    /// As [`UVit::forward`], with the features that the head reads, `[batch, channels, size / 2, size / 2]`:
    /// training lets them predict more than the image.
    ///
    /// # Panics
    /// As there.
    pub fn forward_with_features(
        &self,
        sample: Tensor<4>,
        timesteps: &[usize],
        text: &Conditioning,
        told: &[Told],
        shown: Option<Shown>,
    ) -> (Tensor<4>, Tensor<4>) {
        assert!(
            shown.is_none() || self.config.references,
            "expected a network that takes references"
        );
        let mut inside = self.enter(sample, timesteps, text, told);
        let shown = shown.map(|shown| ShownTokens::of(shown, self.frames(told)));
        let mut references = shown.iter().flat_map(ShownTokens::blocks);
        for block in &self.blocks {
            inside.tokens = block.forward(
                inside.tokens,
                &inside.context,
                &inside.embedding,
                references.next().as_ref(),
            );
        }
        self.leave(inside)
    }

    /// What the blocks make of reference images `[sets · per_set, in_channels, sample_size, sample_size]`, a row
    /// a set: the same weights read them as denoise.
    ///
    /// # Panics
    /// When there are not as many of each; when the network takes no references.
    pub fn read_references(
        &self,
        sample: Tensor<4>,
        timesteps: &[usize],
        text: &Conditioning,
        told: &[Told],
        per_set: usize,
    ) -> Conditioning {
        let mut inside = self.enter(sample, timesteps, text, told);
        let frames = self.frames(told);
        let mut read = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let (tokens, of_block) =
                block.read(inside.tokens, &inside.context, &inside.embedding, &frames);
            inside.tokens = tokens;
            read.push(of_block);
        }
        reference::joined(read, per_set)
    }

    fn frames(&self, told: &[Told]) -> Frames {
        let device = self.position.val().device();
        Frames::of(told, self.config.heads, &device)
    }

    /// All before the blocks.
    fn enter(
        &self,
        sample: Tensor<4>,
        timesteps: &[usize],
        text: &Conditioning,
        told: &[Told],
    ) -> Inside {
        let [batch, _, size, _] = sample.dims();
        assert_eq!(told.len(), batch, "expected what is told of each image");
        let (dtype, device) = (self.conv_in.dtype(), sample.device());
        let rays = ray_maps(told, size, &device).cast(dtype);
        let text = text.leaves()[0].tokens();
        let (context, embedding) = self.context.forward(timesteps, text, told, dtype);
        let embedding = silu(embedding);
        let sample = sample.cast(dtype);
        let input = Tensor::cat(vec![sample.clone(), rays.clone()], 1);
        let mut convolved = self.conv_in.forward(pixel_unshuffle(input.clone()));
        for block in &self.down {
            convolved = block.forward(convolved, Some(&embedding));
        }
        let tokens = project(
            &self.patch_in,
            to_tokens(pixel_unshuffle(convolved.clone())),
        );
        let of_rays = to_tokens(pixel_unshuffle(pixel_unshuffle(rays)));
        let of_rays = project(&self.rays_in, of_rays);
        Inside {
            sample,
            input,
            convolved,
            tokens: tokens + of_rays + self.position.val().unsqueeze(),
            context,
            embedding,
        }
    }

    /// All after the blocks.
    fn leave(&self, inside: Inside) -> (Tensor<4>, Tensor<4>) {
        let Inside {
            sample,
            input,
            convolved,
            tokens,
            embedding,
            ..
        } = inside;
        let [batch, channels, ..] = sample.dims();
        let z = pixel_shuffle(to_image(project(&self.patch_out, tokens)));
        let mut z = Tensor::cat(vec![z, convolved], 1);
        for block in &self.up {
            z = block.forward(z, Some(&embedding));
        }
        let features = normalize(&self.norm_out, z, Some(Nonlinearity::Silu));
        let fine = pixel_shuffle(self.head.forward(features.clone()));
        let fine = self.head_1.forward(Tensor::cat(vec![fine, input], 1));
        let fine = film(fine, linear(&self.head_modulation, embedding.clone()));
        let gain = linear(&self.skip, embedding).reshape([batch, channels, 1, 1]);
        let output = self.head_2.forward(silu(fine)) + sample * gain;
        (output.cast(FloatDType::F32), features)
    }
}

/// Scales and shifts the channels of `x` by `[batch, 2 · channels]` (FiLM, Perez et al. 2018).
fn film(x: Tensor<4>, by: Tensor<2>) -> Tensor<4> {
    let [batch, channels, ..] = x.dims();
    let part = |first: usize| {
        let part = by.clone().narrow(1, first, channels);
        part.reshape([batch, channels, 1, 1])
    };
    x * (part(0) + 1.0) + part(channels)
}

/// `[batch, width, side, side]` to `[batch, side², width]`.
fn to_tokens(image: Tensor<4>) -> Tensor<3> {
    let [batch, width, height, side] = image.dims();
    image.reshape([batch, width, height * side]).swap_dims(1, 2)
}

/// The inverse of [`to_tokens`].
fn to_image(tokens: Tensor<3>) -> Tensor<4> {
    let [batch, count, width] = tokens.dims();
    let side = count.isqrt();
    tokens.swap_dims(1, 2).reshape([batch, width, side, side])
}

/// [`Camera::push_ray_maps`] of each image, zeros where the camera is not known.
fn ray_maps(told: &[Told], size: usize, device: &Device) -> Tensor<4> {
    let shape = [told.len(), Camera::RAY_MAPS, size, size];
    let each = Camera::RAY_MAPS * size * size;
    let mut values = Vec::with_capacity(told.len() * each);
    for told in told {
        match told.camera {
            Some(camera) => camera.push_ray_maps(size, &mut values),
            None => values.resize(values.len() + each, 0.0),
        }
    }
    Tensor::from_data(TensorData::new(values, shape), device)
}
