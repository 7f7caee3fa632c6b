//! Points spread evenly over a surface.

use crate::Mesh;
use dreamfuse_core::Vec3;
use rand::{Rng, RngExt};

/// A surface from which points are drawn, each as likely as any other.
pub struct Spread<'a> {
    mesh: &'a Mesh,
    /// Areas of the triangles up to each, twice.
    sums: Vec<f64>,
}

impl<'a> Spread<'a> {
    /// Over a mesh; `None` if it has no area.
    pub fn over(mesh: &'a Mesh) -> Option<Self> {
        let mut total = 0.0;
        let up_to = |triangle| {
            let [a, b, c] = mesh.corners(triangle);
            total += f64::from((b - a).cross(&(c - a)).norm());
            total
        };
        let sums: Vec<f64> = mesh.triangles.iter().map(up_to).collect();
        (total > 0.0).then_some(Self { mesh, sums })
    }

    /// A triangle's number and a point in it.
    pub fn draw(&self, numbers: &mut impl Rng) -> (usize, Vec3) {
        let last = self.sums.len() - 1;
        let chosen = numbers.random::<f64>() * self.sums[last];
        let triangle = self.sums.partition_point(|sum| *sum <= chosen).min(last);
        let [a, b, c] = self.mesh.corners(&self.mesh.triangles[triangle]);
        let (u, v) = (numbers.random::<f32>().sqrt(), numbers.random::<f32>());
        let place = a * (1.0 - u) + b * (u * (1.0 - v)) + c * (u * v);
        (triangle, place)
    }
}
