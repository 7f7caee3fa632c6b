//! Classifier-free guidance.

use crate::{Batch, Conditioning, Prior, Views};
use burn::tensor::Tensor;
use dreamfuse_core::Told;

/// ε̂ under each of several texts, all with a row for each sample: one evaluation.
pub fn predict_each(
    prior: &dyn Prior,
    samples: Tensor<4>,
    timesteps: &[usize],
    texts: &[Conditioning],
    views: Views,
) -> Vec<Tensor<4>> {
    let count = texts.len();
    let told: Option<Vec<Told>> = views.told().map(|told| told.repeat(count));
    let views = match &told {
        None => Views::Unknown,
        Some(told) => Views::of(told, views.per_group()),
    };
    let (timesteps, conditioning) = (timesteps.repeat(count), Conditioning::cat(texts));
    let samples = samples.repeat_dim(0, count);
    prior
        .predict(&Batch::new(samples, &timesteps, &conditioning, views))
        .chunk(count, 0)
}

/// Classifier-free guidance (Ho & Salimans 2021) in diffusers' convention: `ε_uncond + scale
/// (ε_cond − ε_uncond)`. Each text has a row for each sample; what is known of the views stays in
/// both branches.
pub fn guided_noise(
    prior: &dyn Prior,
    samples: Tensor<4>,
    timesteps: &[usize],
    [text, empty]: [&Conditioning; 2],
    views: Views,
    scale: f64,
) -> Tensor<4> {
    let texts = [text.clone(), empty.clone()];
    let mut both = predict_each(prior, samples, timesteps, &texts, views).into_iter();
    let mut next = || both.next().expect("a prediction for each text");
    let (conditional, unconditional) = (next(), next());
    unconditional.clone() + (conditional - unconditional) * scale
}
