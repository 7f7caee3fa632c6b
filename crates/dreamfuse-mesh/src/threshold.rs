//! A threshold that varies in space. A volume is soft: a thin part with a low density can be as opaque as a thick one,
//! and one density for all parts thickens some and loses others.

use crate::grid::DensityGrid;
use crate::iso::Silhouette;
use dreamfuse_core::Vec3;
use rayon::prelude::*;

/// Opacities of rays that touch the edge of a silhouette.
const EDGE: std::ops::Range<f32> = 0.4..0.6;

/// Cells along a side of the lattice that the threshold is kept on.
const CELLS: usize = 48;
const SIDE: usize = CELLS + 1;

/// How far an edge's threshold reaches: the deviation of a Gaussian, in units of the box, which is 2 wide.
const REACH: f32 = 0.05;

/// What the global threshold weighs, in rays at the same place.
const GLOBAL: f32 = 0.05;

/// The density at which the surface lies, everywhere in the box.
pub struct Threshold {
    /// The logarithm, at `(CELLS + 1)³` points, x fastest.
    logarithms: DensityGrid,
}

/// A ray at the edge of a silhouette: the surface touches it where its density is highest.
struct Touch {
    place: Vec3,
    logarithm: f32,
}

impl Threshold {
    /// By the silhouettes of the volume, and `iso` where none passes.
    pub fn of(grid: &DensityGrid, views: &[Silhouette], iso: f32) -> Self {
        let touches: Vec<Touch> = views
            .par_iter()
            .flat_map_iter(|view| touches(grid, view))
            .collect();
        let (mut sums, mut weights) = (vec![0.0; SIDE.pow(3)], vec![0.0; SIDE.pow(3)]);
        for Touch { place, logarithm } in touches {
            let index = nearest(place);
            sums[index] += logarithm;
            weights[index] += 1.0;
        }
        for step in [1, SIDE, SIDE * SIDE] {
            sums = blurred(&sums, step);
            weights = blurred(&weights, step);
        }
        let pairs = sums.into_iter().zip(weights);
        let mean = |(sum, weight): (f32, f32)| (GLOBAL * iso.ln() + sum) / (GLOBAL + weight);
        Self {
            logarithms: DensityGrid {
                cells: CELLS,
                values: pairs.map(mean).collect(),
            },
        }
    }

    /// At a point of the box.
    pub fn at(&self, p: [f32; 3]) -> f32 {
        self.logarithms.at(Vec3::from(p)).exp()
    }
}

/// The lattice's point that is nearest to a place.
fn nearest(place: Vec3) -> usize {
    let [x, y, z] = <[f32; 3]>::from(place).map(|v| {
        let at = (0.5 * (v + 1.0) * CELLS as f32).round();
        at.clamp(0.0, CELLS as f32) as usize
    });
    x + SIDE * (y + SIDE * z)
}

/// Sums under a Gaussian of height one along an axis, whose neighbours are `step` apart.
fn blurred(values: &[f32], step: usize) -> Vec<f32> {
    let deviation = REACH * 0.5 * CELLS as f32;
    let reach = (3.0 * deviation).ceil() as usize;
    let weight = |apart: usize| (-0.5 * (apart as f32 / deviation).powi(2)).exp();
    let kernel: Vec<f32> = (0..=reach).map(weight).collect();
    let at = |index: usize| {
        let along = index / step % SIDE;
        let sides = (1..=reach).map(|apart| {
            let before = (apart <= along).then(|| values[index - apart * step]);
            let after = (along + apart < SIDE).then(|| values[index + apart * step]);
            kernel[apart] * (before.unwrap_or(0.0) + after.unwrap_or(0.0))
        });
        values[index] + sides.sum::<f32>()
    };
    (0..values.len()).map(at).collect()
}

fn touches(grid: &DensityGrid, view: &Silhouette) -> Vec<Touch> {
    let rays = view.camera.rays(view.size);
    let edges = rays
        .iter()
        .zip(&view.opacity)
        .filter(|(_, opacity)| EDGE.contains(opacity));
    edges
        .filter_map(|(ray, _)| {
            let (density, place) = grid.densest_along(ray);
            (density > 0.0).then(|| Touch {
                place,
                logarithm: density.ln(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_core::{Camera, Ray};

    /// Two balls with the same opaque silhouettes; one is ten times as dense as the other.
    #[test]
    fn parts_of_different_densities_have_thresholds_of_their_own() {
        let (left, right) = (Vec3::new(-0.4, 0.0, 0.0), Vec3::new(0.4, 0.0, 0.0));
        let falling = |p: Vec3, center: Vec3| (0.5 - (p - center).norm()).max(0.0);
        let density = |p: &[f32; 3]| {
            let p = Vec3::from(*p);
            100.0 * falling(p, left) + 10.0 * falling(p, right)
        };
        let grid = DensityGrid::sample(64, |points| points.iter().map(density).collect());
        let view = |camera: Camera| {
            let distance =
                |ray: &Ray, center: Vec3| (center - ray.origin).cross(&ray.direction).norm();
            // Opaque up to a radius of 0.25, with a soft edge of a pixel or two.
            let opacity = |ray: &Ray| {
                let nearest = distance(ray, left).min(distance(ray, right));
                (0.5 - (nearest - 0.25) / 0.06).clamp(0.0, 1.0)
            };
            Silhouette {
                opacity: camera.rays(64).iter().map(opacity).collect(),
                size: 64,
                camera,
            }
        };
        let views: Vec<_> = Camera::ring(8, 0.3).into_iter().map(view).collect();
        let threshold = Threshold::of(&grid, &views, 5.0);
        // At the radius of 0.25 the densities are 25 and 2.5.
        let (dense, thin) = (
            threshold.at([-0.65, 0.0, 0.0]),
            threshold.at([0.65, 0.0, 0.0]),
        );
        assert!(
            (dense / 25.0).ln().abs() < 0.25 && (thin / 2.5).ln().abs() < 0.25,
            "{dense} {thin}"
        );
        // Far from any silhouette it is the global one.
        assert!((threshold.at([0.0, 0.0, 0.95]) - 5.0).abs() < 0.5);
    }
}
