//! Signed distances: negative inside, Euclidean everywhere.

use super::Solid;
use dreamfuse_core::Vec3;

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

/// The nearest point `x_i = r_i² p_i / (t + r_i²)` of the surface by bisection on `t`
/// (Eberly, "Distance from a Point to an Ellipse, an Ellipsoid, or a Hyperellipsoid").
fn ellipsoid(p: Vec3, radii: Vec3) -> f32 {
    let e = radii.cast::<f64>();
    // On a plane of symmetry the equation degenerates; a hair beside it does not.
    let y = p.abs().cast::<f64>().map(|v| v.max(1e-9));
    let smallest = e.imin();
    let on_surface = |t: f64| {
        (0..3)
            .map(|i| (e[i] * y[i] / (t + e[i] * e[i])).powi(2))
            .sum::<f64>()
            - 1.0
    };
    let edge = -e[smallest] * e[smallest];
    let (mut low, mut high) = (
        edge + e[smallest] * y[smallest],
        edge + e.component_mul(&y).norm(),
    );
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if on_surface(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let t = 0.5 * (low + high);
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
