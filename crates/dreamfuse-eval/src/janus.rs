//! The Janus problem, measured: does the back look more like the front than the true back does?

use crate::views::{Image, Mode, RING, Subject, cameras, difference};

/// Opposite views of the level ring: the front with the back, and its neighbours.
const PAIRS: [[usize; 2]; 3] = [[0, RING / 2], [1, RING / 2 + 1], [RING - 1, RING / 2 - 1]];

/// Front and back of the truth may differ by less than this: then nothing can be said.
const LEAST: f64 = 2e-3;

/// How far the views from behind, mirrored, are from those in front.
fn front_to_back(level: &[Image]) -> f64 {
    let of = |[front, back]: [usize; 2]| difference(&level[front], &level[back].mirrored());
    PAIRS.iter().map(|pair| of(*pair)).sum::<f64>() / PAIRS.len() as f64
}

/// 1 when front and back are alike that should not be, 0 when they differ as much as the truth's or more. Nothing where
/// the truth is alike from both sides.
pub fn janus(ours: &dyn Subject, truth: &dyn Subject) -> Option<f64> {
    let level = |subject: &dyn Subject| -> Vec<Image> {
        cameras()[..RING].iter().map(|camera| subject.image(camera, Mode::Albedo)).collect()
    };
    let truth = front_to_back(&level(truth));
    (truth > LEAST).then(|| (1.0 - front_to_back(&level(ours)) / truth).clamp(0.0, 1.0))
}
