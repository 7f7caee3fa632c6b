//! Resizing, both ways.

use burn::tensor::{Device, Tensor, TensorData};

/// Resizes square images as PyTorch's `interpolate(mode="bilinear", align_corners=False)` does: rows and columns are
/// each multiplied with one matrix, so the way back is with its transpose.
pub(crate) struct Resize {
    /// `[to, from]`.
    matrix: Tensor<2>,
}

/// The slope of the cubic convolution of PyTorch's and OpenCV's resizing (Keys 1981 has −0.5).
const SLOPE: f64 = -0.75;

impl Resize {
    /// As `interpolate(mode="bicubic", align_corners=True)`: the corners of both images are the same.
    pub(crate) fn bicubic(from: usize, to: usize, device: &Device) -> Self {
        let mut values = vec![0f32; to * from];
        for (row, weights) in values.chunks_exact_mut(from).enumerate() {
            let at = row as f64 * (from - 1) as f64 / (to - 1).max(1) as f64;
            let first = at.floor() as isize - 1;
            for tap in first..first + 4 {
                let nearest = tap.clamp(0, from as isize - 1) as usize;
                weights[nearest] += cubic((at - tap as f64).abs()) as f32;
            }
        }
        Self {
            matrix: Tensor::from_data(TensorData::new(values, [to, from]), device),
        }
    }

    pub(crate) fn new(from: usize, to: usize, device: &Device) -> Self {
        let mut values = vec![0f32; to * from];
        for (row, weights) in values.chunks_exact_mut(from).enumerate() {
            let at = ((row as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
            let low = (at as usize).min(from - 1);
            let part = at - low as f64;
            weights[low] += (1.0 - part) as f32;
            weights[(low + 1).min(from - 1)] += part as f32;
        }
        Self {
            matrix: Tensor::from_data(TensorData::new(values, [to, from]), device),
        }
    }

    /// `[batch, channels, from, from]` to `[batch, channels, to, to]`.
    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let rows: Tensor<4> = self.matrix.clone().unsqueeze();
        rows.clone().matmul(images).matmul(rows.transpose())
    }

    /// The gradient of the smaller images from that of the larger ones.
    pub(crate) fn backward(&self, gradient: Tensor<4>) -> Tensor<4> {
        let rows: Tensor<4> = self.matrix.clone().unsqueeze();
        rows.clone().transpose().matmul(gradient).matmul(rows)
    }
}

/// The weight of a sample at a distance below 2.
fn cubic(x: f64) -> f64 {
    if x <= 1.0 {
        ((SLOPE + 2.0) * x - (SLOPE + 3.0)) * x * x + 1.0
    } else {
        (((x - 5.0) * x + 8.0) * x - 4.0) * SLOPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn twice_as_large_is_what_pytorch_makes() {
        // torch.nn.functional.interpolate(torch.tensor([[[[0., 1.], [2., 4.]]]]), (4, 4), mode="bilinear")
        let small = Tensor::<4>::from_data([[[[0.0, 1.0], [2.0, 4.0]]]], &Device::flex());
        let right = [
            0.0, 0.25, 0.75, 1.0, 0.5, 0.8125, 1.4375, 1.75, 1.5, 1.9375, 2.8125, 3.25, 2.0, 2.5,
            3.5, 4.0,
        ];
        assert_eq!(
            numbers(Resize::new(2, 4, &Device::flex()).forward(small)),
            right
        );
    }

    #[test]
    fn the_way_back_is_the_transpose() {
        let device = Device::flex();
        let resize = Resize::new(5, 12, &device);
        let small = dreamfuse_prior::sampler::normal([2, 3, 5, 5], 1, 0, &device);
        let large = dreamfuse_prior::sampler::normal([2, 3, 12, 12], 2, 0, &device);
        let product = |a: Tensor<4>, b: Tensor<4>| (a * b).sum().into_scalar::<f32>();
        let (forth, back) = (
            product(resize.forward(small.clone()), large.clone()),
            product(small, resize.backward(large)),
        );
        assert!(
            (forth - back).abs() < 1e-4 * forth.abs().max(1.0),
            "{forth} and {back}"
        );
    }
}
