//! Classifier-free guidance.

use crate::{Batch, Conditioning, Known, Prior, Shown, Views};
use burn::tensor::Tensor;
use dreamfuse_core::Told;

/// ε̂ of a batch under each of several texts.
pub struct Predictions {
    /// In the order of the texts.
    pub each: Vec<Tensor<4>>,
    /// Where guidance starts from: ε̂ under the negative text, and what the images that are shown add to it.
    pub base: Tensor<4>,
    /// ε̂ under the negative text, without the images that are shown where that was asked.
    pub unconditional: Tensor<4>,
}

/// ε̂ under each of several texts, all with a row for each sample: one evaluation. The second text, or the only one, is the
/// negative one.
///
/// Without images that are shown, guidance starts from `ε_∅`, the prediction under the negative text. With them it starts
/// from `ε_∅∅ + s_I (ε_I∅ − ε_∅∅)` (Brooks et al. 2023, equation 3), where `s_I` is [`Shown::scale`].
pub fn predict_each(
    prior: &dyn Prior,
    samples: Tensor<4>,
    timesteps: &[usize],
    texts: &[Conditioning],
    Known { views, shown }: Known,
) -> Predictions {
    let mut texts = texts.to_vec();
    let negative = usize::from(texts.len() > 1);
    let unshown = shown.filter(|shown| shown.scale != 1.0);
    if unshown.is_some() {
        texts.push(texts[negative].clone());
    }
    let count = texts.len();
    let told: Option<Vec<Told>> = views.told().map(|told| told.repeat(count));
    let views = match &told {
        None => Views::Unknown,
        Some(told) => Views::of(told, views.per_group()),
    };
    let sets = shown.map(|shown| {
        let without = usize::from(unshown.is_some());
        let none = vec![None; without * shown.sets.len()];
        [shown.sets.repeat(count - without), none].concat()
    });
    let shown = shown.zip(sets.as_deref());
    let shown = shown.map(|(shown, sets)| Shown { sets, ..shown });
    let (timesteps, conditioning) = (timesteps.repeat(count), Conditioning::cat(&texts));
    let samples = samples.repeat_dim(0, count);
    let known = Known { views, shown };
    let batch = Batch::new(samples, &timesteps, &conditioning, known);
    let mut each = prior.predict(&batch).chunk(count, 0);
    let nothing = unshown.and_then(|shown| each.pop().map(|nothing| (nothing, shown.scale)));
    let own = each[negative].clone();
    let (base, unconditional) = match nothing {
        None => (own.clone(), own),
        Some((nothing, scale)) => (nothing.clone() + (own - nothing.clone()) * scale, nothing),
    };
    Predictions {
        each,
        base,
        unconditional,
    }
}

/// How samples are guided.
#[derive(Clone, Copy)]
pub struct Guided<'a> {
    pub prior: &'a dyn Prior,
    /// What the samples should show, and what stands against it: a row a sample each.
    pub texts: [&'a Conditioning; 2],
    pub known: Known<'a>,
    /// In diffusers' convention.
    pub guidance_scale: f64,
}

impl Guided<'_> {
    /// Classifier-free guidance (Ho & Salimans 2021) in diffusers' convention: `ε_uncond + scale
    /// (ε_cond − ε_uncond)`. What is known of the views stays in both branches.
    pub fn noise(&self, samples: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        let texts = self.texts.map(Clone::clone);
        if self.guidance_scale == 0.0 {
            return predict_each(self.prior, samples, timesteps, &texts[1..], self.known).base;
        }
        let Predictions { each, base, .. } =
            predict_each(self.prior, samples, timesteps, &texts, self.known);
        let [conditional, unconditional] = &each[..] else {
            unreachable!("a prediction for each of two texts");
        };
        base + (conditional.clone() - unconditional.clone()) * self.guidance_scale
    }
}
