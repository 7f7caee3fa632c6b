//! R-Precision against a thousand captions, most of them hard negatives: the same kind in other
//! colours, other kinds in the same colour, the same pair in other relations.

use crate::lists::pool_captions;
use crate::retrieval::nearest;
use crate::toybench::EvalError;
use crate::views::{Image, Mode, RING, Subject, cameras, difference};
use dreamfuse_toybox::{Scene, parse};
use rayon::prelude::*;

/// Pixels of a view whose mean is compared, along each side: the views are shrunk to 32 × 32.
pub(crate) const BLOCK: usize = 2;

/// The captions' scenes, drawn from eight sides.
pub struct Pool {
    /// For each caption its views in albedo, shrunk.
    views: Vec<Vec<Image>>,
}

impl Pool {
    /// Draws the committed captions: some seconds.
    ///
    /// # Errors
    /// When a caption has no ground truth.
    pub fn load() -> Result<Self, EvalError> {
        let scene = |caption: &String| {
            let sentence = parse(caption).map_err(|reason| EvalError::NoTruth {
                prompt: caption.clone(),
                reason,
            })?;
            Ok(Scene::canonical(&sentence))
        };
        let scenes: Vec<Scene> = pool_captions()
            .iter()
            .map(scene)
            .collect::<Result<_, EvalError>>()?;
        Ok(Self {
            views: scenes.par_iter().map(|scene| small_views(scene)).collect(),
        })
    }

    /// The number of the caption that is nearest to a subject.
    pub fn nearest(&self, subject: &dyn Subject) -> usize {
        let ours = small_views(subject);
        let distances: Vec<f64> = self
            .views
            .par_iter()
            .map(|views| apart(&ours, views))
            .collect();
        nearest(&distances)
    }
}

/// Views of the ring that sheets show, in albedo, shrunk.
pub fn small_views(subject: &dyn Subject) -> Vec<Image> {
    let ring = cameras().into_iter().skip(RING).take(RING);
    ring.map(|camera| subject.image(&camera, Mode::Albedo).shrunk(BLOCK))
        .collect()
}

/// The mean difference of two sets of views.
pub fn apart(ours: &[Image], others: &[Image]) -> f64 {
    let all = ours.iter().zip(others).map(|(a, b)| difference(a, b));
    all.sum::<f64>() / ours.len() as f64
}
