//! Score distillation sampling (Poole et al. 2022, equation 3).

use crate::guidance::{GuidanceConfig, Method, ViewConditioning, direction};
use crate::interval::inverted;
use burn::tensor::{Tensor, TensorData};
use dreamfuse_prior::{Prior, Views};

/// One question to the prior about a batch of images.
pub struct SdsRequest<'a> {
    /// One an image.
    pub timesteps: &'a [usize],
    /// ε, a batch of the prior's samples. Interval score matching starts its path with it.
    pub noise: Tensor<4>,
    pub texts: ViewConditioning,
    /// What the prior is told of the images; unknown leaves it to the view words.
    pub views: Views<'a>,
    /// In diffusers' convention; the paper's ω is one less.
    pub guidance_scale: f64,
    /// The most that one number of a sample is pushed, as [`GuidanceConfig::clip`] says for this step.
    pub clip: f64,
    pub guidance: &'a GuidanceConfig,
}

/// `w(t) (ε̂(z_t; y, t) − ε) ∂z/∂x`, a mean over the numbers of z, with w(t) = σ_t²: the gradient for display-referred
/// `images` `[batch, 3, size, size]`, which are not tracked. No gradient passes through the prior's U-Net. The guidance's
/// method may take something else than ε away, and noise the sample otherwise.
pub fn score_distillation(prior: &dyn Prior, images: Tensor<4>, request: SdsRequest) -> Tensor<4> {
    let encoded = prior.encode(images);
    let gradient = gradient_of_samples(prior, encoded.samples.clone(), &request);
    encoded.vjp(gradient)
}

/// The same for z itself: `w(t) (ε̂(z_t; y, t) − ε)`, a mean over its numbers.
fn gradient_of_samples(prior: &dyn Prior, clean: Tensor<4>, request: &SdsRequest) -> Tensor<4> {
    let (schedule, [batch, channels, height, width]) = (prior.schedule(), clean.dims());
    let weights: Vec<f32> = request
        .timesteps
        .iter()
        .map(|&t| schedule.variance(t) as f32)
        .collect();
    let weights =
        Tensor::<4>::from_data(TensorData::new(weights, [batch, 1, 1, 1]), &clean.device());
    let noise = request.noise.clone();
    let (noisy, noise) = match request.guidance.method {
        Method::Ism => inverted(
            prior,
            (clean, noise),
            request.timesteps,
            &request.texts.empty,
            request.views,
        ),
        Method::Sds | Method::Csd => (
            schedule.add_noise(clean, noise.clone(), request.timesteps),
            noise,
        ),
    };
    let guidance = (request.guidance_scale, request.guidance);
    let direction = direction(
        prior,
        (noisy, &noise),
        request.timesteps,
        &request.texts,
        request.views,
        guidance,
    );
    let mut weighted = direction * weights;
    if request.clip.is_finite() {
        weighted = weighted.clamp(-request.clip, request.clip);
    }
    weighted / (batch * channels * height * width) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Constant;
    use burn::tensor::Device;
    use dreamfuse_core::Scheduled;
    use dreamfuse_prior::Conditioning;

    const UNBOUND: GuidanceConfig = GuidanceConfig {
        method: Method::Sds,
        threshold: true,
        rescale: 0.0,
        perp_neg: false,
        clip: Scheduled::constant(f64::INFINITY),
        ramp: [0.0, 1.0],
    };

    /// The gradient of two images of the value 0.2 under a prior of the value `known`, beside the formula with `kept` in its place.
    fn assert_formula(known: f32, kept: f64, guidance: &GuidanceConfig) {
        let device = Device::flex();
        let prior = Constant::new(4, known);
        let images = Tensor::<4>::full([2, 3, 4, 4], 0.2, &device);
        let noise = dreamfuse_prior::sampler::normal([2, 3, 4, 4], 1, 0, &device);
        let timesteps = [300, 800];
        let request = SdsRequest {
            timesteps: &timesteps,
            noise,
            texts: ViewConditioning::of(Conditioning::none(), Conditioning::none()),
            views: Views::Unknown,
            guidance_scale: 5.0,
            clip: guidance.clip.start,
            guidance,
        };
        let gradient = score_distillation(&prior, images, request)
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        for (i, t) in timesteps.into_iter().enumerate() {
            // ε̂ − ε = √ᾱ/σ (x − x_0), in the prior's range; here x = −0.6.
            let (alpha, variance) = (
                prior.schedule().alpha_cumprod(t),
                prior.schedule().variance(t),
            );
            let right = variance * (alpha / variance).sqrt() * (-0.6 - kept) * 2.0 / 96.0;
            for value in &gradient[48 * i..48 * (i + 1)] {
                assert!(
                    (f64::from(*value) / right - 1.0).abs() < 1e-3,
                    "{value} for {right} at {t}"
                );
            }
        }
    }

    #[test]
    fn the_gradient_is_the_formula_for_a_prior_that_can_be_solved() {
        assert_formula(0.5, 0.5, &UNBOUND);
    }

    /// All its answers are the same, threshold or not: a prior that knows one image does not hear the text, and its paths are straight.
    #[test]
    fn methods_that_subtract_an_answer_ask_for_nothing_where_all_answers_agree() {
        let device = Device::flex();
        let prior = Constant::new(4, 3.0);
        for method in [Method::Csd, Method::Ism] {
            let request = SdsRequest {
                timesteps: &[300, 800],
                noise: dreamfuse_prior::sampler::normal([2, 3, 4, 4], 1, 0, &device),
                texts: ViewConditioning::of(Conditioning::none(), Conditioning::none()),
                views: Views::Unknown,
                guidance_scale: 5.0,
                clip: f64::INFINITY,
                guidance: &GuidanceConfig {
                    method,
                    ..GuidanceConfig::default()
                },
            };
            let gradient =
                score_distillation(&prior, Tensor::full([2, 3, 4, 4], 0.2, &device), request);
            let largest = gradient.abs().max().into_scalar::<f32>();
            assert!(largest < 1e-6, "{method:?}: {largest}");
        }
    }

    #[test]
    fn an_image_beyond_the_range_is_asked_for_only_without_a_threshold() {
        assert_formula(3.0, 1.0, &UNBOUND);
        assert_formula(
            3.0,
            3.0,
            &GuidanceConfig {
                threshold: false,
                ..UNBOUND
            },
        );
    }
}
