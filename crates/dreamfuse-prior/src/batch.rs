//! One evaluation of a prior.

use crate::{Conditioning, Shown};
use burn::tensor::Tensor;
use dreamfuse_core::Told;
use std::ops::Range;

/// What is known of the images of a batch, beside their texts.
#[derive(Clone, Copy, Debug)]
pub enum Views<'a> {
    /// Nothing.
    Unknown,
    /// Something of each image, which is seen by itself.
    Each(&'a [Told]),
    /// The same, of images that are denoised together, `per_group` after one another.
    Groups { told: &'a [Told], per_group: usize },
}

impl<'a> Views<'a> {
    /// Views for a prior that denoises `per_group` images together.
    pub fn of(told: &'a [Told], per_group: usize) -> Self {
        if per_group > 1 {
            Self::Groups { told, per_group }
        } else {
            Self::Each(told)
        }
    }

    /// What is known of each image; nothing where that is unknown.
    pub fn told(self) -> Option<&'a [Told]> {
        match self {
            Self::Unknown => None,
            Self::Each(told) | Self::Groups { told, .. } => Some(told),
        }
    }

    /// Those of the images `range`.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Each(told) => Self::Each(&told[range]),
            Self::Groups { told, per_group } => Self::Groups {
                told: &told[range],
                per_group,
            },
        }
    }

    /// Images that are denoised together.
    pub fn per_group(self) -> usize {
        match self {
            Self::Unknown | Self::Each(_) => 1,
            Self::Groups { per_group, .. } => per_group,
        }
    }
}

/// What the images of a batch come with, beside their texts.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub views: Views<'a>,
    /// Reference images.
    pub shown: Option<Shown<'a>>,
}

impl<'a> From<Views<'a>> for Known<'a> {
    fn from(views: Views<'a>) -> Self {
        Self { views, shown: None }
    }
}

impl Known<'_> {
    /// # Panics
    /// When it is not of so many images, or there is no such set.
    fn assert_fits(&self, count: usize) {
        if let Some(told) = self.views.told() {
            assert_eq!(told.len(), count, "expected a view for each image");
        }
        if let Some(shown) = self.shown {
            let sets = shown.references.sets();
            assert_eq!(shown.sets.len(), count, "expected a set for each image");
            assert!(
                shown.sets.iter().flatten().all(|set| *set < sets),
                "expected sets below {sets}"
            );
        }
    }

    /// That of the images `range`.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn slice(self, range: Range<usize>) -> Self {
        Self {
            views: self.views.slice(range.clone()),
            shown: self.shown.map(|shown| shown.slice(range)),
        }
    }
}

/// Noisy samples with their noise levels and what they are conditioned on.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    samples: Tensor<4>,
    timesteps: &'a [usize],
    conditioning: &'a Conditioning,
    known: Known<'a>,
}

impl<'a> Batch<'a> {
    /// # Shapes
    /// - `samples`: `[batch, channels, height, width]`
    /// - `timesteps`: one an image
    /// - `conditioning`: a row an image
    /// - `known`: views, unknown or an entry an image; of reference images a set, or none, an image
    ///
    /// # Panics
    /// When there are not as many of each, or no such set; when the batch is no whole number of groups; when the
    /// images of a group have different timesteps: they attend to each other, and the one with the
    /// least noise would tell the others the answer.
    pub fn new(
        samples: Tensor<4>,
        timesteps: &'a [usize],
        conditioning: &'a Conditioning,
        known: impl Into<Known<'a>>,
    ) -> Self {
        let known = known.into();
        let [count, ..] = samples.dims();
        assert_eq!(timesteps.len(), count, "expected a timestep for each image");
        let rows = conditioning.rows();
        assert!(
            rows.is_none_or(|rows| rows == count),
            "expected {count} rows of conditioning, got {rows:?}"
        );
        known.assert_fits(count);
        let per_group = known.views.per_group();
        assert!(
            count.is_multiple_of(per_group),
            "expected whole groups of {per_group} views, got {count} images"
        );
        let mut groups = timesteps.chunks_exact(per_group);
        assert!(
            groups.all(|group| group.iter().all(|timestep| *timestep == group[0])),
            "the views of a group have one noise level"
        );
        Self {
            samples,
            timesteps,
            conditioning,
            known,
        }
    }

    /// Images.
    pub fn count(&self) -> usize {
        self.timesteps.len()
    }

    /// `[batch, channels, height, width]`.
    pub fn samples(&self) -> &Tensor<4> {
        &self.samples
    }

    /// One an image.
    pub fn timesteps(&self) -> &'a [usize] {
        self.timesteps
    }

    /// A row an image.
    pub fn conditioning(&self) -> &'a Conditioning {
        self.conditioning
    }

    /// What is known of the images.
    pub fn known(&self) -> Known<'a> {
        self.known
    }

    /// What is told of the images.
    pub fn views(&self) -> Views<'a> {
        self.known.views
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use dreamfuse_core::Camera;

    fn made(count: usize, timesteps: &[usize], told: usize) {
        let samples = Tensor::zeros([count, 3, 2, 2], &Device::flex());
        let told = vec![Told::camera(Camera::orbit(0.0, 0.0)); told];
        let views = Views::of(&told, 4);
        Batch::new(samples, timesteps, &Conditioning::none(), views);
    }

    #[test]
    fn whole_groups_of_one_noise_level_are_taken() {
        made(8, &[9, 9, 9, 9, 3, 3, 3, 3], 8);
    }

    #[test]
    #[should_panic(expected = "one noise level")]
    fn the_views_of_a_group_cannot_have_several_noise_levels() {
        made(4, &[1, 2, 3, 4], 4);
    }

    #[test]
    #[should_panic(expected = "whole groups of 4")]
    fn a_part_of_a_group_is_refused() {
        made(3, &[1, 1, 1], 3);
    }

    #[test]
    #[should_panic(expected = "a view for each image")]
    fn views_are_not_dropped() {
        made(4, &[1, 1, 1, 1], 3);
    }
}
