//! Alpha compositing on slices. A ray that has become opaque is left early.

use crate::cpu::{SharedMut, exp};
use rayon::prelude::*;

/// What passes through when a ray is taken for opaque.
const OPAQUE: f32 = 1e-4;
/// Rays of a piece of work.
const RAYS: usize = 256;

/// The transmittance of a sample.
#[inline(always)]
fn pass(density: f32, step: f32) -> f32 {
    exp(-density * step)
}

pub(super) fn forward(density: &[f32], features: &[f32], channels: usize, starts: &[usize], step: f32) -> Vec<f32> {
    let columns = channels + 1;
    let mut out = vec![0.0; (starts.len() - 1) * columns];
    out.par_chunks_mut(RAYS * columns).enumerate().for_each(|(part, out)| {
        for (ray, row) in out.chunks_exact_mut(columns).enumerate() {
            let ray = part * RAYS + ray;
            let mut through = 1.0;
            for n in starts[ray]..starts[ray + 1] {
                let passed = pass(density[n], step);
                let weight = through * (1.0 - passed);
                row.iter_mut().zip(&features[n * channels..][..channels]).for_each(|(sum, f)| *sum += weight * f);
                row[channels] += weight;
                through *= passed;
                if through < OPAQUE {
                    break;
                }
            }
        }
    });
    out
}

/// With `g(n) = ∂L/∂row · (features(n), 1)`, the gradient of a sample's density is
/// `step · (T(n+1) g(n) − Σ_{m>n} w(m) g(m))`, where `T(n+1)` passes the sample.
pub(super) fn backward(
    grad: &[f32],
    density: &[f32],
    features: &[f32],
    channels: usize,
    starts: &[usize],
    step: f32,
) -> (Vec<f32>, Vec<f32>) {
    let (mut of_density, mut of_features) = (vec![0.0; density.len()], vec![0.0; features.len()]);
    let (shared_density, shared_features) = (SharedMut::new(&mut of_density), SharedMut::new(&mut of_features));
    (0..starts.len() - 1).into_par_iter().with_min_len(RAYS).for_each(|ray| {
        let samples = starts[ray]..starts[ray + 1];
        // SAFETY: rays own the gradients of their own samples.
        let (of_density, of_features) = unsafe {
            (
                shared_density.part(samples.start, samples.len()),
                shared_features.part(samples.start * channels, samples.len() * channels),
            )
        };
        let grad = &grad[ray * (channels + 1)..][..channels + 1];
        let value = |n: usize| -> f32 {
            let of_color: f32 = features[n * channels..][..channels].iter().zip(grad).map(|(f, g)| f * g).sum();
            of_color + grad[channels]
        };
        // Forth for the weights, then back for what lies behind.
        let (mut through, mut used) = (1.0, 0);
        for (i, n) in samples.clone().enumerate() {
            let passed = pass(density[n], step);
            let weight = through * (1.0 - passed);
            of_features[i * channels..][..channels].iter_mut().zip(grad).for_each(|(out, g)| *out = weight * g);
            through *= passed;
            of_density[i] = through;
            used = i + 1;
            if through < OPAQUE {
                break;
            }
        }
        let mut behind = 0.0;
        for i in (0..used).rev() {
            let after = of_density[i];
            let before = if i == 0 { 1.0 } else { of_density[i - 1] };
            let value = value(samples.start + i);
            of_density[i] = step * (after * value - behind);
            behind += (before - after) * value;
        }
    });
    (of_density, of_features)
}
