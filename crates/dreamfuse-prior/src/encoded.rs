//! Images in a prior's sample space, with the way back for gradients.

use burn::tensor::Tensor;

/// Samples of images, and the vector-Jacobian product of the encoder at these images (JAX's `vjp`).
pub struct Encoded<'a> {
    /// `[batch, channels, height, width]`.
    pub samples: Tensor<4>,
    pull_back: Box<dyn FnOnce(Tensor<4>) -> Tensor<4> + 'a>,
}

impl<'a> Encoded<'a> {
    /// With a function from a gradient with respect to the samples to one with respect to the images.
    pub fn new(samples: Tensor<4>, vjp: impl FnOnce(Tensor<4>) -> Tensor<4> + 'a) -> Self {
        Self {
            samples,
            pull_back: Box::new(vjp),
        }
    }

    /// The gradient with respect to the images, given that with respect to the samples.
    pub fn vjp(self, gradient: Tensor<4>) -> Tensor<4> {
        (self.pull_back)(gradient)
    }

    /// The same behind one more step that the images took before: `first` is its vector-Jacobian
    /// product.
    pub fn after(self, first: impl FnOnce(Tensor<4>) -> Tensor<4> + 'a) -> Self {
        Self {
            samples: self.samples,
            pull_back: Box::new(move |gradient| first((self.pull_back)(gradient))),
        }
    }
}
