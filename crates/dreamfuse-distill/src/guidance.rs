//! From the prior's answers to one direction.

use crate::interval;
use burn::tensor::Tensor;
use dreamfuse_core::Scheduled;
use dreamfuse_prior::{Conditioning, Prior, Views, predict_each};
use serde::{Deserialize, Serialize};

/// What is made of the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Score distillation sampling (Poole et al. 2022): `ε̂ − ε`.
    #[default]
    Sds,
    /// Classifier score distillation (Yu et al. 2023): `ε̂ − ε̂_uncond`, from the same evaluation.
    Csd,
    /// Interval score matching (Liang et al. 2023): `ε̂(x_t) − ε̂_empty(x_s)` for an x_t that DDIM reaches from the image by
    /// way of x_s; up to six more evaluations, of one text each.
    Ism,
}

impl Method {
    /// Evaluations for each image besides those of guidance, at most.
    pub fn evaluations_besides(self) -> usize {
        match self {
            Self::Sds | Self::Csd => 0,
            Self::Ism => interval::most_evaluations(),
        }
    }
}

/// Guidance beyond its scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuidanceConfig {
    /// `sds` (score distillation), `csd` (classifier score distillation) or `ism` (interval score matching).
    pub method: Method,
    /// Clamp the guided x̂_0 of a pixel-space prior to valid colours (Imagen, Saharia et al. 2022, section
    /// 2.3). Latents are not clamped, nor is the direction of `csd`.
    pub threshold: bool,
    /// Guidance rescale φ, 0 to 1 (Lin et al. 2023). It brings the deviation of the guided output back
    /// towards that of the conditional one. Not with `csd`.
    pub rescale: f64,
    /// Perp-Neg over the view words, with threestudio's weights (Armandpour et al. 2023). It doubles the
    /// evaluations.
    pub perp_neg: bool,
    /// Bound of each value of the gradient, w(t) included; `inf` for none (threestudio's `grad_clip`). A
    /// small bound favours the median of what views ask for over their mean: an edge, not fog.
    pub clip: Scheduled,
    /// The part of the run over which scheduled values move from start to end: the guidance scale, `clip`
    /// and the weights under `[losses]`.
    pub ramp: [f64; 2],
}

impl Default for GuidanceConfig {
    fn default() -> Self {
        Self {
            method: Method::default(),
            threshold: true,
            rescale: 0.0,
            perp_neg: false,
            clip: Scheduled {
                start: 0.05,
                end: 0.1,
            },
            ramp: [0.3, 0.9],
        }
    }
}

impl GuidanceConfig {
    /// Says what cannot be, if anything.
    ///
    /// # Errors
    /// The message names the key.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.rescale) {
            return Err(format!(
                "guidance.rescale = {} is not between 0 and 1",
                self.rescale
            ));
        }
        if self.method == Method::Csd && self.rescale > 0.0 {
            return Err("guidance.rescale does not go with guidance.method = \"csd\"".into());
        }
        if !self.clip.all(|bound| bound > 0.0) {
            return Err(format!(
                "guidance.clip = {} has to be more than zero (inf for no bound)",
                self.clip
            ));
        }
        let [from, to] = self.ramp;
        if !(0.0 <= from && from <= to && to <= 1.0) {
            return Err(format!(
                "guidance.ramp = [{from}, {to}] has to be in order and within 0 and 1"
            ));
        }
        Ok(())
    }

    /// How far scheduled values have moved, 0 to 1, when `progress` of the run (0 to 1) is done.
    pub fn ramp_at(&self, progress: f64) -> f64 {
        let [from, to] = self.ramp;
        if progress < from {
            0.0
        } else if progress >= to {
            1.0
        } else {
            (progress - from) / (to - from)
        }
    }
}

/// The texts of a batch of views.
#[derive(Clone)]
pub struct ViewConditioning {
    /// What the images should show.
    pub positive: Conditioning,
    /// What stands against it in guidance, mostly the empty text.
    pub negative: Conditioning,
    /// The empty text, under which interval score matching goes from the image to its noise.
    pub empty: Conditioning,
    /// What they should not look like besides.
    pub negative_terms: Vec<NegativeTerm>,
}

/// A text a view, each with its weight, zero or less.
#[derive(Clone)]
pub struct NegativeTerm {
    pub text: Conditioning,
    pub weights: Vec<f32>,
}

impl ViewConditioning {
    /// Two texts a view, for guidance alone.
    pub fn of(positive: Conditioning, empty: Conditioning) -> Self {
        Self {
            positive,
            negative: empty.clone(),
            empty,
            negative_terms: Vec::new(),
        }
    }
}

/// The direction that score distillation weights: what the guided answer has that the reference of the method has not, which is
/// `noise` unless it is the prior's other answer.
pub(crate) fn direction(
    prior: &dyn Prior,
    (noisy, noise): (Tensor<4>, &Tensor<4>),
    timesteps: &[usize],
    texts: &ViewConditioning,
    views: Views,
    (scale, config): (f64, &GuidanceConfig),
) -> Tensor<4> {
    let mut asked = vec![texts.positive.clone(), texts.negative.clone()];
    asked.extend(texts.negative_terms.iter().map(|term| term.text.clone()));
    let mut answered = predict_each(prior, noisy.clone(), timesteps, &asked, views).into_iter();
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
    let mut guided = unconditional.clone() + wanted * scale;
    if config.rescale > 0.0 {
        let (schedule, phi) = (prior.schedule(), config.rescale);
        let output = |noise: Tensor<4>| schedule.output_of(noisy.clone(), noise, timesteps);
        guided = schedule.noise_of(
            noisy.clone(),
            rescaled(output(guided), &output(conditional), phi),
            timesteps,
        );
    }
    match config.method {
        Method::Csd => guided - unconditional,
        Method::Sds if config.threshold => {
            thresholded(prior, &noisy, guided, timesteps) - noise.clone()
        }
        // Here the noise too is the prior's, and stands for an x̂_0 that may not be where images are.
        Method::Ism if config.threshold => {
            let kept = |noise: Tensor<4>| thresholded(prior, &noisy, noise, timesteps);
            kept(guided) - kept(noise.clone())
        }
        Method::Sds | Method::Ism => guided - noise.clone(),
    }
}

/// The noise that is in `noisy` beside the x̂_0 that `noise` stands for, once that is kept where clean samples are.
fn thresholded(
    prior: &dyn Prior,
    noisy: &Tensor<4>,
    noise: Tensor<4>,
    timesteps: &[usize],
) -> Tensor<4> {
    let clean = prior.clamp_clean(prior.schedule().clean_of(noisy.clone(), noise, timesteps));
    prior
        .schedule()
        .noise_beside(noisy.clone(), clean, timesteps)
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
