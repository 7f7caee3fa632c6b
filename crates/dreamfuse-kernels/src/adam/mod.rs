//! Adam with decoupled weight decay, fused into one pass over the parameters.

pub mod reference;

use crate::cpu::vectorized;
use rayon::prelude::*;

/// Hyper-parameters (Kingma & Ba 2015; Loshchilov & Hutter 2019 for the decay).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    pub beta1: f32,
    pub beta2: f32,
    /// 1e-15 for hash tables (instant-ngp): larger ones drown their small gradients.
    pub epsilon: f32,
    pub weight_decay: f32,
}

/// First and second moments of a parameter's gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl Moments {
    /// Moments of `count` numbers before the first step.
    pub fn zeros(count: usize) -> Self {
        Self { first: vec![0.0; count], second: vec![0.0; count] }
    }
}

const CHUNK: usize = 1 << 14;

impl Adam {
    /// One step: `step` counts from 1, and `scale` multiplies the gradient first (clipping).
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn step(&self, step: u64, rate: f32, scale: f32, values: &mut [f32], grad: &[f32], moments: &mut Moments) {
        let Moments { first, second } = moments;
        assert!(
            values.len() == grad.len() && first.len() == grad.len() && second.len() == grad.len(),
            "lengths differ"
        );
        let steps = step as f64;
        let correct1 = (1.0 / (1.0 - f64::from(self.beta1).powf(steps))) as f32;
        let correct2 = (1.0 / (1.0 - f64::from(self.beta2).powf(steps))) as f32;
        let Self { beta1, beta2, epsilon, weight_decay } = *self;
        let chunks = values.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK));
        let chunks = chunks.zip(first.par_chunks_mut(CHUNK)).zip(second.par_chunks_mut(CHUNK));
        chunks.for_each(|(((values, grad), first), second)| {
            vectorized(
                #[inline(always)]
                || {
                    for (((value, g), m), v) in values.iter_mut().zip(grad).zip(first).zip(second) {
                        let g = scale * g;
                        *m = beta1 * *m + (1.0 - beta1) * g;
                        *v = beta2 * *v + (1.0 - beta2) * g * g;
                        let update = *m * correct1 / ((*v * correct2).sqrt() + epsilon);
                        *value -= rate * (update + weight_decay * *value);
                    }
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, narrow, numbers};

    const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.01 };

    /// The values after a step of rate 0.1 for each list of gradients.
    fn stepped(mut values: Vec<f32>, scale: f32, grads: &[Vec<f32>]) -> Vec<f64> {
        let mut moments = Moments::zeros(values.len());
        for (i, grad) in grads.iter().enumerate() {
            ADAM.step(i as u64 + 1, 0.1, scale, &mut values, grad, &mut moments);
        }
        values.into_iter().map(f64::from).collect()
    }

    #[test]
    fn steps_agree_with_the_reference() {
        let count = 2 * CHUNK + 5; // the last chunk is cut short
        let start = numbers(1, count);
        let grads: Vec<_> = (2..5).map(|seed| numbers(seed, count)).collect();
        let ours = stepped(narrow(&start), 0.5, &grads.iter().map(|grad| narrow(grad)).collect::<Vec<_>>());
        let of = |i: usize| grads.iter().map(|grad| 0.5 * grad[i]).collect::<Vec<_>>();
        let right: Vec<_> = start.iter().enumerate().map(|(i, v)| reference::after(&ADAM, 0.1, *v, &of(i))).collect();
        assert_close("values", &ours, &right);
    }

    #[test]
    fn three_steps_agree_with_pytorch() {
        // torch.optim.AdamW([1., -2.], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01) on the
        // gradients [0.5, -1], [0.1, 0.2], [-0.3, 0.4].
        let ours = stepped(vec![1.0, -2.0], 1.0, &[vec![0.5, -1.0], vec![0.1, 0.2], vec![-0.3, 0.4]]);
        for (ours, right) in ours.iter().zip([0.795_696_1, -1.829_580_9]) {
            assert!((ours - right).abs() < 2e-6, "{ours} for {right}");
        }
    }
}
