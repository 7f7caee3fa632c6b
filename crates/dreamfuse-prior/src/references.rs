//! Images of the object that a prior is shown beside the text.

use crate::Conditioning;
use burn::tensor::Tensor;
use dreamfuse_core::Told;
use std::ops::Range;

/// Sets of reference images, as a prior has read them: once, for every evaluation. A row is a set.
#[derive(Clone, Debug)]
pub struct References {
    read: Conditioning,
    told: Vec<Told>,
}

impl References {
    /// What a prior makes of reference images, a row a set; and what is told of each image, set by set.
    ///
    /// # Panics
    /// When there are no sets, or not as many images in each.
    pub fn new(read: Conditioning, told: Vec<Told>) -> Self {
        let sets = read.rows().expect("references have rows");
        assert!(
            sets > 0 && told.len().is_multiple_of(sets) && !told.is_empty(),
            "expected as many images in each of {sets} sets, got {} images",
            told.len()
        );
        Self { read, told }
    }

    /// For the prior that made them.
    pub fn read(&self) -> &Conditioning {
        &self.read
    }

    /// Sets of images.
    pub fn sets(&self) -> usize {
        self.read.rows().unwrap_or_default()
    }

    /// What is told of the images of a set.
    pub fn told(&self, set: usize) -> &[Told] {
        let each = self.told.len() / self.sets();
        &self.told[set * each..(set + 1) * each]
    }

    /// The sets of several, one after the other.
    ///
    /// # Panics
    /// When there are none, different priors made them, or their sets are not as large.
    pub fn cat(parts: &[&Self]) -> Self {
        let read: Vec<_> = parts.iter().map(|part| part.read.clone()).collect();
        let told = parts.iter().flat_map(|part| part.told.iter().copied());
        Self::new(Conditioning::cat(&read), told.collect())
    }
}

/// Which references the images of a batch come with.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub references: &'a References,
    /// A set an image, or none for it.
    pub sets: &'a [Option<usize>],
    /// How strongly guidance follows them; one costs no evaluation besides (see [`predict_each`](crate::predict_each)).
    pub scale: f64,
}

impl<'a> Shown<'a> {
    /// Those of the images `range`.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn slice(self, range: Range<usize>) -> Self {
        Self {
            sets: &self.sets[range],
            ..self
        }
    }
}

/// Reference images, before a prior has read them.
#[derive(Clone, Debug)]
pub struct ReferenceImages<'a> {
    /// `[sets · per_set, 3, size, size]`, display-referred.
    pub images: Tensor<4>,
    /// One an image.
    pub told: &'a [Told],
    pub per_set: usize,
    /// Noise that is added first, and told, of `[0, 1]` (conditioning augmentation, Ho et al. 2021, section 4): zero
    /// for photographs, more for images that a prior has drawn.
    pub noise_level: f64,
    /// Standard normal, of the shape of the prior's samples of these images; used where `noise_level` is not zero.
    pub noise: Tensor<4>,
}
