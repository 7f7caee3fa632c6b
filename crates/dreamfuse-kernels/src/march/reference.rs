//! Marching by testing every step.

use super::ray::Ray;
use super::{Occupancy, RAY};

/// The distances on each ray, `(k + jitter) · step`, `k = 0, 1, …`, at which it is in an occupied cell.
pub fn march(rays: &[[f32; RAY]], grid: &Occupancy, step: f32) -> Vec<Vec<f32>> {
    let march_ray = |ray: &[f32; RAY]| {
        let ray = Ray::from(ray);
        let distances = (0..(8.0 / step) as usize).map(|k| ray.distance(k, step));
        distances
            .filter(|d| {
                grid.cell(ray.at(*d))
                    .is_some_and(|cell| grid.contains(cell))
            })
            .collect()
    };
    rays.iter().map(march_ray).collect()
}
