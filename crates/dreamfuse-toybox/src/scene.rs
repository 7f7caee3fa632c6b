//! From a sentence to solids in the world: objects are built, decorated, put in the fixed layout of
//! their relation, and the whole is scaled into a ball around the origin.

use crate::grammar::{Extra, Phrase, Relation, Sentence};
use crate::kinds::{Anchor, Anchors, Kit, index_of};
use crate::material::{Color, Material};
use crate::solid::Solid;
use dreamfuse_core::{Purpose, Ray, Vec3, stream};
use nalgebra::Rotation3;

/// No point of a scene is farther from the origin, so that it fits every camera's view.
pub const RADIUS: f32 = 0.85;

/// Directions in which a scene's reach is looked for.
const DIRECTIONS: usize = 200;

/// A rotation by shortest arc that takes Z to `axis`.
pub(crate) fn turn_to(axis: Vec3) -> Rotation3<f32> {
    Rotation3::rotation_between(&Vec3::z(), &axis)
        .unwrap_or_else(|| Rotation3::from_axis_angle(&Vec3::x_axis(), std::f32::consts::PI))
}

/// A coloured solid in its place.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: &'static str,
    pub solid: Solid,
    pub center: Vec3,
    pub rotation: Rotation3<f32>,
    pub color: Color,
    pub material: Option<Texture>,
}

/// A material on a part. Patterns keep their size relative to the object.
#[derive(Clone, Copy, Debug)]
pub struct Texture {
    pub material: Material,
    /// The part's number in its object.
    pub part: usize,
    /// World units per unit of the object.
    pub scale: f32,
}

/// What a ray meets first.
#[derive(Clone, Copy, Debug)]
pub struct Surface {
    pub distance: f32,
    pub point: Vec3,
    pub normal: Vec3,
    pub albedo: Color,
}

/// A scene inside `[−1, 1]³`.
#[derive(Clone, Debug)]
pub struct Scene {
    pub parts: Vec<Part>,
}

impl Scene {
    /// The scene of a sentence: the canonical one.
    pub fn canonical(sentence: &Sentence) -> Self {
        Self::build(sentence, None)
    }

    /// An instance that varies by `seed`.
    pub fn instance(sentence: &Sentence, seed: u64) -> Self {
        Self::build(sentence, Some(seed))
    }

    fn build(sentence: &Sentence, seed: Option<u64>) -> Self {
        let mut salt = 0;
        let mut object = |phrase: &Phrase| Object::build(phrase, seed, &mut salt);
        let subject = object(&sentence.subject);
        let whole = match &sentence.relation {
            None => subject,
            Some((relation, phrase)) => {
                let other = object(phrase);
                let board = object(&Phrase::of(index_of("chess board")));
                arrange(*relation, subject, other, board)
            }
        };
        Self { parts: whole.into_centered(RADIUS).parts }
    }

    /// The first surface along a ray that starts outside.
    pub fn trace(&self, ray: &Ray) -> Option<Surface> {
        let mut first: Option<(f32, Vec3, usize)> = None;
        for (index, part) in self.parts.iter().enumerate() {
            let limit = first.map_or(f32::MAX, |(distance, ..)| distance);
            if let Some((distance, normal)) = part.intersect(ray, limit) {
                first = Some((distance, normal, index));
            }
        }
        let (distance, normal, index) = first?;
        let point = ray.origin + distance * ray.direction;
        let (albedo, normal) = self.parts[index].surface(point, normal);
        Some(Surface { distance, point, normal, albedo })
    }

    /// The signed distance of a point from the union of all parts; inside it is a bound.
    pub fn signed_distance(&self, point: Vec3) -> f32 {
        self.parts.iter().map(|part| part.solid.signed_distance(part.to_local(point))).fold(f32::MAX, f32::min)
    }
}

impl Part {
    fn to_local(&self, point: Vec3) -> Vec3 {
        self.rotation.inverse_transform_vector(&(point - self.center))
    }

    /// Distance and world normal of the first hit nearer than `limit`.
    fn intersect(&self, ray: &Ray, limit: f32) -> Option<(f32, Vec3)> {
        let towards = self.center - ray.origin;
        let along = towards.dot(&ray.direction);
        let radius = self.solid.radius();
        if towards.norm_squared() - along * along > radius * radius || along - radius > limit {
            return None;
        }
        let origin = -self.rotation.inverse_transform_vector(&towards);
        let direction = self.rotation.inverse_transform_vector(&ray.direction);
        let hit = self.solid.intersect(&Ray { origin, direction })?;
        (hit.distance < limit).then(|| (hit.distance, self.rotation * hit.normal))
    }

    /// Albedo and shading normal at a point of the surface.
    fn surface(&self, point: Vec3, normal: Vec3) -> (Color, Vec3) {
        let Some(Texture { material, part, scale }) = self.material else { return (self.color, normal) };
        let p = self.to_local(point) / scale;
        (material.paint(self.color, part, p), material.bump(normal, p))
    }
}

/// Directions spread evenly over the sphere (a Fibonacci lattice).
fn directions() -> impl Iterator<Item = Vec3> {
    (0..DIRECTIONS).map(|i| {
        let z = 1.0 - (2 * i + 1) as f32 / DIRECTIONS as f32;
        let (sin, cos) = (i as f32 * std::f32::consts::PI * (3.0 - 5f32.sqrt())).sin_cos();
        let radius = (1.0 - z * z).sqrt();
        Vec3::new(radius * cos, radius * sin, z)
    })
}

/// Parts that belong together, and their places for others.
struct Object {
    parts: Vec<Part>,
    anchors: Anchors,
}

impl Object {
    /// Builds a phrase; `salt` counts the objects of the scene, so that each varies by itself.
    fn build(phrase: &Phrase, seed: Option<u64>, salt: &mut u64) -> Self {
        *salt += 1;
        let variation = seed.map(|seed| stream(seed, Purpose::Instance, *salt, 0));
        let Kit { parts, anchors, .. } = Kit::build(phrase.kind, phrase.color_value(), phrase.gesturing, variation);
        let mut object = Self { parts, anchors };
        if !phrase.materials.is_empty() {
            for (index, part) in object.parts.iter_mut().enumerate() {
                let material = phrase.materials[index % phrase.materials.len()];
                part.material = Some(Texture { material, part: index, scale: 1.0 });
            }
        }
        if let Some((extra, thing)) = &phrase.extra {
            let thing = Self::build(thing, seed, salt);
            object.attach(*extra, thing);
        }
        object
    }

    /// How far the object reaches in a direction of length one.
    fn reach(&self, axis: Vec3) -> f32 {
        let of =
            |part: &Part| part.center.dot(&axis) + part.solid.extent(part.rotation.inverse_transform_vector(&axis));
        self.parts.iter().map(of).fold(f32::MIN, f32::max)
    }

    fn bounds(&self) -> (Vec3, Vec3) {
        let corner = |sign: f32| Vec3::from_fn(|i, _| sign * self.reach(Vec3::ith(i, sign)));
        (corner(-1.0), corner(1.0))
    }

    fn size(&self) -> Vec3 {
        let (low, high) = self.bounds();
        high - low
    }

    /// Scales about the origin, turns about Z, then shifts.
    fn moved(mut self, scale: f32, yaw: f32, shift: Vec3) -> Self {
        let turn = Rotation3::from_axis_angle(&Vec3::z_axis(), yaw);
        for part in &mut self.parts {
            part.solid = part.solid.scaled(scale);
            part.center = turn * (scale * part.center) + shift;
            part.rotation = turn * part.rotation;
            if let Some(texture) = &mut part.material {
                texture.scale *= scale;
            }
        }
        let Anchors { head, hand, seat, panel } = &mut self.anchors;
        for anchor in [head, hand, seat, panel].into_iter().flatten() {
            anchor.at = turn * (scale * anchor.at) + shift;
            anchor.size *= scale;
        }
        self
    }

    /// Scaled and shifted to stand on the ground, `width × depth × height` at most, its middle at
    /// `x = y = 0`, turned by `yaw`.
    fn standing(self, limits: [f32; 3], yaw: f32) -> Self {
        let turned = self.moved(1.0, yaw, Vec3::zeros());
        let size = turned.size();
        let scale = (0..3).map(|i| limits[i] / size[i]).fold(f32::MAX, f32::min);
        let scaled = turned.moved(scale, 0.0, Vec3::zeros());
        let (low, high) = scaled.bounds();
        let middle = 0.5 * (low + high);
        scaled.moved(1.0, 0.0, -Vec3::new(middle.x, middle.y, low.z))
    }

    fn shifted(self, x: f32, y: f32, z: f32) -> Self {
        self.moved(1.0, 0.0, Vec3::new(x, y, z))
    }

    fn with(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// The object scaled and shifted so that its box is centred and its farthest point is `radius` away.
    fn into_centered(self, radius: f32) -> Self {
        let (low, high) = self.bounds();
        let centered = self.moved(1.0, 0.0, -0.5 * (low + high));
        let farthest = directions().map(|axis| centered.reach(axis)).fold(0.0, f32::max);
        centered.moved(radius / farthest, 0.0, Vec3::zeros())
    }

    fn attach(&mut self, extra: Extra, thing: Self) {
        let (low, high) = self.bounds();
        let middle = 0.5 * (low + high);
        let size = high - low;
        let guess = |at, size| Anchor { at, size };
        let placed = match extra {
            Extra::Wearing => {
                let head = guess(Vec3::new(middle.x, middle.y, high.z), 0.6 * size.x);
                let Anchor { at, size } = self.anchors.head.unwrap_or(head);
                thing.standing([1.25 * size, 1.25 * size, f32::MAX], 0.0).shifted(at.x, at.y, at.z - 0.12 * size)
            }
            Extra::Holding => {
                let hand = guess(Vec3::new(high.x, low.y, middle.z), 0.45 * size.z);
                let Anchor { at, size } = self.anchors.hand.unwrap_or(hand);
                let held = thing.standing([size; 3], 0.0);
                let lift = 0.5 * held.size().z;
                held.shifted(at.x, at.y - 0.06, at.z - lift)
            }
            Extra::Showing => {
                let panel = guess(Vec3::new(middle.x, low.y, middle.z), 0.6 * size.x);
                let Anchor { at, size } = self.anchors.panel.unwrap_or(panel);
                let shown = thing.standing([size, 0.5 * size, size], 0.0);
                let half = 0.5 * shown.size();
                shown.shifted(at.x, at.y - 0.4 * half.y, at.z - half.z)
            }
        };
        self.parts.extend(placed.parts);
    }
}

/// The fixed layout of each relation, seen from the front (the camera at −Y, +X to the right).
fn arrange(relation: Relation, subject: Object, object: Object, board: Object) -> Object {
    const SIDE: [f32; 3] = [0.95, 1.1, 1.0];
    match relation {
        Relation::At => beside(subject.standing(SIDE, 0.45), object.standing(SIDE, -0.35), 0.08),
        Relation::NextTo => beside(subject.standing(SIDE, 0.0), object.standing(SIDE, 0.0), 0.16),
        Relation::InFrontOf => before(subject.standing([0.75, 0.8, 0.75], 0.0), object.standing([1.1, 0.9, 1.1], 0.0)),
        Relation::Behind => before(object.standing([0.75, 0.8, 0.75], 0.0), subject.standing([1.1, 0.9, 1.1], 0.0)),
        Relation::On => stacked(subject.standing([0.8, 0.8, 0.75], 0.0), object.standing([1.2, 1.2, 0.8], 0.0)),
        Relation::PlayingChess => {
            let players =
                beside(subject.standing([0.75, 0.75, 1.0], 1.1), object.standing([0.75, 0.75, 1.0], -1.1), 0.62);
            players.with(board.standing([0.62, 0.62, 0.5], 0.0))
        }
    }
}

/// `left` at −X and `right` at +X with a gap between them.
fn beside(left: Object, right: Object, gap: f32) -> Object {
    let (from_left, from_right) = (0.5 * (gap + left.size().x), 0.5 * (gap + right.size().x));
    left.shifted(-from_left, 0.0, 0.0).with(right.shifted(from_right, 0.0, 0.0))
}

/// `front` nearer to the front camera and a little to the left of `back`.
fn before(front: Object, back: Object) -> Object {
    let (from_front, from_back) = (0.5 * front.size().y + 0.06, 0.5 * back.size().y + 0.06);
    front.shifted(-0.3, -from_front, 0.0).with(back.shifted(0.3, from_back, 0.0))
}

/// `upper` on the seat of `lower`, or on its top.
fn stacked(upper: Object, lower: Object) -> Object {
    let (low, high) = lower.bounds();
    let top = Vec3::new(0.5 * (low.x + high.x), 0.5 * (low.y + high.y), high.z - 0.02);
    let at = lower.anchors.seat.map_or(top, |seat| seat.at);
    upper.shifted(at.x, at.y, at.z).with(lower)
}
