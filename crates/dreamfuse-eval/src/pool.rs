//! R-Precision against a thousand captions, most of them hard negatives: the same kind in other
//! colours, other kinds in the same colour, the same pair in other relations.

use crate::lists::pool_captions;
use crate::retrieval::nearest;
use crate::toybench::EvalError;
use crate::views::{Mode, Premultiplied, RING, SIZE, Subject, cameras, difference};
use dreamfuse_core::Camera;
use dreamfuse_toybox::{Look, Scene, parse, render};
use rayon::prelude::*;

/// Side of the compared views.
const SMALL: usize = 32;

/// The captions' scenes, drawn from eight sides.
pub struct Pool {
    /// For each caption its views in albedo.
    views: Vec<Vec<Premultiplied>>,
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
            views: scenes.par_iter().map(scene_views).collect(),
        })
    }

    /// The number of the caption that is nearest to a subject.
    pub fn nearest(&self, subject: &dyn Subject) -> usize {
        let image = |camera| subject.image(&camera, Mode::Albedo).shrunk(SIZE / SMALL);
        let ours: Vec<Premultiplied> = sides().map(image).collect();
        let distances: Vec<f64> = self
            .views
            .par_iter()
            .map(|views| apart(&ours, views))
            .collect();
        nearest(&distances)
    }
}

/// The ring of views that sheets show.
fn sides() -> impl Iterator<Item = Camera> {
    cameras().into_iter().skip(RING).take(RING)
}

/// A scene from eight sides, in albedo.
pub fn scene_views(scene: &Scene) -> Vec<Premultiplied> {
    let image = |camera: Camera| {
        let view = render(scene, &camera, &Look::albedo(&camera), SMALL);
        Premultiplied::new(&view.image, &view.opacity)
    };
    sides().map(image).collect()
}

/// The mean difference of two sets of views.
pub fn apart(ours: &[Premultiplied], others: &[Premultiplied]) -> f64 {
    let all = ours.iter().zip(others).map(|(a, b)| difference(a, b));
    all.sum::<f64>() / ours.len() as f64
}
