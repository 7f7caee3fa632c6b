//! The Janus problem, measured: does the back look more like the front than the true back does?

use crate::views::{Mode, Premultiplied, RING, Subject, cameras, difference};

/// Views of the level ring that are each other's mirror image for a thing with two fronts: at azimuths a and 180° − a.
const PAIRS: [[usize; 2]; 3] = [[0, RING / 2], [1, RING / 2 - 1], [RING - 1, RING / 2 + 1]];

/// Front and back of the truth may differ by less than this: then nothing can be said.
const LEAST: f64 = 2e-3;

/// How far the views from behind, mirrored, are from those in front.
fn front_to_back(level: &[Premultiplied]) -> f64 {
    let of = |[front, back]: [usize; 2]| difference(&level[front], &level[back].mirrored());
    PAIRS.iter().map(|pair| of(*pair)).sum::<f64>() / PAIRS.len() as f64
}

/// 1 when front and back are alike that should not be, 0 when they differ as much as the truth's or more. Nothing where
/// the truth is alike from both sides.
pub fn janus(ours: &dyn Subject, truth: &dyn Subject) -> Option<f64> {
    let level = |subject: &dyn Subject| -> Vec<Premultiplied> {
        cameras()[..RING]
            .iter()
            .map(|camera| subject.image(camera, Mode::Albedo))
            .collect()
    };
    let truth = front_to_back(&level(truth));
    (truth > LEAST).then(|| (1.0 - front_to_back(&level(ours)) / truth).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_core::Vec3;
    use dreamfuse_toybox::Scene;
    use dreamfuse_toybox::scene::Part;
    use dreamfuse_toybox::solid::Solid;

    /// A blue box with a red front, and a red back too where it has two faces.
    fn thing(faces: &[f32]) -> Scene {
        let slab = |y: f32, half: [f32; 3], color| Part {
            name: "slab",
            solid: Solid::Box { half: half.into() },
            center: Vec3::new(0.0, y, 0.0),
            rotation: nalgebra::Rotation3::identity(),
            color,
            material: None,
        };
        let faces = faces
            .iter()
            .map(|y| slab(*y, [0.45, 0.02, 0.45], [0.9, 0.1, 0.1]));
        Scene {
            parts: std::iter::once(slab(0.0, [0.45, 0.4, 0.45], [0.1, 0.2, 0.8]))
                .chain(faces)
                .collect(),
        }
    }

    #[test]
    fn two_faces_score_one_where_the_truth_has_one() {
        let (one, two) = (thing(&[-0.4]), thing(&[-0.4, 0.4]));
        assert!(janus(&two, &one).unwrap() > 0.95, "{:?}", janus(&two, &one));
        assert_eq!(janus(&one, &one), Some(0.0));
        assert_eq!(janus(&one, &two), None);
    }
}
