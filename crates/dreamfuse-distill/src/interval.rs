//! The path of interval score matching (Liang et al. 2023, LucidDreamer; `guidance/sd_utils.py` of its authors). They draw one t
//! for a batch, let the interval shrink to 25, 50 or 80 of 1000, and weight by √((1 − ᾱ)/ᾱ); here all of that is as with the other methods.

use burn::tensor::Tensor;
use dreamfuse_core::Camera;
use dreamfuse_diffusion::{FrozenPrior, ReadText};

/// From x_s to x_t, as a part of all timesteps.
const INTERVAL: f64 = 0.05;
/// The longest step on the way from the sample to x_s.
const STRIDE: f64 = 0.2;

/// x_t of a batch of clean `own` samples, and the noise that the prior saw in x_s, a little earlier on the same path: that of
/// DDIM backwards (Song et al. 2021) under the `empty` text, which starts with `noise` of the first timestep.
pub(crate) fn inverted(
    prior: &dyn FrozenPrior,
    (own, noise): (Tensor<4>, Tensor<4>),
    timesteps: &[usize],
    empty: &ReadText,
    cameras: Option<&[Camera]>,
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
    let mut at = vec![0; ends.len()];
    let mut x = schedule.add_noise(own, noise, &at);
    for stride in 1..=strides {
        let next: Vec<usize> = ends.iter().map(|end| end * stride / strides).collect();
        let seen = prior.noise(x.clone(), &at, empty.clone(), cameras);
        x = schedule.add_noise(schedule.clean_of(x, seen.clone(), &at), seen, &next);
        at = next;
    }
    let seen = prior.noise(x.clone(), &at, empty.clone(), cameras);
    (
        schedule.add_noise(
            schedule.clean_of(x, seen.clone(), &at),
            seen.clone(),
            timesteps,
        ),
        seen,
    )
}

/// Evaluations of one text that [`inverted`] asks for at most, for each picture of the batch.
pub(crate) fn most_evaluations() -> usize {
    ((1.0 - INTERVAL) / STRIDE).ceil() as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use dreamfuse_diffusion::{NoiseSchedule, ScheduleConfig};
    use std::cell::RefCell;

    /// Sees no noise, and remembers when it was asked.
    struct Asked(NoiseSchedule, RefCell<Vec<Vec<usize>>>);

    impl FrozenPrior for Asked {
        fn device(&self) -> Device {
            Device::flex()
        }

        fn resolution(&self) -> usize {
            2
        }
        fn schedule(&self) -> &NoiseSchedule {
            &self.0
        }
        fn encode(&self, _: &[String]) -> Result<ReadText, String> {
            Ok(ReadText::none())
        }
        fn noise(
            &self,
            noisy: Tensor<4>,
            timesteps: &[usize],
            _: ReadText,
            _: Option<&[Camera]>,
        ) -> Tensor<4> {
            self.1.borrow_mut().push(timesteps.to_vec());
            noisy.zeros_like()
        }
    }

    #[test]
    fn the_path_leads_to_an_interval_before_each_timestep() {
        let asked = |timesteps: &[usize]| {
            let prior = Asked(
                NoiseSchedule::new(ScheduleConfig::cosine_v()),
                RefCell::default(),
            );
            let own = Tensor::zeros([timesteps.len(), 3, 2, 2], &Device::flex());
            inverted(
                &prior,
                (own.clone(), own),
                timesteps,
                &ReadText::none(),
                None,
            );
            prior.1.into_inner()
        };
        assert_eq!(asked(&[30]), [[0]]);
        assert_eq!(
            asked(&[470, 650, 20]),
            [[0, 0, 0], [140, 200, 0], [280, 400, 0], [420, 600, 0]]
        );
        assert_eq!(asked(&[999]).len(), most_evaluations());
    }
}
