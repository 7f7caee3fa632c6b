//! Numbers to compute with, and what is compared afterwards: whole vectors, not element by element.

use burn::tensor::Tensor;

/// Numbers in `[−1, 1)` that look random and repeat (a multiplicative hash of the index).
pub fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let hash =
        |i: u64| (i.wrapping_add(seed << 32).wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mix = |x: u64| (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (0..count as u64)
        .map(|i| (mix(mix(hash(i))) >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
        .collect()
}

/// The numbers rounded to f32.
pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// The elements of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor
        .into_data()
        .try_to_vec::<f32>()
        .expect("f32")
        .into_iter()
        .map(f64::from)
        .collect()
}

/// Relative L2 error of `ours` against `right`.
pub fn relative_error(ours: &[f64], right: &[f64]) -> f64 {
    assert_eq!(ours.len(), right.len(), "lengths differ");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut ours.iter().zip(right).map(|(a, b)| a - b))
        / norm(&mut right.iter().copied()).max(1e-30)
}

/// The gradient of `loss` at `at` by central differences, for tests in f64.
pub fn central_differences(at: &[f64], step: f64, mut loss: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    let mut point = at.to_vec();
    let mut slope = |i: usize| {
        let middle = point[i];
        point[i] = middle + step;
        let above = loss(&point);
        point[i] = middle - step;
        let below = loss(&point);
        point[i] = middle;
        (above - below) / (2.0 * step)
    };
    (0..at.len()).map(&mut slope).collect()
}

/// `Σ a b`: the loss of gradient tests; a weighted sum sees every element by itself.
pub fn weighted_sum(values: &[f64], weights: &[f64]) -> f64 {
    values.iter().zip(weights).map(|(v, w)| v * w).sum()
}
