//! The path of interval score matching (Liang et al. 2023, LucidDreamer; `guidance/sd_utils.py` of its authors). They draw one t
//! for a batch, let the interval shrink to 25, 50 or 80 of 1000, and weight by √((1 − ᾱ)/ᾱ); here all of that is as with the other methods.

use crate::answers::Answers;
use crate::guidance::{Guidance, GuidanceRequest};
use burn::tensor::Tensor;
use dreamfuse_prior::{Batch, Conditioning, Known, Prior};

/// From x_s to x_t, as a part of all timesteps.
const INTERVAL: f64 = 0.05;
/// The longest step on the way from the sample to x_s.
const STRIDE: f64 = 0.2;

/// `ε̂(x_t) − ε̂_empty(x_s)`, for an x_t that DDIM reaches from the image by way of x_s.
pub(crate) struct Ism(pub Answers);

impl Guidance for Ism {
    fn for_share(&self) -> Option<Box<dyn Guidance>> {
        Some(Box::new(Self(self.0)))
    }

    fn direction(
        &mut self,
        prior: &dyn Prior,
        clean: Tensor<4>,
        request: &GuidanceRequest,
    ) -> Tensor<4> {
        let start = (clean, request.noise.clone());
        let (timesteps, empty) = (request.timesteps, &request.texts.empty);
        let (noisy, seen) = inverted(prior, start, timesteps, empty, request.known);
        let guided = self.0.ask(prior, &noisy, request).guided;
        // The noise too is the prior's, and stands for an x̂_0 that may not be where images are.
        let kept = |noise: Tensor<4>| self.0.thresholded(prior, &noisy, noise, timesteps);
        kept(guided) - kept(seen)
    }

    fn evaluations_besides(&self) -> usize {
        ((1.0 - INTERVAL) / STRIDE).ceil() as usize + 1
    }
}

/// x_t of a batch of `clean` samples, and the noise that the prior saw in x_s, a little earlier on the same path: that of
/// DDIM backwards (Song et al. 2021) under the `empty` text, which starts with `noise` of the first timestep.
fn inverted(
    prior: &dyn Prior,
    (clean, noise): (Tensor<4>, Tensor<4>),
    timesteps: &[usize],
    empty: &Conditioning,
    known: Known,
) -> (Tensor<4>, Tensor<4>) {
    let schedule = prior.schedule();
    let steps = |part: f64| (part * schedule.steps() as f64).max(1.0) as usize;
    let ends: Vec<usize> = timesteps
        .iter()
        .map(|t| t.saturating_sub(steps(INTERVAL)))
        .collect();
    // All of the batch take as many strides, so that none waits for the others.
    let strides = ends
        .iter()
        .max()
        .map_or(0, |end| end.div_ceil(steps(STRIDE)));
    let predict =
        |x: &Tensor<4>, at: &[usize]| prior.predict(&Batch::new(x.clone(), at, empty, known));
    let mut at = vec![0; ends.len()];
    let mut x = schedule.add_noise(clean, noise, &at);
    for stride in 1..=strides {
        let next: Vec<usize> = ends.iter().map(|end| end * stride / strides).collect();
        let seen = predict(&x, &at);
        x = schedule.add_noise(schedule.clean_of(x, seen.clone(), &at), seen, &next);
        at = next;
    }
    let seen = predict(&x, &at);
    (
        schedule.add_noise(
            schedule.clean_of(x, seen.clone(), &at),
            seen.clone(),
            timesteps,
        ),
        seen,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use dreamfuse_prior::{NoiseSchedule, PriorSpec, ScheduleConfig, Views};
    use std::sync::Mutex;

    const ANSWERS: Answers = Answers {
        threshold: false,
        rescale: 0.0,
    };

    /// Sees no noise, and remembers when it was asked.
    struct Asked(NoiseSchedule, Mutex<Vec<Vec<usize>>>);

    impl Prior for Asked {
        fn spec(&self) -> PriorSpec {
            PriorSpec::of_images(2)
        }
        fn device(&self) -> Device {
            Device::flex()
        }
        fn schedule(&self) -> &NoiseSchedule {
            &self.0
        }
        fn condition(&self, _: &[String]) -> Result<Conditioning, String> {
            Ok(Conditioning::none())
        }
        fn predict(&self, batch: &Batch) -> Tensor<4> {
            self.1.lock().unwrap().push(batch.timesteps().to_vec());
            batch.samples().zeros_like()
        }
    }

    #[test]
    fn the_path_leads_to_an_interval_before_each_timestep() {
        let asked = |timesteps: &[usize]| {
            let prior = Asked(
                NoiseSchedule::new(ScheduleConfig::cosine_v()),
                Mutex::default(),
            );
            let own = Tensor::zeros([timesteps.len(), 3, 2, 2], &Device::flex());
            inverted(
                &prior,
                (own.clone(), own),
                timesteps,
                &Conditioning::none(),
                Views::Unknown.into(),
            );
            prior.1.into_inner().unwrap()
        };
        assert_eq!(asked(&[30]), [[0]]);
        assert_eq!(
            asked(&[470, 650, 20]),
            [[0, 0, 0], [140, 200, 0], [280, 400, 0], [420, 600, 0]]
        );
        assert_eq!(asked(&[999]).len(), Ism(ANSWERS).evaluations_besides());
    }
}
