//! Changes of size by two that learn nothing.

use burn::tensor::Tensor;

/// What a block does to the size of its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeOfSize {
    /// Pixels are repeated.
    Double,
    /// Four pixels become their mean.
    Halve,
}

impl ChangeOfSize {
    /// `[batch, channels, height, width]`; sides are even where they are halved.
    pub(crate) fn apply(self, image: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Double => upsample_nearest2(image),
            Self::Halve => average_pool2(image),
        }
    }
}

fn average_pool2(input: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = input.dims();
    let rows = input
        .reshape([b, c, h / 2, 2, w])
        .mean_dim(3)
        .reshape([b, c, h / 2, w / 2, 2]);
    rows.mean_dim(4).reshape([b, c, h / 2, w / 2])
}

/// Doubles height and width of `input` `[batch, channels, height, width]` by repeating pixels.
pub(crate) fn upsample_nearest2(input: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = input.dims();
    input
        .reshape([b, c, h, 1, w, 1])
        .expand([b, c, h, 2, w, 2])
        .reshape([b, c, 2 * h, 2 * w])
}

/// PyTorch's `pixel_unshuffle`: 2 × 2 pixels become channels, `[batch, channels, height, width]` to
/// `[batch, 4 channels, height / 2, width / 2]`.
pub(crate) fn pixel_unshuffle(input: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = input.dims();
    input
        .reshape([b, c, h / 2, 2, w / 2, 2])
        .permute([0, 1, 3, 5, 2, 4])
        .reshape([b, 4 * c, h / 2, w / 2])
}

/// PyTorch's `pixel_shuffle`, the inverse of [`pixel_unshuffle`].
pub(crate) fn pixel_shuffle(input: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = input.dims();
    input
        .reshape([b, c / 4, 2, 2, h, w])
        .permute([0, 1, 4, 2, 5, 3])
        .reshape([b, c / 4, 2 * h, 2 * w])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn four_pixels_become_their_mean() {
        let x = Tensor::<4>::from_data(
            [[[[1.0, 2.0, 5.0, 5.0], [3.0, 6.0, 5.0, 9.0]]]],
            &Device::flex(),
        );
        let y = ChangeOfSize::Halve
            .apply(x)
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        assert_eq!(y, [3.0, 6.0]);
    }

    /// The values are those of `torch.nn.functional.pixel_unshuffle` of 0 to 15 as one 4 × 4 channel.
    #[test]
    fn pixels_become_channels_and_pixels_again() {
        let x = Tensor::<1>::from_floats(
            std::array::from_fn::<f32, 16, _>(|i| i as f32),
            &Device::flex(),
        );
        let x = x.reshape([1, 1, 4, 4]);
        let numbers = |tensor: Tensor<4>| tensor.into_data().try_to_vec::<f32>().unwrap();
        let channels = pixel_unshuffle(x.clone());
        assert_eq!(channels.dims(), [1, 4, 2, 2]);
        let expected = [
            0.0, 2.0, 8.0, 10.0, 1.0, 3.0, 9.0, 11.0, 4.0, 6.0, 12.0, 14.0, 5.0, 7.0, 13.0, 15.0,
        ];
        assert_eq!(numbers(channels.clone()), expected);
        assert_eq!(numbers(pixel_shuffle(channels)), numbers(x));
    }

    #[test]
    fn pixels_are_repeated_and_gradients_summed() {
        let numbers = |tensor: Tensor<4>| tensor.into_data().try_to_vec::<f32>().unwrap();
        let x = Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 4.0]]]], &Device::flex().autodiff())
            .require_grad();
        let y = upsample_nearest2(x.clone());
        let right = [
            1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0,
        ];
        assert_eq!(numbers(y.clone()), right);
        let grads = (y.clone() * y).sum().backward();
        assert_eq!(numbers(x.grad(&grads).unwrap()), [8.0, 16.0, 24.0, 32.0]);
    }
}
