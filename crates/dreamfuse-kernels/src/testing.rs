//! Comparisons for the tests of kernels: as vectors, not element by element.

use burn::tensor::{Device, Tensor, TensorData};
use std::cell::RefCell;

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

thread_local! {
    static DEVICE: RefCell<Device> = RefCell::new(Device::flex());
}

/// Runs a test on the CPU, then on a GPU where the feature `wgpu` is on.
pub fn on_each_device(test: impl Fn()) {
    test();
    #[cfg(feature = "wgpu")]
    {
        DEVICE.set(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice));
        test();
        // A process that ends while a software driver still works may crash in it.
        DEVICE
            .with_borrow(|device| device.sync())
            .expect("the device has done its work");
        DEVICE.set(Device::flex());
    }
}

/// The device of the test at hand, with gradients.
pub fn device() -> Device {
    DEVICE.with_borrow(Clone::clone).autodiff()
}

/// A tensor that gradients are tracked for.
pub fn tracked<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(narrow(values), shape), &device()).require_grad()
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

/// Cosine of the angle between two vectors.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-300)
}

/// Asserts the bar of every kernel: relative L2 error ≤ 1e-3 and cosine ≥ 0.999999.
pub fn assert_close(what: &str, ours: &[f64], right: &[f64]) {
    assert!(
        right.iter().any(|v| *v != 0.0),
        "{what}: the reference is all zeros, so the test shows nothing"
    );
    let (error, cosine) = (relative_error(ours, right), cosine(ours, right));
    assert!(
        error <= 1e-3 && cosine >= 0.999_999,
        "{what}: relative error {error:.2e}, cosine {cosine:.8}"
    );
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

#[test]
fn the_comparisons_tell_right_from_wrong() {
    let right = numbers(1, 100);
    assert_close("same", &right, &right);
    let mut wrong = right.clone();
    wrong[3] += 0.05;
    assert!(std::panic::catch_unwind(|| assert_close("wrong", &wrong, &right)).is_err());
    let slope = central_differences(&[2.0, 3.0], 1e-5, |x| x[0] * x[0] * x[1]);
    assert!(relative_error(&slope, &[12.0, 4.0]) < 1e-8);
}
