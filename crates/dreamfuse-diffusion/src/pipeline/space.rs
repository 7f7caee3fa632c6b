//! What a model diffuses: images or their latents.

use crate::resize::Resize;
use crate::vae::Vae;
use burn::tensor::Tensor;
use dreamfuse_prior::Encoded;

/// The space of a model's samples.
pub(super) enum Space {
    Pixels,
    Latents(Box<Vae>),
}

impl Space {
    /// Pixels along the side of a sample's number.
    pub(super) fn factor(&self) -> usize {
        match self {
            Self::Pixels => 1,
            Self::Latents(vae) => vae.config().factor(),
        }
    }

    /// Samples of display-referred images of `[0, 1]` and any size, which are resized to `size`.
    pub(super) fn encode(&self, images: Tensor<4>, size: usize) -> Encoded<'_> {
        let resize = fit(&images, size);
        let images = match &resize {
            Some(resize) => resize.forward(images),
            None => images,
        };
        let encoded = match self {
            Self::Pixels => Encoded::new(images * 2.0 - 1.0, |gradient| gradient),
            Self::Latents(vae) => vae.encode_with_vjp(images * 2.0 - 1.0),
        };
        encoded.after(move |gradient| {
            let gradient = gradient * 2.0;
            match resize {
                Some(resize) => resize.backward(gradient),
                None => gradient,
            }
        })
    }

    /// Images of any size, resized to `size`.
    pub(super) fn fitted(images: Tensor<4>, size: usize) -> Tensor<4> {
        match fit(&images, size) {
            Some(resize) => resize.forward(images),
            None => images,
        }
    }

    /// Display-referred images of samples.
    pub(super) fn decode(&self, samples: Tensor<4>) -> Tensor<4> {
        let images = match self {
            Self::Pixels => samples,
            // One by one: a large image's activations take a gigabyte.
            Self::Latents(vae) => {
                let each = samples.split(1, 0).into_iter();
                Tensor::cat(each.map(|one| vae.decode(one)).collect(), 0)
            }
        };
        (images + 1.0) * 0.5
    }
}

/// What brings images to this size, unless they have it.
fn fit(images: &Tensor<4>, size: usize) -> Option<Resize> {
    let [_, _, from, _] = images.dims();
    (from != size).then(|| Resize::new(from, size, &images.device()))
}
