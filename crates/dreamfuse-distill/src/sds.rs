//! Score distillation sampling (Poole et al. 2022, equation 3).

use crate::answers::Answers;
use crate::guidance::{Guidance, GuidanceRequest};
use burn::tensor::Tensor;
use dreamfuse_prior::Prior;

/// `ε̂ − ε`.
pub(crate) struct Sds(pub Answers);

impl Guidance for Sds {
    fn for_share(&self) -> Option<Box<dyn Guidance>> {
        Some(Box::new(Self(self.0)))
    }

    fn direction(
        &mut self,
        prior: &dyn Prior,
        clean: Tensor<4>,
        request: &GuidanceRequest,
    ) -> Tensor<4> {
        let (timesteps, noise) = (request.timesteps, request.noise.clone());
        let noisy = prior.schedule().add_noise(clean, noise.clone(), timesteps);
        let guided = self.0.ask(prior, &noisy, request).guided;
        self.0.thresholded(prior, &noisy, guided, timesteps) - noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::{GuidanceConfig, Method, ViewConditioning, image_gradient};
    use crate::testing::Constant;
    use burn::tensor::Device;
    use dreamfuse_core::Scheduled;
    use dreamfuse_prior::{Conditioning, Views};

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
        let request = GuidanceRequest {
            timesteps: &timesteps,
            noise,
            texts: ViewConditioning::of(Conditioning::none(), Conditioning::none()),
            known: Views::Unknown.into(),
            guidance_scale: 5.0,
            clip: guidance.clip.start,
        };
        let gradient = image_gradient(&mut *guidance.build(), &prior, images, &request)
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
            let request = GuidanceRequest {
                timesteps: &[300, 800],
                noise: dreamfuse_prior::sampler::normal([2, 3, 4, 4], 1, 0, &device),
                texts: ViewConditioning::of(Conditioning::none(), Conditioning::none()),
                known: Views::Unknown.into(),
                guidance_scale: 5.0,
                clip: f64::INFINITY,
            };
            let config = GuidanceConfig {
                method,
                ..GuidanceConfig::default()
            };
            let images = Tensor::full([2, 3, 4, 4], 0.2, &device);
            let gradient = image_gradient(&mut *config.build(), &prior, images, &request);
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
