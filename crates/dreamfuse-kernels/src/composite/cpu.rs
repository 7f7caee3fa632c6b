//! Alpha compositing on slices. A ray that has become opaque is left early.

use super::{OPAQUE, Settings};
use crate::cpu::{SharedMut, exp};
use rayon::prelude::*;

/// Rays of a piece of work.
const RAYS: usize = 256;

/// The transmittance of a sample.
#[inline(always)]
fn pass(density: f32, step: f32) -> f32 {
    exp(-density * step)
}

pub(super) fn forward(
    samples: &[f32],
    distances: &[f32],
    columns: usize,
    starts: &[usize],
    Settings { step, .. }: Settings,
) -> Vec<f32> {
    let mut out = vec![0.0; (starts.len() - 1) * (columns + 1)];
    out.par_chunks_mut(RAYS * (columns + 1))
        .enumerate()
        .for_each(|(part, out)| {
            for (ray, row) in out.chunks_exact_mut(columns + 1).enumerate() {
                let ray = part * RAYS + ray;
                let mut through = 1.0;
                for n in starts[ray]..starts[ray + 1] {
                    let sample = &samples[n * columns..][..columns];
                    let passed = pass(sample[0], step);
                    let weight = through * (1.0 - passed);
                    row.iter_mut()
                        .zip(&sample[1..])
                        .for_each(|(sum, feature)| *sum += weight * feature);
                    row[columns - 1] += weight * distances[n];
                    row[columns] += weight;
                    through *= passed;
                    if through < OPAQUE {
                        break;
                    }
                }
            }
        });
    out
}

/// With `g(n) = ∂L/∂row · (features(n), distance(n), 1)`, the gradient of a sample's density is
/// `step · (T(n+1) g(n) − Σ_{m>n} w(m) g(m))`, where `T(n+1)` passes the sample.
pub(super) fn backward(
    grad: &[f32],
    samples: &[f32],
    distances: &[f32],
    columns: usize,
    starts: &[usize],
    Settings { step, detached }: Settings,
) -> Vec<f32> {
    let mut out = vec![0.0; samples.len()];
    let shared = SharedMut::new(&mut out);
    (0..starts.len() - 1)
        .into_par_iter()
        .with_min_len(RAYS)
        .for_each(|ray| {
            let range = starts[ray]..starts[ray + 1];
            // SAFETY: rays own the gradients of their own samples.
            let out = unsafe { shared.part(range.start * columns, range.len() * columns) };
            let grad = &grad[ray * (columns + 1)..][..columns + 1];
            let sample = |i: usize| &samples[(range.start + i) * columns..][..columns];
            let value = |i: usize| -> f32 {
                let seen = &sample(i)[1..columns - detached];
                let of_features: f32 = seen.iter().zip(grad).map(|(feature, g)| feature * g).sum();
                of_features + distances[range.start + i] * grad[columns - 1] + grad[columns]
            };
            // Forth for the weights, then back for what lies behind.
            let (mut through, mut used) = (1.0, 0);
            for (i, row) in out.chunks_exact_mut(columns).enumerate() {
                let passed = pass(sample(i)[0], step);
                let weight = through * (1.0 - passed);
                row[1..]
                    .iter_mut()
                    .zip(grad)
                    .for_each(|(out, g)| *out = weight * g);
                through *= passed;
                row[0] = through;
                used = i + 1;
                if through < OPAQUE {
                    break;
                }
            }
            let mut behind = 0.0;
            for i in (0..used).rev() {
                let after = out[i * columns];
                let before = if i == 0 { 1.0 } else { out[(i - 1) * columns] };
                let value = value(i);
                out[i * columns] = step * (after * value - behind);
                behind += (before - after) * value;
            }
        });
    out
}
