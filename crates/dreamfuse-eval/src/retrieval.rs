//! R-Precision with the truth for a judge: is the right one of the captions the nearest to the images? DreamFusion's
//! Table 1 asks CLIP; here the distance is the mean squared difference to each caption's own scene.

use crate::views::{Mode, Premultiplied, Subject, VIEWS, cameras, difference};
use dreamfuse_toybox::Scene;
use rayon::prelude::*;

/// The distance of each subject from each scene, the mean over all views.
pub fn distances(subjects: &[&dyn Subject], scenes: &[Scene], mode: Mode) -> Vec<Vec<f64>> {
    let zeros = vec![vec![0.0; scenes.len()]; subjects.len()];
    cameras().iter().fold(zeros, |mut sums, camera| {
        let truths: Vec<Premultiplied> = scenes
            .par_iter()
            .map(|scene| scene.image(camera, mode))
            .collect();
        for (row, subject) in sums.iter_mut().zip(subjects) {
            let image = subject.image(camera, mode);
            row.par_iter_mut()
                .zip(&truths)
                .for_each(|(sum, truth)| *sum += difference(&image, truth) / VIEWS as f64);
        }
        sums
    })
}

/// The number of the nearest scene.
pub fn nearest(distances: &[f64]) -> usize {
    let all = distances.iter().enumerate();
    all.min_by(|(_, a), (_, b)| a.total_cmp(b))
        .map_or(0, |(index, _)| index)
}
