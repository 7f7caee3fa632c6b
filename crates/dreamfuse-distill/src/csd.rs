//! Classifier score distillation (Yu et al. 2023).

use crate::answers::{Answers, Guided};
use crate::guidance::{Guidance, GuidanceRequest};
use burn::tensor::Tensor;
use dreamfuse_prior::Prior;

/// `ε̂ − ε̂_uncond`, from one evaluation.
pub(crate) struct Csd(pub Answers);

impl Guidance for Csd {
    fn for_share(&self) -> Option<Box<dyn Guidance>> {
        Some(Box::new(Self(self.0)))
    }

    fn direction(
        &mut self,
        prior: &dyn Prior,
        clean: Tensor<4>,
        request: &GuidanceRequest,
    ) -> Tensor<4> {
        let noise = request.noise.clone();
        let noisy = prior.schedule().add_noise(clean, noise, request.timesteps);
        let Guided {
            guided,
            unconditional,
        } = self.0.ask(prior, &noisy, request);
        guided - unconditional
    }
}
