//! Attention by its definition, in f64.

use super::Shape;

/// `softmax(Q Kᵀ / √d) V` for each head of each image.
pub fn forward(shape: Shape, q: &[f64], k: &[f64], v: &[f64]) -> Vec<f64> {
    let Shape {
        batch,
        queries,
        keys,
        width,
        heads,
    } = shape;
    let size = width / heads;
    let mut out = vec![0.0; q.len()];
    for (image, head) in (0..batch).flat_map(|image| (0..heads).map(move |head| (image, head))) {
        let of_query = |i: usize, c: usize| (image * queries + i) * width + head * size + c;
        let of_key = |j: usize, c: usize| (image * keys + j) * width + head * size + c;
        for i in 0..queries {
            let score = |j: usize| {
                (0..size)
                    .map(|c| q[of_query(i, c)] * k[of_key(j, c)])
                    .sum::<f64>()
            };
            let weights: Vec<_> = (0..keys)
                .map(|j| (score(j) / (size as f64).sqrt()).exp())
                .collect();
            let total: f64 = weights.iter().sum();
            for c in 0..size {
                let mixed: f64 = weights
                    .iter()
                    .enumerate()
                    .map(|(j, weight)| weight * v[of_key(j, c)])
                    .sum();
                out[of_query(i, c)] = mixed / total;
            }
        }
    }
    out
}
