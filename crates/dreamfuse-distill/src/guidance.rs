//! What guidance is: from images and a prior to a gradient.

use crate::answers::Answers;
use crate::csd::Csd;
use crate::ism::Ism;
use crate::sds::Sds;
use burn::tensor::{Tensor, TensorData};
use dreamfuse_core::{Scheduled, StateVisitor};
use dreamfuse_prior::{Conditioning, Known, Prior};
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

/// What makes a direction for samples of the prior's answers. It may keep state, which checkpoints hold.
pub trait Guidance: Send + Sync {
    /// Where the samples `clean` `[batch, channels, height, width]` should not go: the score's estimate, before
    /// it is weighted.
    fn direction(
        &mut self,
        prior: &dyn Prior,
        clean: Tensor<4>,
        request: &GuidanceRequest,
    ) -> Tensor<4>;

    /// Evaluations of one text for each image, at most, besides the two of classifier-free guidance.
    fn evaluations_besides(&self) -> usize {
        0
    }

    /// The same for a share of a step's views, where it keeps no state. Views are shared out over several devices; with
    /// none, the default, they are not.
    fn for_share(&self) -> Option<Box<dyn Guidance>> {
        None
    }

    /// Goes back to its state before the first step. Most have none.
    fn reset(&mut self) {}

    /// Shows its state. Most have none.
    fn visit(&mut self, _visitor: &mut dyn StateVisitor) {}
}

/// One question to the prior about a batch of images.
pub struct GuidanceRequest<'a> {
    /// One an image.
    pub timesteps: &'a [usize],
    /// ε, a batch of the prior's samples. Interval score matching starts its path with it.
    pub noise: Tensor<4>,
    pub texts: ViewConditioning,
    /// What the prior is told of the images, and shown besides; unknown leaves it to the view words.
    pub known: Known<'a>,
    /// In diffusers' convention; the paper's ω is one less.
    pub guidance_scale: f64,
    /// The most that one value of a sample is pushed, as [`GuidanceConfig::clip`] says for this step.
    pub clip: f64,
}

/// `w(t) d ∂z/∂x` with the guidance's direction d, a mean over the values of z, and w(t) = σ_t² (Poole et al. 2022,
/// equation 3): the gradient for display-referred `images` `[batch, 3, size, size]`, which are not tracked. No gradient passes
/// through the prior's network.
pub fn image_gradient(
    guidance: &mut dyn Guidance,
    prior: &dyn Prior,
    images: Tensor<4>,
    request: &GuidanceRequest,
) -> Tensor<4> {
    let encoded = prior.encode(images);
    let clean = encoded.samples.clone();
    let [batch, channels, height, width] = clean.dims();
    let variance = |t: &usize| prior.schedule().variance(*t) as f32;
    let weights: Vec<f32> = request.timesteps.iter().map(variance).collect();
    let weights = TensorData::new(weights, [batch, 1, 1, 1]);
    let weights = Tensor::<4>::from_data(weights, &clean.device());
    let mut weighted = guidance.direction(prior, clean, request) * weights;
    if request.clip.is_finite() {
        weighted = weighted.clamp(-request.clip, request.clip);
    }
    encoded.vjp(weighted / (batch * channels * height * width) as f32)
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
    /// The guidance that it describes.
    pub fn build(&self) -> Box<dyn Guidance> {
        let answers = Answers {
            threshold: self.threshold,
            rescale: self.rescale,
        };
        match self.method {
            Method::Sds => Box::new(Sds(answers)),
            Method::Csd => Box::new(Csd(answers)),
            Method::Ism => Box::new(Ism(answers)),
        }
    }

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
