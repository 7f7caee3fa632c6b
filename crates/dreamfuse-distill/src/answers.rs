//! The prior's answers to the texts of a request, guided.

use crate::guidance::GuidanceRequest;
use burn::tensor::Tensor;
use dreamfuse_prior::{Prior, predict_each};

/// What is made of the answers, whatever the method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    /// See [`GuidanceConfig::threshold`](crate::GuidanceConfig::threshold).
    pub threshold: bool,
    /// See [`GuidanceConfig::rescale`](crate::GuidanceConfig::rescale).
    pub rescale: f64,
}

/// The noise that the prior sees in noisy samples.
pub(crate) struct Guided {
    pub guided: Tensor<4>,
    pub unconditional: Tensor<4>,
}

impl Answers {
    /// Asks for all texts at once, and guides: classifier-free guidance (Ho & Salimans 2022), Perp-Neg where there are terms
    /// for it, and guidance rescale.
    pub(crate) fn ask(
        &self,
        prior: &dyn Prior,
        noisy: &Tensor<4>,
        request: &GuidanceRequest,
    ) -> Guided {
        let (texts, timesteps) = (&request.texts, request.timesteps);
        if request.guidance_scale == 0.0 && self.rescale == 0.0 {
            return ask_without_text(prior, noisy, request);
        }
        let mut asked = vec![texts.positive.clone(), texts.negative.clone()];
        asked.extend(texts.negative_terms.iter().map(|term| term.text.clone()));
        let predicted = predict_each(prior, noisy.clone(), timesteps, &asked, request.known);
        let mut answered = predicted.each.into_iter();
        let mut next = || answered.next().expect("an answer for each text");
        let (conditional, unconditional) = (next(), next());
        let own = conditional.clone() - unconditional.clone();
        let mut wanted = own.clone();
        for term in &texts.negative_terms {
            let [batch, ..] = own.dims();
            let weights = Tensor::<1>::from_floats(term.weights.as_slice(), &own.device())
                .reshape([batch, 1, 1, 1]);
            wanted = wanted + perpendicular(next() - unconditional.clone(), &own) * weights;
        }
        let mut guided = predicted.base + wanted * request.guidance_scale;
        if self.rescale > 0.0 {
            let schedule = prior.schedule();
            let output = |noise: Tensor<4>| schedule.output_of(noisy.clone(), noise, timesteps);
            let output = rescaled(output(guided), &output(conditional), self.rescale);
            guided = schedule.noise_of(noisy.clone(), output, timesteps);
        }
        Guided {
            guided,
            unconditional: predicted.unconditional,
        }
    }

    /// The noise that is in `noisy` beside the x̂_0 that `noise` stands for, once that is kept where clean samples are, if
    /// thresholding is asked for.
    pub(crate) fn thresholded(
        &self,
        prior: &dyn Prior,
        noisy: &Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[usize],
    ) -> Tensor<4> {
        if !self.threshold {
            return noise;
        }
        let clean = prior.schedule().clean_of(noisy.clone(), noise, timesteps);
        let clean = prior.clamp_clean(clean);
        prior
            .schedule()
            .noise_beside(noisy.clone(), clean, timesteps)
    }
}

/// The same where the text is not heard: one text is asked, not two.
fn ask_without_text(prior: &dyn Prior, noisy: &Tensor<4>, request: &GuidanceRequest) -> Guided {
    let negative = [request.texts.negative.clone()];
    let (noisy, timesteps) = (noisy.clone(), request.timesteps);
    let predicted = predict_each(prior, noisy, timesteps, &negative, request.known);
    Guided {
        guided: predicted.base,
        unconditional: predicted.unconditional,
    }
}

/// The part of each of `x` that is perpendicular to its `y`.
fn perpendicular(x: Tensor<4>, y: &Tensor<4>) -> Tensor<4> {
    let along =
        sum_of_each(x.clone() * y.clone()) / sum_of_each(y.clone() * y.clone()).clamp_min(1e-6);
    x - y.clone() * along
}

fn sum_of_each(x: Tensor<4>) -> Tensor<4> {
    x.sum_dim(1).sum_dim(2).sum_dim(3)
}

/// Brings the deviation of each guided answer towards that of the conditional one.
fn rescaled(guided: Tensor<4>, conditional: &Tensor<4>, phi: f64) -> Tensor<4> {
    let deviation = |x: &Tensor<4>| {
        let [_, channels, height, width] = x.dims();
        let count = (channels * height * width) as f64;
        let centred = x.clone() - sum_of_each(x.clone()) / count;
        (sum_of_each(centred.powi_scalar(2)) / (count - 1.0).max(1.0)).sqrt()
    };
    let ratio = deviation(conditional) / deviation(&guided).clamp_min(1e-12);
    guided.clone() * ratio * phi + guided * (1.0 - phi)
}
