//! Where things stand to each other.

use crate::grammar::Relation;
use crate::kinds::Anchor;
use crate::object::Object;
use dreamfuse_core::Vec3;
use std::f32::consts::FRAC_PI_2;

/// Room for a thing beside another, and above or below it.
const SIDE: [f32; 3] = [0.95, 1.1, 1.0];
const LAYER: [f32; 3] = [1.1, 1.0, 0.7];

/// The fixed layout of each relation, seen from the front (the camera at −Y, +X to the right). `board` is what chess is played
/// on.
pub(crate) fn arrange(
    relation: Relation,
    subject: Object,
    object: Object,
    board: impl FnOnce() -> Object,
) -> Object {
    match relation {
        Relation::At => beside(
            subject.standing(SIDE, 0.45),
            object.standing(SIDE, -0.35),
            0.08,
        ),
        Relation::NextTo | Relation::LeftOf => beside(
            subject.standing(SIDE, 0.0),
            object.standing(SIDE, 0.0),
            0.16,
        ),
        Relation::RightOf => beside(
            object.standing(SIDE, 0.0),
            subject.standing(SIDE, 0.0),
            0.16,
        ),
        Relation::Facing => beside(
            subject.standing(SIDE, 1.2),
            object.standing(SIDE, -1.2),
            0.3,
        ),
        Relation::Following => beside(
            subject.standing(SIDE, FRAC_PI_2),
            object.standing(SIDE, FRAC_PI_2),
            0.2,
        ),
        Relation::InFrontOf => before(
            subject.standing([0.75, 0.8, 0.75], 0.0),
            object.standing([1.1, 0.9, 1.1], 0.0),
        ),
        Relation::Behind => before(
            object.standing([0.75, 0.8, 0.75], 0.0),
            subject.standing([1.1, 0.9, 1.1], 0.0),
        ),
        Relation::On => stacked(
            subject.standing([0.8, 0.8, 0.75], 0.0),
            object.standing([1.2, 1.2, 0.8], 0.0),
        ),
        Relation::Above => hovering(subject.standing(LAYER, 0.0), object.standing(LAYER, 0.0)),
        Relation::Under => sheltered(subject, object),
        Relation::PlayingChess => {
            let players = beside(
                subject.standing([0.75, 0.75, 1.0], 1.1),
                object.standing([0.75, 0.75, 1.0], -1.1),
                0.62,
            );
            players.with(board().standing([0.62, 0.62, 0.5], 0.0))
        }
    }
}

/// `left` at −X and `right` at +X with a gap between them.
fn beside(left: Object, right: Object, gap: f32) -> Object {
    let (from_left, from_right) = (0.5 * (gap + left.size().x), 0.5 * (gap + right.size().x));
    left.shifted(-from_left, 0.0, 0.0)
        .with(right.shifted(from_right, 0.0, 0.0))
}

/// One more of the same to the right of a row.
pub(crate) fn row(left: Object, right: Object) -> Object {
    let gap = 0.12 * right.size().x;
    beside(left, right, gap)
}

/// `front` nearer to the front camera and a little to the left of `back`.
fn before(front: Object, back: Object) -> Object {
    let (from_front, from_back) = (0.5 * front.size().y + 0.06, 0.5 * back.size().y + 0.06);
    front
        .shifted(-0.3, -from_front, 0.0)
        .with(back.shifted(0.3, from_back, 0.0))
}

/// `upper` on the seat of `lower`, or on its top.
fn stacked(upper: Object, lower: Object) -> Object {
    let (low, high) = lower.bounds();
    let top = Vec3::new(
        0.5 * (low.x + high.x),
        0.5 * (low.y + high.y),
        high.z - 0.02,
    );
    let at = lower.anchors.seat.map_or(top, |seat| seat.at);
    upper.shifted(at.x, at.y, at.z).with(lower)
}

/// `upper` in the air over `lower`.
fn hovering(upper: Object, lower: Object) -> Object {
    let height = lower.size().z + 0.2;
    upper.shifted(0.0, 0.0, height).with(lower)
}

/// `thing` in the shelter that `cover` offers, or beneath it where it offers none.
fn sheltered(thing: Object, cover: Object) -> Object {
    let cover = cover.standing([1.5, 1.5, 1.5], 0.0);
    match cover.anchors.shelter {
        // Not even a giant reaches through the roof.
        Some(Anchor { at, size }) => Object {
            scale: thing.scale.min(1.0),
            ..thing
        }
        .standing([size; 3], 0.0)
        .shifted(at.x, at.y, at.z)
        .with(cover),
        None => hovering(cover.standing(LAYER, 0.0), thing.standing(LAYER, 0.0)),
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;
    use crate::scene::{Part, Scene};
    use dreamfuse_core::Vec3;

    /// Lowest and highest corner of the box around the parts with these numbers.
    fn bounds(parts: &[Part]) -> (Vec3, Vec3) {
        let reach = |axis: Vec3| {
            let of = |p: &Part| {
                p.center.dot(&axis) + p.solid.extent(p.rotation.inverse_transform_vector(&axis))
            };
            parts.iter().map(of).fold(f32::MIN, f32::max)
        };
        let corner = |sign: f32| Vec3::from_fn(|i, _| sign * reach(Vec3::ith(i, sign)));
        (corner(-1.0), corner(1.0))
    }

    type Boxes = [(Vec3, Vec3); 2];
    type Holds = fn(Boxes) -> bool;

    fn parts(text: &str) -> Vec<Part> {
        Scene::canonical(&parse(text).unwrap()).parts
    }

    /// Boxes of the cats of a sentence and of what else there is, whose parts have other names.
    fn places(text: &str) -> Boxes {
        let names: Vec<_> = parts("a cat").iter().map(|part| part.name).collect();
        let (cats, others): (Vec<_>, Vec<_>) = parts(text)
            .into_iter()
            .partition(|part| names.contains(&part.name));
        [bounds(&cats), bounds(&others)]
    }

    #[test]
    fn things_stand_where_the_words_say() {
        let left = |[cat, other]: Boxes| cat.1.x < other.0.x;
        // What else there is are the board in the middle and the other player.
        let left_of_the_board =
            |[cat, other]: Boxes| cat.1.x < other.0.x + 0.01 && -cat.1.x < other.1.x;
        let right = |[cat, other]: Boxes| cat.0.x > other.1.x;
        let above = |[cat, other]: Boxes| cat.0.z > other.1.z - 0.05;
        let below = |[cat, other]: Boxes| cat.1.z < other.1.z - 0.1;
        let front = |[cat, other]: Boxes| cat.1.y < other.0.y;
        let behind = |[cat, other]: Boxes| cat.0.y > other.1.y;
        let holds: &[(&str, Holds)] = &[
            ("a cat behind a house", behind),
            ("a cat next to a tree", left),
            ("a cat to the left of a tree", left),
            ("a cat facing a castle", left),
            ("a cat following a castle", left),
            ("two cats at a barrel", left),
            ("a cat and cactus playing chess", left_of_the_board),
            ("a cat to the right of a tree", right),
            ("a cat on a table", above),
            ("a cat above a barrel", above),
            ("a cat under a table", below),
            ("a cat under a barrel", below),
            ("a cat in front of a house", front),
        ];
        for (text, holds) in holds {
            assert!(holds(places(text)), "{text}");
        }
    }

    #[test]
    fn sizes_and_numbers_are_seen() {
        let height = |[cat, other]: Boxes| (cat.1.z - cat.0.z) / (other.1.z - other.0.z);
        let [usual, tiny, giant] = ["a cat", "a tiny cat", "a giant cat"]
            .map(|cat| height(places(&format!("{cat} next to a barrel"))));
        assert!(
            tiny < 0.65 * usual && giant > 1.4 * usual,
            "{tiny} {usual} {giant}"
        );
        assert_eq!(parts("three cats").len(), 3 * parts("a cat").len());
        let diagonal = |text: &str| {
            let (low, high) = bounds(&parts(text));
            (high - low).norm()
        };
        assert!(
            diagonal("a tiny cat") < 0.6 * diagonal("a cat")
                && diagonal("a giant cat") <= diagonal("a cat")
        );
    }
}
