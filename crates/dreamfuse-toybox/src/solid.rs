//! Simple solids around the origin of their own frame: ray intersection in closed form, signed
//! distance, extent. Axes of symmetry are Z.

mod distance;
mod quartic;
mod trace;

use dreamfuse_core::Vec3;

/// A solid centred on its own origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Solid {
    Ellipsoid {
        radii: Vec3,
    },
    Box {
        half: Vec3,
    },
    /// A capped cone between `z = −half` with radius `bottom` and `z = half` with radius `top`;
    /// a cylinder where the radii are equal, a cone where one is zero.
    Frustum {
        bottom: f32,
        top: f32,
        half: f32,
    },
    Torus {
        major: f32,
        minor: f32,
    },
    /// All points within `radius` of the segment from `z = −half` to `z = half`.
    Capsule {
        half: f32,
        radius: f32,
    },
}

/// Where a ray meets a solid first: the distance along the ray and the outward unit normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub distance: f32,
    pub normal: Vec3,
}

impl Solid {
    /// The solid `factor` times as large.
    pub fn scaled(self, factor: f32) -> Self {
        match self {
            Self::Ellipsoid { radii } => Self::Ellipsoid {
                radii: factor * radii,
            },
            Self::Box { half } => Self::Box {
                half: factor * half,
            },
            Self::Frustum { bottom, top, half } => Self::Frustum {
                bottom: factor * bottom,
                top: factor * top,
                half: factor * half,
            },
            Self::Torus { major, minor } => Self::Torus {
                major: factor * major,
                minor: factor * minor,
            },
            Self::Capsule { half, radius } => Self::Capsule {
                half: factor * half,
                radius: factor * radius,
            },
        }
    }

    /// The farthest reach from the origin.
    pub fn radius(&self) -> f32 {
        match *self {
            Self::Ellipsoid { radii } => radii.max(),
            Self::Box { half } => half.norm(),
            Self::Frustum { bottom, top, half } => bottom.max(top).hypot(half),
            Self::Torus { major, minor } => major + minor,
            Self::Capsule { half, radius } => half + radius,
        }
    }

    /// The reach in the unit direction `axis` (the support function).
    pub fn extent(&self, axis: Vec3) -> f32 {
        let across = axis.x.hypot(axis.y);
        match *self {
            Self::Ellipsoid { radii } => radii.component_mul(&axis).norm(),
            Self::Box { half } => half.dot(&axis.abs()),
            Self::Frustum { bottom, top, half } => {
                (top * across + half * axis.z).max(bottom * across - half * axis.z)
            }
            Self::Torus { major, minor } => major * across + minor,
            Self::Capsule { half, radius } => half * axis.z.abs() + radius,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_core::{Purpose, Ray, stream};
    use rand::{Rng, RngExt};

    const SOLIDS: [Solid; 6] = [
        Solid::Ellipsoid {
            radii: Vec3::new(0.9, 0.4, 0.6),
        },
        Solid::Box {
            half: Vec3::new(0.5, 0.3, 0.7),
        },
        Solid::Frustum {
            bottom: 0.7,
            top: 0.2,
            half: 0.5,
        },
        Solid::Frustum {
            bottom: 0.4,
            top: 0.4,
            half: 0.6,
        },
        Solid::Torus {
            major: 0.7,
            minor: 0.2,
        },
        Solid::Capsule {
            half: 0.5,
            radius: 0.3,
        },
    ];

    fn point(rng: &mut impl Rng, reach: f32) -> Vec3 {
        Vec3::from_fn(|_, _| rng.random_range(-reach..reach))
    }

    /// Walks along the ray by the signed distance: an independent way to the first hit.
    fn march(solid: &Solid, ray: &Ray) -> Option<f32> {
        let mut t = 0.0;
        for _ in 0..4000 {
            let d = solid.signed_distance(ray.origin + t * ray.direction);
            if d < 1e-5 {
                return Some(t);
            }
            t += d;
            if t > 10.0 {
                return None;
            }
        }
        None // a grazing ray: undecided
    }

    #[test]
    fn intersections_agree_with_marching_by_the_signed_distance() {
        let mut rng = stream(1, Purpose::Sampling, 0, 0);
        for solid in &SOLIDS {
            let mut hits = 0;
            for _ in 0..2000 {
                let origin = 3.0 * point(&mut rng, 1.0).normalize();
                let ray = Ray {
                    origin,
                    direction: (point(&mut rng, 0.8) - origin).normalize(),
                };
                let (Some(marched), Some(hit)) = (march(solid, &ray), solid.intersect(&ray)) else {
                    continue;
                };
                hits += 1;
                // Where a ray grazes, a small error of the point is a large one along the ray.
                let slack = 1e-4 / hit.normal.dot(&ray.direction).abs().max(1e-2) + 1e-4;
                assert!(
                    (hit.distance - marched).abs() < slack,
                    "{solid:?} {ray:?}: {} for {marched}",
                    hit.distance
                );
                assert!(
                    hit.normal.dot(&ray.direction) < 1e-3,
                    "{solid:?}: the normal looks inward"
                );
            }
            assert!(hits > 300, "{solid:?}: only {hits} rays hit");
        }
    }

    #[test]
    fn rays_that_miss_are_told_from_rays_that_hit() {
        let mut rng = stream(2, Purpose::Sampling, 0, 0);
        for solid in &SOLIDS {
            for _ in 0..2000 {
                let origin = 3.0 * point(&mut rng, 1.0).normalize();
                let ray = Ray {
                    origin,
                    direction: (point(&mut rng, 1.0) - origin).normalize(),
                };
                let nearest = (0..6000)
                    .map(|i| solid.signed_distance(ray.origin + i as f32 * 1e-3 * ray.direction))
                    .fold(f32::MAX, f32::min);
                if nearest.abs() > 5e-3 {
                    assert_eq!(
                        solid.intersect(&ray).is_some(),
                        nearest < 0.0,
                        "{solid:?} {ray:?} {nearest}"
                    );
                }
            }
        }
    }

    #[test]
    fn signed_distances_have_unit_slope_and_the_normal_is_their_gradient() {
        let mut rng = stream(3, Purpose::Sampling, 0, 0);
        for solid in &SOLIDS {
            for _ in 0..300 {
                let origin = 3.0 * point(&mut rng, 1.0).normalize();
                let ray = Ray {
                    origin,
                    direction: (point(&mut rng, 0.3) - origin).normalize(),
                };
                let Some(hit) = solid.intersect(&ray) else {
                    continue;
                };
                let p = ray.origin + (hit.distance - 0.05) * ray.direction;
                let h = 1e-3;
                let slope = |axis: Vec3| {
                    (solid.signed_distance(p + h * axis) - solid.signed_distance(p - h * axis))
                        / (2.0 * h)
                };
                let gradient = Vec3::new(slope(Vec3::x()), slope(Vec3::y()), slope(Vec3::z()));
                assert!(
                    (gradient.norm() - 1.0).abs() < 0.05,
                    "{solid:?} at {p:?}: {gradient:?}"
                );
                let surface = p - solid.signed_distance(p) * gradient;
                assert!(
                    solid.signed_distance(surface).abs() < 5e-3,
                    "{solid:?}: not the nearest point"
                );
            }
        }
    }

    #[test]
    fn distances_of_ellipsoids_are_exact_where_the_equation_degenerates() {
        let close = |radii: Vec3, p: Vec3, expected: f32| {
            let found = Solid::Ellipsoid { radii }.signed_distance(p);
            assert!(
                (found - expected).abs() < 1e-6,
                "{radii:?} at {p:?}: {found}, expected {expected}"
            );
        };
        let (round, tall) = (Vec3::repeat(0.4), Vec3::new(0.9, 0.4, 0.6));
        close(round, Vec3::zeros(), -0.4);
        close(round, Vec3::new(0.0, 0.3, 0.4), 0.1);
        close(tall, Vec3::zeros(), -0.4);
        close(tall, Vec3::new(0.0, 0.1, 0.0), -0.3);
        close(tall, Vec3::new(0.0, 0.0, -0.9), 0.3);
        // Across the middle of a flat one the nearest point leaves the plane, and comes back near the rim.
        let [long, short] = [1.0f32, 0.02];
        let flat = Vec3::new(long, long, short);
        let inner = long * long - short * short;
        for x in [0.1, 0.5, 0.9, 0.999] {
            close(
                flat,
                Vec3::new(0.0, x, 0.0),
                -short * (1.0 - x * x / inner).sqrt(),
            );
        }
        close(flat, Vec3::new(0.9999, 0.0, 0.0), 0.9999 - long);
        close(flat, Vec3::new(1.5, 0.0, 0.0), 0.5);
    }

    #[test]
    fn the_extent_is_reached_and_not_exceeded() {
        let mut rng = stream(4, Purpose::Sampling, 0, 0);
        for solid in &SOLIDS {
            for _ in 0..50 {
                let axis = point(&mut rng, 1.0).normalize();
                let reach = solid.extent(axis);
                let inside = |p: &Vec3| solid.signed_distance(*p) <= 0.0;
                let farthest = (0..4000)
                    .map(|_| point(&mut rng, 1.0))
                    .filter(inside)
                    .map(|p| p.dot(&axis));
                assert!(farthest.fold(f32::MIN, f32::max) <= reach + 1e-4);
                assert!(solid.signed_distance((reach + 0.01) * axis) > 0.0);
                assert!(reach <= solid.radius() + 1e-5);
            }
        }
    }
}
