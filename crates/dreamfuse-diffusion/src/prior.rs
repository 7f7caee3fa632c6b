//! The frozen prior as distillation sees it.

use crate::schedule::NoiseSchedule;
use crate::unet::ReadText;
use burn::tensor::{Device, Tensor};
use dreamfuse_core::Camera;

/// A text-to-image diffusion model whose weights do not change. What it diffuses is a space of its own: pictures in
/// `[−1, 1]` unless it says otherwise, or latents. The provided methods are those of pictures.
pub trait FrozenPrior {
    /// Where it computes.
    fn device(&self) -> Device;

    /// Side of its pictures in pixels.
    fn resolution(&self) -> usize;

    /// Channels, height and width of what it diffuses.
    fn sample_shape(&self) -> [usize; 3] {
        [3, self.resolution(), self.resolution()]
    }

    /// An estimate of clean samples, kept where clean samples are.
    fn keep_clean(&self, clean: Tensor<4>) -> Tensor<4> {
        clean.clamp(-1.0, 1.0)
    }

    /// Views, a quarter of a turn or so apart, that it sees together when it is told their cameras: batches are rows of so many.
    fn views_together(&self) -> usize {
        1
    }

    /// Its forward process.
    fn schedule(&self) -> &NoiseSchedule;

    /// Texts as it reads them, a batch of `prompts`; the empty text is the unconditional one.
    ///
    /// # Errors
    /// When a text is too long; the message says by how much.
    fn encode(&self, prompts: &[String]) -> Result<ReadText, String>;

    /// Display-referred pictures `[batch, 3, size, size]` in `[0, 1]` in the prior's own space.
    fn to_own_space(&self, pictures: Tensor<4>) -> Tensor<4> {
        pictures * 2.0 - 1.0
    }

    /// Pictures `[batch, 3, resolution, resolution]` of samples; display-referred, in about `[0, 1]`.
    fn to_pictures(&self, own: Tensor<4>) -> Tensor<4> {
        (own + 1.0) * 0.5
    }

    /// The gradient of `pictures` when that of [`FrozenPrior::to_own_space`]'s result is what `gradient` says of it. No
    /// gradient passes through the U-Net.
    fn pull_back(
        &self,
        pictures: Tensor<4>,
        gradient: &mut dyn FnMut(Tensor<4>) -> Tensor<4>,
    ) -> Tensor<4> {
        gradient(self.to_own_space(pictures)) * 2.0
    }

    /// The noise that the prior sees in `noisy`, a batch of its own space. Cameras, one
    /// a picture, are told to priors that take one; `None` stands for "unknown".
    fn noise(
        &self,
        noisy: Tensor<4>,
        timesteps: &[usize],
        text: ReadText,
        cameras: Option<&[Camera]>,
    ) -> Tensor<4>;
}

/// The noise that the prior sees in `noisy` under each of several texts, all as large as the batch: one evaluation.
pub fn answers(
    prior: &dyn FrozenPrior,
    noisy: Tensor<4>,
    timesteps: &[usize],
    texts: &[ReadText],
    cameras: Option<&[Camera]>,
) -> Vec<Tensor<4>> {
    let all = prior.noise(
        noisy.repeat_dim(0, texts.len()),
        &timesteps.repeat(texts.len()),
        ReadText::cat(texts),
        cameras
            .map(|cameras| cameras.repeat(texts.len()))
            .as_deref(),
    );
    all.chunk(texts.len(), 0)
}

/// Classifier-free guidance (Ho & Salimans 2021) in diffusers' convention: `ε_uncond + scale
/// (ε_cond − ε_uncond)`. `text` and `empty` are as large as the batch; the camera stays in both branches.
pub fn guided_noise(
    prior: &dyn FrozenPrior,
    noisy: Tensor<4>,
    timesteps: &[usize],
    (text, empty): (ReadText, ReadText),
    cameras: Option<&[Camera]>,
    scale: f64,
) -> Tensor<4> {
    let mut both = answers(prior, noisy, timesteps, &[text, empty], cameras);
    let (unconditional, conditional) = (
        both.pop().expect("two answers"),
        both.pop().expect("two answers"),
    );
    unconditional.clone() + (conditional - unconditional) * scale
}
