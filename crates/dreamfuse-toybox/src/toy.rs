//! Toys: random solids that no sentence describes, so that a prior that is shown one has to look.

use crate::grammar::Sentence;
use crate::kinds::Anchors;
use crate::material::{Color, MATERIALS};
use crate::object::Object;
use crate::scene::{Part, RADIUS, Scene, Texture, turn_to};
use crate::solid::Solid;
use dreamfuse_core::{Purpose, Vec3, stream};
use nalgebra::Rotation3;
use rand::{Rng, RngExt};
use std::f32::consts::TAU;

/// Solids of a toy.
const SOLIDS: std::ops::RangeInclusive<usize> = 3..=9;

/// One toy in so many is held out.
const HELD_OUT: u64 = 50;

/// Kinds that are never shown as references, for an evaluation with things that were not. None is of ToyBench.
pub const UNSEEN: [&str; 8] = [
    "zebra",
    "panda",
    "snail",
    "wizard",
    "truck",
    "helicopter",
    "sofa",
    "television",
];

/// Share of the toys that are mirrored left to right, as most things are.
const MIRRORED: f64 = 0.5;

/// Share of the toys that are made of a material.
const MATERIAL: f64 = 0.25;

impl Scene {
    /// A toy of three to nine solids that touch, with colours and perhaps a material of its own.
    pub fn toy(seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Toy, 0, 0);
        let count = rng.random_range(SOLIDS);
        let is_mirrored = rng.random_bool(MIRRORED);
        let material = rng
            .random_bool(MATERIAL)
            .then(|| MATERIALS[rng.random_range(0..MATERIALS.len())].material);
        let palette = [(); 4].map(|()| color(&mut rng));
        let mut parts: Vec<Part> = Vec::with_capacity(2 * count);
        while parts.len() < count {
            let mut part = Part {
                name: "toy",
                solid: solid(&mut rng),
                center: Vec3::zeros(),
                rotation: rotation(&mut rng),
                color: palette[rng.random_range(0..palette.len())],
                material: material.map(|material| Texture {
                    material,
                    part: parts.len(),
                    scale: 1.0,
                }),
            };
            if !parts.is_empty() {
                let host = &parts[rng.random_range(0..parts.len())];
                part.center = beside(host, &part, direction(&mut rng));
            }
            let twin = (is_mirrored && !parts.is_empty()).then(|| mirrored(&part));
            parts.push(part);
            parts.extend(twin);
        }
        let whole = Object {
            parts,
            anchors: Anchors::default(),
            scale: 1.0,
        };
        Self {
            parts: whole.into_centered(RADIUS).parts,
        }
    }
}

/// Whether a sentence has a kind of [`UNSEEN`].
pub fn is_unseen(sentence: &Sentence) -> bool {
    let kinds = sentence.kinds();
    kinds.iter().any(|kind| UNSEEN.contains(&kind.name))
}

/// Whether training never shows a toy, whose seed this is.
pub fn is_held_out(seed: u64) -> bool {
    seed.is_multiple_of(HELD_OUT)
}

/// Seeds of held-out toys, in their order.
pub fn held_out() -> impl Iterator<Item = u64> {
    (1..).map(|number| HELD_OUT * number)
}

fn direction(rng: &mut impl Rng) -> Vec3 {
    let z = rng.random_range(-1.0..=1.0f32);
    let (sin, cos) = rng.random_range(0.0..TAU).sin_cos();
    let across = (1.0 - z * z).sqrt();
    Vec3::new(across * cos, across * sin, z)
}

/// Half of the solids stand upright.
fn rotation(rng: &mut impl Rng) -> Rotation3<f32> {
    if rng.random_bool(0.5) {
        Rotation3::identity()
    } else {
        turn_to(direction(rng))
    }
}

/// Display-referred: any hue, from pale to full, from dark to bright.
fn color(rng: &mut impl Rng) -> Color {
    let (hue, saturation) = (rng.random_range(0.0..6.0f32), rng.random_range(0.1..0.95));
    let value = rng.random_range(0.25..0.98f32);
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + hue) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

fn solid(rng: &mut impl Rng) -> Solid {
    let mut size = || rng.random_range(0.12..0.45f32);
    let [a, b, c] = [size(), size(), size()];
    match rng.random_range(0..6) {
        0 => Solid::Ellipsoid {
            radii: Vec3::new(a, b, c),
        },
        1 => Solid::Box {
            half: Vec3::new(a, b, c),
        },
        2 => Solid::Frustum {
            bottom: a,
            top: a,
            half: b,
        },
        3 => Solid::Frustum {
            bottom: a,
            top: 0.3 * b,
            half: c,
        },
        4 => Solid::Torus {
            major: a + 0.1,
            minor: 0.3 * b + 0.04,
        },
        _ => Solid::Capsule {
            half: a,
            radius: 0.6 * b,
        },
    }
}

/// Where `part` reaches a little into `host` in a direction from it.
fn beside(host: &Part, part: &Part, direction: Vec3) -> Vec3 {
    let reach = |part: &Part, axis: Vec3| {
        let local = part.rotation.inverse_transform_vector(&axis);
        part.solid.extent(local)
    };
    let apart = 0.8 * (reach(host, direction) + reach(part, -direction));
    host.center + apart * direction
}

/// The same on the other side of the plane between left and right.
fn mirrored(part: &Part) -> Part {
    // Solids are round about their axis, or boxes and ellipsoids that are their own mirror images.
    let axis = part.rotation * Vec3::z();
    let across = part.rotation * Vec3::x();
    let flip = |v: Vec3| Vec3::new(-v.x, v.y, v.z);
    let (z, x) = (flip(axis), flip(across));
    let rotation = nalgebra::Matrix3::from_columns(&[x, z.cross(&x), z]);
    Part {
        center: flip(part.center),
        rotation: Rotation3::from_matrix_unchecked(rotation),
        ..part.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{Look, render};
    use dreamfuse_core::Camera;

    #[test]
    fn toys_fill_the_view_in_one_piece_and_differ() {
        let camera = Camera::orbit(0.4, 0.3);
        let image = |seed: u64| {
            let scene = Scene::toy(seed);
            assert!((3..=10).contains(&scene.parts.len()), "{seed}");
            let view = render(&scene, &camera, &Look::albedo(&camera), 16);
            let covered = view.opacity.iter().sum::<f32>() / 256.0;
            assert!((0.02..0.9).contains(&covered), "{seed}: {covered}");
            for part in &scene.parts {
                let touched = scene.parts.iter().filter(|other| {
                    let reach = part.solid.radius() + other.solid.radius();
                    (part.center - other.center).norm() < reach
                });
                assert!(touched.count() > 1, "{seed}: a solid by itself");
            }
            view.image.pixels
        };
        let images: Vec<_> = (1..40).map(image).collect();
        for (index, one) in images.iter().enumerate() {
            assert!(images[..index].iter().all(|other| other != one));
        }
        assert_eq!(image(7), images[6]);
    }

    #[test]
    fn a_twin_is_the_mirror_image() {
        let camera = Camera::orbit(0.0, 0.2);
        let mut rng = stream(3, Purpose::Toy, 0, 0);
        for _ in 0..20 {
            let part = Part {
                name: "toy",
                solid: solid(&mut rng),
                center: Vec3::new(0.3, 0.1, -0.1),
                rotation: turn_to(direction(&mut rng)),
                color: [0.8, 0.2, 0.1],
                material: None,
            };
            let parts = vec![mirrored(&part), part];
            let view = render(&Scene { parts }, &camera, &Look::albedo(&camera), 24);
            let at = |x: usize, y: usize| view.opacity[24 * y + x];
            let apart = (0..24 * 24)
                .map(|i| (at(i % 24, i / 24) - at(23 - i % 24, i / 24)).abs())
                .sum::<f32>();
            assert!(apart < 2.0, "{apart}");
        }
    }
}
