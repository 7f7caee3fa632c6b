//! What a model diffuses: pictures or their latents.

use crate::resize::Resize;
use crate::vae::Vae;
use burn::tensor::Tensor;

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

    /// Samples of display-referred `pictures` of `[0, 1]` and any size, which are brought to `size`.
    pub(super) fn of_pictures(&self, pictures: Tensor<4>, size: usize) -> Tensor<4> {
        let pictures =
            fit(&pictures, size).map_or(pictures.clone(), |resize| resize.forward(pictures)) * 2.0
                - 1.0;
        match self {
            Self::Pixels => pictures,
            Self::Latents(vae) => vae.encode(pictures),
        }
    }

    /// See [`crate::FrozenPrior::pull_back`].
    pub(super) fn pull_back(
        &self,
        pictures: Tensor<4>,
        size: usize,
        gradient: &mut dyn FnMut(Tensor<4>) -> Tensor<4>,
    ) -> Tensor<4> {
        let resize = fit(&pictures, size);
        let pictures = resize
            .as_ref()
            .map_or(pictures.clone(), |resize| resize.forward(pictures))
            * 2.0
            - 1.0;
        let of_pictures = match self {
            Self::Pixels => gradient(pictures),
            Self::Latents(vae) => vae.pull_back(pictures, gradient),
        };
        let of_pictures = of_pictures * 2.0;
        match resize {
            Some(resize) => resize.backward(of_pictures),
            None => of_pictures,
        }
    }

    /// Display-referred pictures of samples.
    pub(super) fn to_pictures(&self, samples: Tensor<4>) -> Tensor<4> {
        let pictures = match self {
            Self::Pixels => samples,
            // One by one: a large picture's activations take a gigabyte.
            Self::Latents(vae) => Tensor::cat(
                samples
                    .split(1, 0)
                    .into_iter()
                    .map(|one| vae.decode(one))
                    .collect(),
                0,
            ),
        };
        (pictures + 1.0) * 0.5
    }
}

/// What brings pictures to this size, unless they have it.
fn fit(pictures: &Tensor<4>, size: usize) -> Option<Resize> {
    let [_, _, from, _] = pictures.dims();
    (from != size).then(|| Resize::new(from, size, &pictures.device()))
}
