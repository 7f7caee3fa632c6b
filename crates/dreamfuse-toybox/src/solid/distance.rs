//! Signed distances: negative inside, Euclidean everywhere.

use super::Solid;
use dreamfuse_core::Vec3;

/// Most points need seven. On the plane across the shortest axis, rounding may keep the steps above the least one.
const NEWTON_STEPS: usize = 64;

impl Solid {
    /// The signed distance of a point of the solid's own frame from its surface.
    pub fn signed_distance(&self, p: Vec3) -> f32 {
        let across = p.x.hypot(p.y);
        match *self {
            Self::Ellipsoid { radii } => ellipsoid(p, radii),
            Self::Box { half } => {
                let q = p.abs() - half;
                q.sup(&Vec3::zeros()).norm() + q.max().min(0.0)
            }
            Self::Frustum { bottom, top, half } => frustum(across, p.z, bottom, top, half),
            Self::Torus { major, minor } => (across - major).hypot(p.z) - minor,
            Self::Capsule { half, radius } => across.hypot((p.z.abs() - half).max(0.0)) - radius,
        }
    }
}

/// The nearest point `x_i = r_i² p_i / (t + r_i²)` of the surface
/// (Eberly, "Distance from a Point to an Ellipse, an Ellipsoid, or a Hyperellipsoid"). `t` is the root of a falling, convex
/// function. Newton's method nears it from the left, from where one term alone makes it zero or more.
fn ellipsoid(p: Vec3, radii: Vec3) -> f32 {
    let e = radii.cast::<f64>();
    // On a plane of symmetry the equation degenerates; a hair beside it does not.
    let y = p.abs().cast::<f64>().map(|v| v.max(1e-9));
    let mut t = (e.component_mul(&y) - e.component_mul(&e)).max();
    for _ in 0..NEWTON_STEPS {
        let (mut value, mut fall) = (-1.0, 0.0);
        for i in 0..3 {
            let below = t + e[i] * e[i];
            let term = (e[i] * y[i] / below).powi(2);
            value += term;
            fall += 2.0 * term / below;
        }
        let step = value / fall;
        t += step;
        // The error of the next step is about the square of this one's.
        if step <= 1e-9 * (t + e.min().powi(2)) {
            break;
        }
    }
    let nearest = y.zip_map(&e, |y, e| e * e * y / (t + e * e));
    let is_inside = y.component_div(&e).norm() < 1.0;
    let distance = (nearest - y).norm() as f32;
    if is_inside { -distance } else { distance }
}

/// In the half-plane of (distance from the axis, height): the nearest of the caps and the mantle
/// (Quilez, "Distance functions", capped cone).
fn frustum(across: f32, z: f32, bottom: f32, top: f32, half: f32) -> f32 {
    let end = if z < 0.0 { bottom } else { top };
    let cap = [across - across.min(end), z.abs() - half];
    let slope = [top - bottom, 2.0 * half];
    let along = ((top - across) * slope[0] + (half - z) * slope[1])
        / (slope[0] * slope[0] + slope[1] * slope[1]);
    let along = along.clamp(0.0, 1.0);
    let mantle = [across - top + along * slope[0], z - half + along * slope[1]];
    let is_inside = mantle[0] < 0.0 && cap[1] < 0.0;
    let distance = cap[0].hypot(cap[1]).min(mantle[0].hypot(mantle[1]));
    if is_inside { -distance } else { distance }
}
