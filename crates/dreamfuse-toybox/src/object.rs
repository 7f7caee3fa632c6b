//! Things of a scene: built from phrases, measured, moved, and given what they wear, hold and show.

use crate::grammar::{Extra, Phrase, Size};
use crate::kinds::{Anchor, Anchors, Kit};
use crate::layout::row;
use crate::scene::{Part, Texture};
use dreamfuse_core::{Purpose, Vec3, stream};
use nalgebra::Rotation3;

/// Directions in which an object's reach is looked for.
const DIRECTIONS: usize = 200;

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
pub(crate) struct Object {
    pub parts: Vec<Part>,
    pub anchors: Anchors,
    /// How large it is beside others: more than one for giants.
    pub scale: f32,
}

impl Object {
    /// Builds a phrase; `salt` counts the objects of the scene, so that each varies by itself.
    pub fn build(phrase: &Phrase, seed: Option<u64>, salt: &mut u64) -> Self {
        let mut objects = (0..phrase.count).map(|_| Self::build_one(phrase, seed, salt));
        let first = objects.next().expect("a phrase has a thing");
        let whole = objects.fold(first, row);
        Self {
            scale: phrase.size.map_or(1.0, Size::factor),
            ..whole
        }
    }

    fn build_one(phrase: &Phrase, seed: Option<u64>, salt: &mut u64) -> Self {
        *salt += 1;
        let variation = seed.map(|seed| stream(seed, Purpose::Instance, *salt, 0));
        let Kit { parts, anchors, .. } = Kit::build(
            phrase.kind,
            phrase.color_value(),
            phrase.gesturing,
            variation,
        );
        let mut object = Self {
            parts,
            anchors,
            scale: 1.0,
        };
        if !phrase.materials.is_empty() {
            for (index, part) in object.parts.iter_mut().enumerate() {
                let material = phrase.materials[index % phrase.materials.len()];
                part.material = Some(Texture {
                    material,
                    part: index,
                    scale: 1.0,
                });
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
        let of = |part: &Part| {
            part.center.dot(&axis)
                + part
                    .solid
                    .extent(part.rotation.inverse_transform_vector(&axis))
        };
        self.parts.iter().map(of).fold(f32::MIN, f32::max)
    }

    pub fn bounds(&self) -> (Vec3, Vec3) {
        let corner = |sign: f32| Vec3::from_fn(|i, _| sign * self.reach(Vec3::ith(i, sign)));
        (corner(-1.0), corner(1.0))
    }

    pub fn size(&self) -> Vec3 {
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
        let Anchors {
            head,
            hand,
            seat,
            panel,
            shelter,
        } = &mut self.anchors;
        for anchor in [head, hand, seat, panel, shelter].into_iter().flatten() {
            anchor.at = turn * (scale * anchor.at) + shift;
            anchor.size *= scale;
        }
        self
    }

    /// Scaled and shifted to stand on the ground, `width × depth × height` at most (for an ordinary one; giants take
    /// more and the tiny less), its middle at `x = y = 0`, turned by `yaw`.
    pub fn standing(self, limits: [f32; 3], yaw: f32) -> Self {
        let turned = self.moved(1.0, yaw, Vec3::zeros());
        let size = turned.size();
        let scale = turned.scale * (0..3).map(|i| limits[i] / size[i]).fold(f32::MAX, f32::min);
        let scaled = turned.moved(scale, 0.0, Vec3::zeros());
        let (low, high) = scaled.bounds();
        let middle = 0.5 * (low + high);
        scaled.moved(1.0, 0.0, -Vec3::new(middle.x, middle.y, low.z))
    }

    pub fn shifted(self, x: f32, y: f32, z: f32) -> Self {
        self.moved(1.0, 0.0, Vec3::new(x, y, z))
    }

    /// Both as one thing, which has the places of this one and an ordinary size.
    pub fn with(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self.scale = 1.0;
        self
    }

    /// The object scaled and shifted so that its box is centred and its farthest point is `radius` away.
    pub fn into_centered(self, radius: f32) -> Self {
        let (low, high) = self.bounds();
        let centered = self.moved(1.0, 0.0, -0.5 * (low + high));
        let farthest = directions()
            .map(|axis| centered.reach(axis))
            .fold(0.0, f32::max);
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
                thing
                    .standing([1.25 * size, 1.25 * size, f32::MAX], 0.0)
                    .shifted(at.x, at.y, at.z - 0.12 * size)
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
