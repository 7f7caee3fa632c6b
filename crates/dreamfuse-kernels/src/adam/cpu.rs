//! Adam's step on slices, in one pass.

use super::{Adam, Corrections};
use crate::cpu::{LANES, vectorized};
use rayon::prelude::*;

/// Numbers of a piece of work.
pub(super) const CHUNK: usize = 1 << 14;

/// Steps values and moments. `SPARSE` leaves numbers whose gradient is zero alone, and does not even read the rest of a
/// row of `LANES` whose gradients all are.
pub(super) fn step<const SPARSE: bool>(
    adam: &Adam,
    at: Corrections,
    scale: f32,
    values: &mut [f32],
    grad: &[f32],
    [first, second]: [&mut [f32]; 2],
) {
    assert!(
        values.len() == grad.len() && first.len() == grad.len() && second.len() == grad.len(),
        "lengths differ"
    );
    let chunks = values.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK));
    let chunks = chunks
        .zip(first.par_chunks_mut(CHUNK))
        .zip(second.par_chunks_mut(CHUNK));
    chunks.for_each(|(((values, grad), first), second)| {
        vectorized(
            #[inline(always)]
            || {
                let rows = values.chunks_mut(LANES).zip(grad.chunks(LANES));
                let moments = first.chunks_mut(LANES).zip(second.chunks_mut(LANES));
                for ((values, grad), (first, second)) in rows.zip(moments) {
                    if !SPARSE || grad.iter().any(|g| *g != 0.0) {
                        step_row::<SPARSE>(adam, at, scale, values, grad, [first, second]);
                    }
                }
            },
        );
    });
}

#[inline(always)]
fn step_row<const SPARSE: bool>(
    adam: &Adam,
    at: Corrections,
    scale: f32,
    values: &mut [f32],
    grad: &[f32],
    [first, second]: [&mut [f32]; 2],
) {
    let Adam {
        beta1,
        beta2,
        epsilon,
        weight_decay,
    } = *adam;
    for (((value, g), m), v) in values.iter_mut().zip(grad).zip(first).zip(second) {
        let is_touched = !SPARSE || *g != 0.0;
        let g = scale * g;
        let new_m = beta1 * *m + (1.0 - beta1) * g;
        let new_v = beta2 * *v + (1.0 - beta2) * g * g;
        let update = new_m * at.first / ((new_v * at.second).sqrt() + epsilon);
        let new_value = *value - at.rate * (update + weight_decay * *value);
        *m = if is_touched { new_m } else { *m };
        *v = if is_touched { new_v } else { *v };
        *value = if is_touched { new_value } else { *value };
    }
}
