//! Interval score matching's noise (Liang et al. 2023, LucidDreamer; equations 13 to 17).

use burn::tensor::Tensor;
use dreamfuse_core::Camera;
use dreamfuse_diffusion::{FrozenPrior, ReadText};

/// From x_s to x_t, as a part of all timesteps (δ_T; 50 of 1000 in the authors' runs).
const INTERVAL: f64 = 0.05;
/// The longest step on the way from the sample to x_s (δ_S; 200 of 1000).
const STRIDE: f64 = 0.2;

/// x_t of a batch of clean `own` samples, and the noise that the prior saw in x_s, a little earlier on the same path: the path of DDIM
/// backwards (Song et al. 2021) under `text`, which starts with `noise` of the first timestep. One evaluation for each stride, all of the batch in each: who has
/// arrived waits.
pub(crate) fn inverted(
    prior: &dyn FrozenPrior,
    (own, noise): (Tensor<4>, Tensor<4>),
    timesteps: &[usize],
    text: &ReadText,
    cameras: Option<&[Camera]>,
) -> (Tensor<4>, Tensor<4>) {
    let schedule = prior.schedule();
    let steps = |part: f64| ((part * schedule.steps() as f64) as usize).max(1);
    let before: Vec<usize> = timesteps.iter().map(|t| t.saturating_sub(steps(INTERVAL))).collect();
    let mut at = vec![0; timesteps.len()];
    let mut x = schedule.add_noise(own, noise, &at);
    loop {
        let seen = prior.noise(x.clone(), &at, text.clone(), cameras);
        let arrived = at == before;
        let next = match arrived {
            true => timesteps.to_vec(),
            false => at.iter().zip(&before).map(|(at, end)| (at + steps(STRIDE)).min(*end)).collect(),
        };
        x = schedule.add_noise(schedule.clean_of(x, seen.clone(), &at), seen.clone(), &next);
        if arrived {
            return (x, seen);
        }
        at = next;
    }
}

/// Evaluations that [`inverted`] asks for at most, for each picture of the batch.
pub(crate) fn most_evaluations() -> usize {
    ((1.0 - INTERVAL) / STRIDE).ceil() as usize + 1
}
