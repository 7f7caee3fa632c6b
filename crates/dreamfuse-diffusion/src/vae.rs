//! The variational autoencoder between images and the latents that latent diffusion works on (Rombach et al. 2022),
//! with the names of diffusers' `AutoencoderKL`.

mod attention;
mod config;
mod decoder;
mod encoder;
mod gradient;

use crate::checkpoint::{CheckpointError, Renaming, Weights, load_weights};
use crate::layers::Convolution;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
pub use config::VaeConfig;
use decoder::Decoder;
use encoder::Encoder;

/// Encoder and decoder, both frozen.
#[derive(Module, Debug)]
pub struct Vae {
    encoder: Encoder,
    quant_conv: Option<Convolution>,
    post_quant_conv: Option<Convolution>,
    decoder: Decoder,
    #[module(skip)]
    config: VaeConfig,
}

/// Files from before diffusers 0.17 name the parts of attention otherwise.
const READ: &[Renaming] = &[
    (r"\.query\.(weight|bias)$", ".to_q.$1"),
    (r"\.key\.(weight|bias)$", ".to_k.$1"),
    (r"\.value\.(weight|bias)$", ".to_v.$1"),
    (r"\.proj_attn\.(weight|bias)$", ".to_out.0.$1"),
];

impl Vae {
    /// With random weights.
    pub fn new(config: &VaeConfig, device: &Device) -> Self {
        let latents = config.latent_channels;
        let pointwise = |channels: usize| Convolution::new([channels, channels], 1, 1, device);
        Self {
            encoder: Encoder::new(config, device),
            quant_conv: config.use_quant_conv.then(|| pointwise(2 * latents)),
            post_quant_conv: config.use_post_quant_conv.then(|| pointwise(latents)),
            decoder: Decoder::new(config, device),
            config: config.clone(),
        }
    }

    /// With the weights of a `diffusion_pytorch_model.safetensors`.
    ///
    /// # Errors
    /// When they do not fit the configuration.
    pub fn load(
        config: &VaeConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        load_weights(Self::new(config, device), weights, READ, Default::default())
    }

    /// The network's configuration.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Mean and logarithm of the variance of the latents of `images` `[batch, 3, size, size]` in `[−1, 1]`:
    /// `[batch, 2 · latent_channels, size / factor, …]`, not scaled.
    pub fn moments(&self, images: Tensor<4>) -> Tensor<4> {
        self.stages().into_iter().fold(images, |x, stage| stage(x))
    }

    /// Scaled latents `[batch, latent_channels, size / factor, …]` of `images` `[batch, 3, size, size]` in `[−1, 1]`:
    /// the mean of their distribution, whose deviation is far below the noise that diffusion adds.
    pub fn encode(&self, images: Tensor<4>) -> Tensor<4> {
        self.moments(images)
            .narrow(1, 0, self.config.latent_channels)
            * self.config.scaling_factor
    }

    /// Images in about `[−1, 1]` from scaled latents.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let latents = latents / self.config.scaling_factor;
        let latents = match &self.post_quant_conv {
            Some(layer) => layer.forward(latents),
            None => latents,
        };
        self.decoder.forward(latents)
    }

    /// The way from images to moments, in pieces: what lies between two of them is all that has to be kept.
    fn stages(&self) -> Vec<Box<dyn Fn(Tensor<4>) -> Tensor<4> + '_>> {
        let mut stages = self.encoder.stages();
        if let Some(layer) = &self.quant_conv {
            stages.push(Box::new(|x| layer.forward(x)));
        }
        stages
    }
}
