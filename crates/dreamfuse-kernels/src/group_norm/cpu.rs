//! Group normalisation on slices: a group of one image is one piece of work.

use crate::cpu::{LANES, sigmoid, statistics, vectorized};
use rayon::prelude::*;

/// What does not change while training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub groups: usize,
    pub epsilon: f32,
    /// Follow by `x · sigmoid(x)`.
    pub silu: bool,
}

/// The numbers of one image and group, from `[channels]` for all images or `[batch, channels]`.
fn of_group(affine: &[f32], channels: usize, s: Settings, group: usize) -> &[f32] {
    let in_group = channels / s.groups;
    let first = if affine.len() == channels {
        group % s.groups
    } else {
        group
    } * in_group;
    &affine[first..first + in_group]
}

pub(super) fn forward(
    [_, channels, height, width]: [usize; 4],
    s: Settings,
    input: &[f32],
    gamma: &[f32],
    beta: &[f32],
) -> Vec<f32> {
    let (area, in_group) = (height * width, channels / s.groups);
    let mut out = vec![0.0; input.len()];
    let groups = out
        .par_chunks_mut(in_group * area)
        .zip(input.par_chunks(in_group * area))
        .enumerate();
    groups.for_each(|(group, (out, input))| {
        let [gamma, beta] = [gamma, beta].map(|affine| of_group(affine, channels, s, group));
        vectorized(
            #[inline(always)]
            || {
                let (mean, scale) = statistics(input, s.epsilon);
                for (c, (out, input)) in out
                    .chunks_exact_mut(area)
                    .zip(input.chunks_exact(area))
                    .enumerate()
                {
                    let (factor, shift) = (scale * gamma[c], beta[c]);
                    for (out, value) in out.iter_mut().zip(input) {
                        let normal = (value - mean) * factor + shift;
                        *out = if s.silu {
                            normal * sigmoid(normal)
                        } else {
                            normal
                        };
                    }
                }
            },
        );
    });
    out
}

/// Gradients of input, gamma and beta. With `x̂` the normalised input and `u` the gradient before the
/// scale, `∂x = (γ u − mean(γ u) − x̂ mean(γ u x̂)) / √(σ² + ε)`.
pub(super) fn backward(
    [batch, channels, height, width]: [usize; 4],
    s: Settings,
    grad: &[f32],
    input: &[f32],
    gamma: &[f32],
    beta: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (area, in_group) = (height * width, channels / s.groups);
    let members = in_group * area;
    let mut out = vec![0.0; input.len()];
    let mut sums = vec![[0.0f32; 2]; batch * channels];
    let groups = out
        .par_chunks_mut(members)
        .zip(sums.par_chunks_mut(in_group));
    let groups = groups
        .zip(grad.par_chunks(members).zip(input.par_chunks(members)))
        .enumerate();
    groups.for_each(|(group, ((out, sums), (grad, input)))| {
        let affine = [gamma, beta].map(|affine| of_group(affine, channels, s, group));
        vectorized(
            #[inline(always)]
            || group_backward(s, area, grad, input, affine, out, sums),
        );
    });
    let (mut of_gamma, mut of_beta) = (vec![0.0; gamma.len()], vec![0.0; gamma.len()]);
    for image in sums.chunks_exact(gamma.len()) {
        for (c, [scaled, plain]) in image.iter().enumerate() {
            of_gamma[c] += scaled;
            of_beta[c] += plain;
        }
    }
    (out, of_gamma, of_beta)
}

#[inline(always)]
fn group_backward(
    s: Settings,
    area: usize,
    grad: &[f32],
    input: &[f32],
    [gamma, beta]: [&[f32]; 2],
    out: &mut [f32],
    sums: &mut [[f32; 2]],
) {
    let (mean, scale) = statistics(input, s.epsilon);
    let (mut mean_u, mut mean_ux) = (0.0, 0.0);
    for (c, sums) in sums.iter_mut().enumerate() {
        let (out, grad, input) = (
            &mut out[c * area..][..area],
            &grad[c * area..][..area],
            &input[c * area..][..area],
        );
        // `out` holds the gradient before the affine part until the means are known.
        for ((out, g), value) in out.iter_mut().zip(grad).zip(input) {
            let normal = (value - mean) * scale * gamma[c] + beta[c];
            let gate = sigmoid(normal);
            *out = if s.silu {
                g * gate * (1.0 + normal * (1.0 - gate))
            } else {
                *g
            };
        }
        let mut lanes = [[0.0f32; LANES]; 2];
        let ((us, u), (values, value)) = (out.as_chunks::<LANES>(), input.as_chunks::<LANES>());
        for (u, value) in us.iter().zip(values) {
            add_to_lanes(&mut lanes, u, value, [mean, scale]);
        }
        add_to_lanes(&mut lanes, u, value, [mean, scale]);
        *sums = lanes.map(|lanes| lanes.iter().sum());
        mean_ux += gamma[c] * sums[0];
        mean_u += gamma[c] * sums[1];
    }
    let count = input.len() as f32;
    (mean_u, mean_ux) = (mean_u / count, mean_ux / count);
    for (c, out) in out.chunks_exact_mut(area).enumerate() {
        for (out, value) in out.iter_mut().zip(&input[c * area..][..area]) {
            let normal = (value - mean) * scale;
            *out = scale * (gamma[c] * *out - mean_u - normal * mean_ux);
        }
    }
}

/// Adds up the gradient times the normalised input, and the gradient. A row of known length becomes vectors.
#[inline(always)]
fn add_to_lanes(
    lanes: &mut [[f32; LANES]; 2],
    grad: &[f32],
    input: &[f32],
    [mean, scale]: [f32; 2],
) {
    let [scaled, plain] = lanes;
    let sums = scaled.iter_mut().zip(plain);
    for ((u, value), (scaled, plain)) in grad.iter().zip(input).zip(sums) {
        *scaled += u * (value - mean) * scale;
        *plain += u;
    }
}
