//! Devices and bars for the tests of kernels.

pub use crate::compare::*;
use burn::tensor::{Device, Tensor, TensorData};
use std::cell::RefCell;

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
