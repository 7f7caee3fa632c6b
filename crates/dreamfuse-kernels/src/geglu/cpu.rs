//! The gated activation on slices, row by row.

use crate::cpu::{exp, vectorized};
use rayon::prelude::*;

/// Numbers of a piece of work.
const PIECE: usize = 1 << 14;

/// Φ and its density at `x`: Φ by the rational approximation 7.1.26 of Abramowitz and Stegun, which is off by at most
/// 1e-7.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let bell = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * x.abs());
    let mut tail = 1.061_405_4;
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        tail = tail * t + c;
    }
    let tail = 0.5 * tail * t * bell;
    let density = bell * (0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2);
    (if x < 0.0 { tail } else { 1.0 - tail }, density)
}

/// `value · gate · Φ(gate)` of rows of `width` values and `width` gates.
pub(super) fn forward(width: usize, input: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; input.len() / 2];
    let rows = (PIECE / width).max(1) * width;
    out.par_chunks_mut(rows)
        .zip(input.par_chunks(2 * rows))
        .for_each(|(out, input)| {
            vectorized(
                #[inline(always)]
                || {
                    for (out, row) in out
                        .chunks_exact_mut(width)
                        .zip(input.chunks_exact(2 * width))
                    {
                        let (values, gates) = row.split_at(width);
                        for ((out, value), gate) in out.iter_mut().zip(values).zip(gates) {
                            *out = value * gate * normal(*gate).0;
                        }
                    }
                },
            );
        });
    out
}

/// The gradient of the input.
pub(super) fn backward(width: usize, grad: &[f32], input: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; input.len()];
    let rows = (PIECE / width).max(1) * width;
    let pieces = out
        .par_chunks_mut(2 * rows)
        .zip(input.par_chunks(2 * rows))
        .zip(grad.par_chunks(rows));
    pieces.for_each(|((out, input), grad)| {
        vectorized(
            #[inline(always)]
            || {
                let rows = out
                    .chunks_exact_mut(2 * width)
                    .zip(input.chunks_exact(2 * width));
                for ((out, row), grad) in rows.zip(grad.chunks_exact(width)) {
                    let (of_values, of_gates) = out.split_at_mut(width);
                    let (values, gates) = row.split_at(width);
                    // One loop that writes both is not vectorized: the compiler cannot tell that they do not overlap.
                    for ((out, gate), grad) in of_values.iter_mut().zip(gates).zip(grad) {
                        *out = grad * gate * normal(*gate).0;
                    }
                    let sides = values.iter().zip(gates).zip(grad);
                    for (out, ((value, gate), grad)) in of_gates.iter_mut().zip(sides) {
                        let (below, density) = normal(*gate);
                        *out = grad * value * (below + gate * density);
                    }
                }
            },
        );
    });
    out
}
