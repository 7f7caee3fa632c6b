//! Where clean images of pixel-space models end.

use burn::tensor::{Tensor, TensorData};

/// Dynamic thresholding (Saharia et al. 2022, section 2.3; diffusers' `thresholding`): each image is divided by the
/// quantile of its absolute values, at least 1 and at most `most`, and ends at −1 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholding {
    /// Share of an image's numbers that lie below the threshold.
    pub ratio: f64,
    pub most: f64,
}

impl Thresholding {
    /// `[batch, channels, height, width]` to the same.
    pub fn apply(self, clean: Tensor<4>) -> Tensor<4> {
        let [batch, ..] = clean.dims();
        let scales = clean
            .clone()
            .split(1, 0)
            .into_iter()
            .map(|image| self.scale(image))
            .collect::<Vec<_>>();
        let scales =
            Tensor::<4>::from_data(TensorData::new(scales, [batch, 1, 1, 1]), &clean.device());
        (clean / scales).clamp(-1.0, 1.0)
    }

    fn scale(self, image: Tensor<4>) -> f32 {
        let mut sizes = image
            .abs()
            .into_data()
            .convert::<f32>()
            .try_to_vec::<f32>()
            .expect("numbers are f32");
        sizes.sort_by(f32::total_cmp);
        let at = self.ratio.clamp(0.0, 1.0) * (sizes.len() - 1) as f64;
        let (low, part) = (at as usize, at.fract());
        let next = sizes[(low + 1).min(sizes.len() - 1)];
        let quantile = f64::from(sizes[low]) * (1.0 - part) + f64::from(next) * part;
        quantile.min(self.most).max(1.0) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn bright_images_are_scaled_and_others_cut() {
        let images = Tensor::<4>::from_data(
            [[[[0.0, -1.0, 2.0, 4.0]]], [[[0.1, -0.2, 0.3, 0.9]]]],
            &Device::flex(),
        );
        let numbers = |most: f64| {
            let clean = Thresholding { ratio: 0.5, most }.apply(images.clone());
            clean.into_data().try_to_vec::<f32>().unwrap()
        };
        // The median of 0, 1, 2 and 4 is 1.5.
        let right = [0.0, -2.0 / 3.0, 1.0, 1.0, 0.1, -0.2, 0.3, 0.9];
        assert!(
            numbers(3.0)
                .iter()
                .zip(right)
                .all(|(ours, right)| (ours - right).abs() < 1e-6)
        );
        assert_eq!(numbers(1.0), [0.0, -1.0, 1.0, 1.0, 0.1, -0.2, 0.3, 0.9]);
    }
}
