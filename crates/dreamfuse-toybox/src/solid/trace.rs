//! Rays against solids in closed form. A ray starts outside of the solid.

use super::quartic::depressed_roots;
use super::{Hit, Solid};
use dreamfuse_core::{Ray, Vec3};

impl Solid {
    /// The first point in front of the ray's origin where the ray enters the solid; the ray is in the
    /// solid's own frame.
    pub fn intersect(&self, ray: &Ray) -> Option<Hit> {
        match *self {
            Self::Ellipsoid { radii } => ellipsoid(ray, radii),
            Self::Box { half } => cuboid(ray, half),
            Self::Frustum { bottom, top, half } => frustum(ray, bottom, top, half),
            Self::Torus { major, minor } => torus(ray, major, minor),
            Self::Capsule { half, radius } => capsule(ray, half, radius),
        }
    }
}

/// The smaller root of `a t² + 2 b t + c`, if real and positive.
fn first_root(a: f32, b: f32, c: f32) -> Option<f32> {
    let discriminant = b * b - a * c;
    if discriminant < 0.0 {
        return None;
    }
    let t = (-b - discriminant.sqrt()) / a;
    (t > 0.0).then_some(t)
}

fn ellipsoid(ray: &Ray, radii: Vec3) -> Option<Hit> {
    let (o, d) = (
        ray.origin.component_div(&radii),
        ray.direction.component_div(&radii),
    );
    let distance = first_root(d.dot(&d), o.dot(&d), o.dot(&o) - 1.0)?;
    let normal = (o + distance * d).component_div(&radii).normalize();
    Some(Hit { distance, normal })
}

fn cuboid(ray: &Ray, half: Vec3) -> Option<Hit> {
    let (mut near, mut far, mut face) = (f32::MIN, f32::MAX, 0);
    for axis in 0..3 {
        let (o, d) = (ray.origin[axis], ray.direction[axis]);
        if d.abs() < 1e-9 {
            if o.abs() > half[axis] {
                return None;
            }
            continue;
        }
        let enter = (-half[axis] * d.signum() - o) / d;
        let leave = (half[axis] * d.signum() - o) / d;
        if enter > near {
            (near, face) = (enter, axis);
        }
        far = far.min(leave);
    }
    (near <= far && near > 0.0).then(|| {
        let mut normal = Vec3::zeros();
        normal[face] = -ray.direction[face].signum();
        Hit {
            distance: near,
            normal,
        }
    })
}

fn frustum(ray: &Ray, bottom: f32, top: f32, half: f32) -> Option<Hit> {
    let side = frustum_side(ray, bottom, top, half);
    let caps = [(half, top), (-half, bottom)]
        .into_iter()
        .filter_map(|(z, radius)| disc(ray, z, radius));
    caps.chain(side)
        .min_by(|a, b| a.distance.total_cmp(&b.distance))
}

/// The flat end at height `z`, entered from its outer side.
fn disc(ray: &Ray, z: f32, radius: f32) -> Option<Hit> {
    let outward = z.signum();
    if ray.direction.z * outward >= 0.0 {
        return None;
    }
    let distance = (z - ray.origin.z) / ray.direction.z;
    let p = ray.origin + distance * ray.direction;
    (distance > 0.0 && p.x.hypot(p.y) <= radius).then(|| Hit {
        distance,
        normal: outward * Vec3::z(),
    })
}

/// The mantle `x² + y² = (m + k z)²`, where `m + k z` is the radius at height `z`.
fn frustum_side(ray: &Ray, bottom: f32, top: f32, half: f32) -> Option<Hit> {
    let (m, k) = (0.5 * (bottom + top), 0.5 * (top - bottom) / half);
    let (o, d) = (ray.origin, ray.direction);
    let (ro, rd) = (m + k * o.z, k * d.z);
    let a = d.x * d.x + d.y * d.y - rd * rd;
    let b = o.x * d.x + o.y * d.y - ro * rd;
    let c = o.x * o.x + o.y * o.y - ro * ro;
    let discriminant = b * b - a * c;
    if discriminant < 0.0 || a.abs() < 1e-12 {
        return None;
    }
    let root = discriminant.sqrt();
    // A ray steeper than the mantle has its roots the other way round, and one on the mirror cone.
    let roots = [(-b - root) / a, (-b + root) / a].into_iter();
    let hit = |t: f32| {
        let p = o + t * d;
        let radius = m + k * p.z;
        let normal = Vec3::new(p.x, p.y, -k * radius).normalize();
        (t > 0.0 && p.z.abs() <= half && radius >= 0.0 && normal.dot(&d) <= 0.0).then_some(Hit {
            distance: t,
            normal,
        })
    };
    roots
        .filter_map(hit)
        .min_by(|a, b| a.distance.total_cmp(&b.distance))
}

fn capsule(ray: &Ray, half: f32, radius: f32) -> Option<Hit> {
    let (o, d) = (ray.origin, ray.direction);
    let a = d.x * d.x + d.y * d.y;
    let mantle = (a > 1e-12)
        .then(|| {
            first_root(
                a,
                o.x * d.x + o.y * d.y,
                o.x * o.x + o.y * o.y - radius * radius,
            )
        })
        .flatten()
        .map(|t| (t, o + t * d))
        .filter(|(_, p)| p.z.abs() <= half)
        .map(|(distance, p)| Hit {
            distance,
            normal: Vec3::new(p.x, p.y, 0.0).normalize(),
        });
    let cap = |z: f32| {
        let from = o - z * Vec3::z();
        let distance = first_root(1.0, from.dot(&d), from.dot(&from) - radius * radius)?;
        Some(Hit {
            distance,
            normal: (from + distance * d).normalize(),
        })
    };
    [mantle, cap(half), cap(-half)]
        .into_iter()
        .flatten()
        .min_by(|a, b| a.distance.total_cmp(&b.distance))
}

/// `(|p|² + R² − r²)² = 4 R² (x² + y²)`. Measured from the ray's point nearest the centre, the
/// quartic in `t` has no cubic term.
fn torus(ray: &Ray, major: f32, minor: f32) -> Option<Hit> {
    let (major2, minor2) = (f64::from(major).powi(2), f64::from(minor).powi(2));
    let nearest = -ray.origin.dot(&ray.direction);
    let o = (ray.origin + nearest * ray.direction).cast::<f64>();
    let d = ray.direction.cast::<f64>();
    if o.norm_squared() > f64::from(major + minor).powi(2) {
        return None;
    }
    let k = o.norm_squared() + major2 - minor2;
    let p = 2.0 * k - 4.0 * major2 * (d.x * d.x + d.y * d.y);
    let q = -8.0 * major2 * (o.x * d.x + o.y * d.y);
    let r = k * k - 4.0 * major2 * (o.x * o.x + o.y * o.y);
    let first = depressed_roots(p, q, r)
        .into_iter()
        .flatten()
        .filter(|t| t + f64::from(nearest) > 0.0)
        .fold(f64::INFINITY, f64::min);
    first.is_finite().then(|| {
        let at = (o + first * d).cast::<f32>();
        let ring = Vec3::new(at.x, at.y, 0.0).normalize() * major;
        Hit {
            distance: first as f32 + nearest,
            normal: (at - ring).normalize(),
        }
    })
}
