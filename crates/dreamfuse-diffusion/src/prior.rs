//! The frozen prior as distillation sees it.

use crate::schedule::NoiseSchedule;
use crate::unet::ReadText;
use burn::tensor::Tensor;
use dreamfuse_core::Camera;

/// A text-to-image diffusion model whose weights do not change.
pub trait FrozenPrior {
    /// Side of its pictures in pixels.
    fn resolution(&self) -> usize;

    /// Its forward process.
    fn schedule(&self) -> &NoiseSchedule;

    /// Texts as it reads them, a batch of `prompts`; the empty text is the unconditional one.
    ///
    /// # Errors
    /// When a text is too long; the message says by how much.
    fn encode(&self, prompts: &[String]) -> Result<ReadText, String>;

    /// Display-referred pictures `[batch, 3, size, size]` in `[0, 1]` in the prior's own range.
    fn to_own_range(&self, pictures: Tensor<4>) -> Tensor<4>;

    /// The noise that the prior sees in `noisy` `[batch, 3, size, size]` of its own range. Cameras, one
    /// a picture, are told to priors that take one; `None` stands for "unknown".
    fn noise(&self, noisy: Tensor<4>, timesteps: &[usize], text: ReadText, cameras: Option<&[Camera]>) -> Tensor<4>;
}

/// Classifier-free guidance (Ho & Salimans 2021) in diffusers' convention: `ε_uncond + scale
/// (ε_cond − ε_uncond)`. `text` and `empty` are as large as the batch; both branches are one
/// evaluation, and the camera stays in both.
pub fn guided_noise(
    prior: &dyn FrozenPrior,
    noisy: Tensor<4>,
    timesteps: &[usize],
    (text, empty): (ReadText, ReadText),
    cameras: Option<&[Camera]>,
    scale: f64,
) -> Tensor<4> {
    let twice = |cameras: &[Camera]| [cameras, cameras].concat();
    let both = prior.noise(
        Tensor::cat(vec![noisy.clone(), noisy], 0),
        &[timesteps, timesteps].concat(),
        ReadText::cat(&[text, empty]),
        cameras.map(twice).as_deref(),
    );
    let mut halves = both.chunk(2, 0);
    let (unconditional, conditional) = (halves.pop().expect("two halves"), halves.pop().expect("two halves"));
    unconditional.clone() + (conditional - unconditional) * scale
}
