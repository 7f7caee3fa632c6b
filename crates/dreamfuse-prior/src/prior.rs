//! The frozen prior as distillation sees it.

use crate::{Batch, Conditioning, Encoded, NoiseSchedule, ReferenceImages, References};
use burn::tensor::{Device, Tensor};

/// What a prior is, whatever its weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorSpec {
    /// Side of its images in pixels.
    pub resolution: usize,
    /// Channels, height and width of its samples: images, or their latents.
    pub sample_shape: [usize; 3],
    /// Images that it denoises together when it knows their cameras (4 for MVDream).
    pub views_per_group: usize,
    /// Whether it is conditioned on the camera beside the text; not where it only hears how a camera is turned from that of a
    /// reference.
    pub takes_camera: bool,
    /// Whether it can be shown images of the object.
    pub takes_references: bool,
    /// Whether it knows nothing without them.
    pub needs_references: bool,
}

impl PriorSpec {
    /// A prior of images, one at a time, that takes no camera.
    pub fn of_images(resolution: usize) -> Self {
        Self {
            resolution,
            sample_shape: [3, resolution, resolution],
            views_per_group: 1,
            takes_camera: false,
            takes_references: false,
            needs_references: false,
        }
    }
}

/// A text-to-image diffusion model whose weights do not change. What it diffuses are its samples:
/// images in `[−1, 1]` unless it says otherwise, or latents. The provided methods are those of images.
pub trait Prior: Send + Sync {
    /// Its shapes and what it accepts.
    fn spec(&self) -> PriorSpec;

    /// A digest of its weights, if it has one: a run that goes on checks that its prior is the same.
    fn fingerprint(&self) -> Option<[u8; 32]> {
        None
    }

    /// Where it computes.
    fn device(&self) -> Device;

    /// Its forward process.
    fn schedule(&self) -> &NoiseSchedule;

    /// What it makes of texts alone, a row a prompt; the empty text is the unconditional one.
    ///
    /// # Errors
    /// When a text is too long; the message says by how much.
    fn condition(&self, prompts: &[String]) -> Result<Conditioning, String>;

    /// What it makes of reference images alone.
    ///
    /// # Errors
    /// When it takes none; the message says so.
    fn read_references(&self, _images: &ReferenceImages) -> Result<References, String> {
        Err("this prior takes no images".into())
    }

    /// Samples of display-referred images `[batch, 3, size, size]` in `[0, 1]`, with the way back for
    /// gradients. Images of another size than the prior's are resized.
    fn encode(&self, images: Tensor<4>) -> Encoded<'_> {
        Encoded::new(images * 2.0 - 1.0, |gradient| gradient * 2.0)
    }

    /// Images `[batch, 3, resolution, resolution]` of samples; display-referred, in about `[0, 1]`.
    fn decode(&self, samples: Tensor<4>) -> Tensor<4> {
        (samples + 1.0) * 0.5
    }

    /// An estimate x̂_0 of clean samples, clamped to where clean samples are.
    fn clamp_clean(&self, clean: Tensor<4>) -> Tensor<4> {
        clean.clamp(-1.0, 1.0)
    }

    /// The same prior on the run's device number `index`, where it was loaded on several.
    fn replica(&self, _index: usize) -> Option<&dyn Prior> {
        None
    }

    /// The noise ε̂ in a batch of noisy samples, of the shape of [`Batch::samples`].
    fn predict(&self, batch: &Batch) -> Tensor<4>;
}
