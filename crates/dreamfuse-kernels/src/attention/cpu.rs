//! Attention on slices, some queries at a time, so that their scores stay in the cache; the way back works the
//! scores out again instead of keeping them (Dao et al. 2022, FlashAttention, without the running maximum).

use super::Shape;
use crate::cpu::{Matrix, exp, maximum, multiply, sum, vectorized};
use rayon::prelude::*;

/// Queries of a piece of work: fixed, so that the order of additions does not depend on the threads.
const QUERIES: usize = 64;

/// A key below this share of the winner's weight has none. A sum over keys loses it in f32 anyway. Products of small
/// weights and small gradients would be subnormal, which slows a processor down many times over.
const NO_WEIGHT: f32 = 1e-15;

impl Shape {
    /// Numbers of one head.
    fn size(&self) -> usize {
        self.width / self.heads
    }

    /// One head's columns of `rows` tokens, from where the head begins.
    fn head(&self, rows: usize) -> Matrix {
        Matrix::rows(rows, self.size(), self.width)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.size() as f32).sqrt()
    }
}

pub(super) fn forward(shape: Shape, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
    let Shape {
        queries,
        keys,
        width,
        heads,
        ..
    } = shape;
    let mut out = vec![0.0; q.len()];
    let images = out
        .par_chunks_mut(queries * width)
        .zip(q.par_chunks(queries * width));
    images
        .zip(k.par_chunks(keys * width).zip(v.par_chunks(keys * width)))
        .for_each(|((out, q), (k, v))| {
            let pieces = out
                .par_chunks_mut(QUERIES * width)
                .zip(q.par_chunks(QUERIES * width));
            pieces.for_each(|(out, q)| {
                let rows = q.len() / width;
                let mut weights = vec![0.0; rows * keys];
                for start in (0..heads).map(|head| head * shape.size()) {
                    attend(shape, &q[start..], &k[start..], &mut weights);
                    let mixed = (&weights[..], Matrix::rows(rows, keys, keys));
                    multiply(
                        &mut out[start..],
                        shape.head(rows),
                        mixed,
                        (&v[start..], shape.head(keys)),
                        false,
                    );
                }
            });
        });
    out
}

/// The weights `softmax(Q Kᵀ / √d)` of one head, a row for each query.
fn attend(shape: Shape, q: &[f32], k: &[f32], weights: &mut [f32]) {
    let (keys, scale) = (shape.keys, shape.scale());
    let rows = weights.len() / keys;
    let keys_transposed = shape.head(keys).transposed();
    multiply(
        weights,
        Matrix::rows(rows, keys, keys),
        (q, shape.head(rows)),
        (k, keys_transposed),
        false,
    );
    vectorized(
        #[inline(always)]
        || {
            for row in weights.chunks_exact_mut(keys) {
                let highest = maximum(row);
                for weight in &mut *row {
                    let relative = exp((*weight - highest) * scale);
                    *weight = if relative < NO_WEIGHT { 0.0 } else { relative };
                }
                let total = 1.0 / sum(row, |weight| weight);
                row.iter_mut().for_each(|weight| *weight *= total);
            }
        },
    );
}

/// Gradients of queries, keys and values.
pub(super) fn backward(shape: Shape, grad: &[f32], [q, k, v]: [&[f32]; 3]) -> [Vec<f32>; 3] {
    let (per_query, per_key) = (shape.queries * shape.width, shape.keys * shape.width);
    let mut grads = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    let [of_q, of_k, of_v] = &mut grads;
    let out = of_q
        .par_chunks_mut(per_query)
        .zip(of_k.par_chunks_mut(per_key))
        .zip(of_v.par_chunks_mut(per_key));
    let own = q.par_chunks(per_query).zip(grad.par_chunks(per_query));
    let context = k.par_chunks(per_key).zip(v.par_chunks(per_key));
    out.zip(own.zip(context))
        .for_each(|(((of_q, of_k), of_v), ((q, grad), (k, v)))| {
            let piece = QUERIES * shape.width;
            for ((of_q, q), grad) in of_q
                .chunks_mut(piece)
                .zip(q.chunks(piece))
                .zip(grad.chunks(piece))
            {
                piece_backward(shape, grad, [q, k, v], [of_q, of_k, of_v]);
            }
        });
    grads
}

/// The part of the gradients that comes from some queries of one image. With the weights `P` and the gradient `U`,
/// `∂V = Pᵀ U`, `∂P = U Vᵀ`, `∂S = P (∂P − Σ P ∂P) / √d`, `∂Q = ∂S K`, `∂K = ∂Sᵀ Q`.
fn piece_backward(
    shape: Shape,
    grad: &[f32],
    [q, k, v]: [&[f32]; 3],
    [of_q, of_k, of_v]: [&mut [f32]; 3],
) {
    let keys = shape.keys;
    let rows = q.len() / shape.width;
    let (own, context, square) = (
        shape.head(rows),
        shape.head(keys),
        Matrix::rows(rows, keys, keys),
    );
    let (mut weights, mut of_weights) = (vec![0.0; rows * keys], vec![0.0; rows * keys]);
    for start in (0..shape.heads).map(|head| head * shape.size()) {
        let [q, k, v, grad] = [q, k, v, grad].map(|tokens| &tokens[start..]);
        attend(shape, q, k, &mut weights);
        multiply(
            &mut of_v[start..],
            context,
            (&weights, square.transposed()),
            (grad, own),
            true,
        );
        multiply(
            &mut of_weights,
            square,
            (grad, own),
            (v, context.transposed()),
            false,
        );
        scores_backward(keys, shape.scale(), &weights, &mut of_weights);
        multiply(
            &mut of_q[start..],
            own,
            (&of_weights, square),
            (k, context),
            false,
        );
        multiply(
            &mut of_k[start..],
            context,
            (&of_weights, square.transposed()),
            (q, own),
            true,
        );
    }
}

/// Turns the gradient of each row's weights into that of its scores.
fn scores_backward(keys: usize, scale: f32, weights: &[f32], grads: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (row, grads) in weights.chunks_exact(keys).zip(grads.chunks_exact_mut(keys)) {
                grads
                    .iter_mut()
                    .zip(row)
                    .for_each(|(grad, weight)| *grad *= weight);
                let mean = sum(grads, |grad| grad);
                grads
                    .iter_mut()
                    .zip(row)
                    .for_each(|(grad, weight)| *grad = scale * (*grad - mean * weight));
            }
        },
    );
}
