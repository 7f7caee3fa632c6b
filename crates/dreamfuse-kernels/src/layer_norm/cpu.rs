//! Layer normalisation on slices: some rows are one piece of work.

use crate::cpu::{statistics, sum, vectorized};
use rayon::prelude::*;

/// Rows of a piece of work: fixed, so that the order of additions does not depend on the threads.
const ROWS: usize = 32;

pub(super) fn forward(epsilon: f32, input: &[f32], gamma: &[f32], beta: &[f32]) -> Vec<f32> {
    let width = gamma.len();
    let mut out = vec![0.0; input.len()];
    out.par_chunks_mut(ROWS * width)
        .zip(input.par_chunks(ROWS * width))
        .for_each(|(out, input)| {
            vectorized(
                #[inline(always)]
                || {
                    for (out, row) in out.chunks_exact_mut(width).zip(input.chunks_exact(width)) {
                        let (mean, scale) = statistics(row, epsilon);
                        for ((out, value), (gamma, beta)) in
                            out.iter_mut().zip(row).zip(gamma.iter().zip(beta))
                        {
                            *out = (value - mean) * scale * gamma + beta;
                        }
                    }
                },
            );
        });
    out
}

/// Gradients of input, gamma and beta. With `x̂` the normalised row and `u` the gradient,
/// `∂x = (γ u − mean(γ u) − x̂ mean(γ u x̂)) / √(σ² + ε)`.
pub(super) fn backward(
    epsilon: f32,
    grad: &[f32],
    input: &[f32],
    gamma: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = gamma.len();
    let mut out = vec![0.0; input.len()];
    let mut sums = vec![0.0; input.len().div_ceil(ROWS * width) * 2 * width];
    let pieces = out
        .par_chunks_mut(ROWS * width)
        .zip(input.par_chunks(ROWS * width))
        .zip(grad.par_chunks(ROWS * width));
    pieces
        .zip(sums.par_chunks_mut(2 * width))
        .for_each(|(((out, input), grad), sums)| {
            vectorized(
                #[inline(always)]
                || {
                    let (of_gamma, of_beta) = sums.split_at_mut(width);
                    let rows = input.chunks_exact(width).zip(grad.chunks_exact(width));
                    for (out, row) in out.chunks_exact_mut(width).zip(rows) {
                        row_backward(epsilon, row, gamma, out, (of_gamma, of_beta));
                    }
                },
            );
        });
    let (mut of_gamma, mut of_beta) = (vec![0.0; width], vec![0.0; width]);
    for sums in sums.chunks_exact(2 * width) {
        let (gammas, betas) = sums.split_at(width);
        of_gamma
            .iter_mut()
            .zip(gammas)
            .for_each(|(total, part)| *total += part);
        of_beta
            .iter_mut()
            .zip(betas)
            .for_each(|(total, part)| *total += part);
    }
    (out, of_gamma, of_beta)
}

#[inline(always)]
fn row_backward(
    epsilon: f32,
    (row, grad): (&[f32], &[f32]),
    gamma: &[f32],
    out: &mut [f32],
    (of_gamma, of_beta): (&mut [f32], &mut [f32]),
) {
    let (mean, scale) = statistics(row, epsilon);
    // `out` holds the products whose means are taken until they are known.
    for ((out, value), (u, gamma)) in out.iter_mut().zip(row).zip(grad.iter().zip(gamma)) {
        *out = u * gamma * (value - mean) * scale;
    }
    let mean_ux = sum(out, |v| v) / row.len() as f32;
    for (out, (u, gamma)) in out.iter_mut().zip(grad.iter().zip(gamma)) {
        *out = u * gamma;
    }
    let mean_u = sum(out, |v| v) / row.len() as f32;
    let sums = of_gamma.iter_mut().zip(of_beta);
    for (((out, value), u), (of_gamma, of_beta)) in out.iter_mut().zip(row).zip(grad).zip(sums) {
        let normal = (value - mean) * scale;
        *of_gamma += u * normal;
        *of_beta += u;
        *out = scale * (*out - mean_u - normal * mean_ux);
    }
}
