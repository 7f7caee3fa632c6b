//! Marching that jumps over empty cells.

use super::ray::Ray;
use super::{Occupancy, RAY};
use rayon::prelude::*;

/// Rays of a piece of work.
const RAYS: usize = 256;

/// See [`Samples`](super::Samples).
#[derive(Default)]
pub(super) struct Packed {
    pub positions: Vec<f32>,
    pub distances: Vec<f32>,
    pub starts: Vec<i64>,
}

pub(super) fn march(rays: &[[f32; RAY]], grid: &Occupancy, step: f32) -> Packed {
    let march_part = |rays: &[[f32; RAY]]| {
        let mut part = Packed::default();
        for ray in rays {
            march_ray(&ray.into(), grid, step, &mut part);
            part.starts.push(part.distances.len() as i64);
        }
        part
    };
    let parts: Vec<Packed> = rays.par_chunks(RAYS).map(march_part).collect();
    let count = parts.iter().map(|part| part.distances.len()).sum();
    let mut all = Packed {
        positions: Vec::with_capacity(3 * count),
        distances: Vec::with_capacity(count),
        starts: Vec::with_capacity(rays.len() + 1),
    };
    all.starts.push(0);
    for part in parts {
        let first = all.distances.len() as i64;
        all.positions.extend(part.positions);
        all.distances.extend(part.distances);
        all.starts
            .extend(part.starts.iter().map(|start| first + start));
    }
    all
}

fn march_ray(ray: &Ray, grid: &Occupancy, step: f32, samples: &mut Packed) {
    let Some((near, far)) = ray.inside() else {
        return;
    };
    // Reciprocals once a ray: divisions would be the larger part of a jump.
    let (steps, slowness) = (1.0 / step, ray.direction.map(|d| 1.0 / d));
    let number = |distance: f32| round_up(distance * steps - ray.jitter);
    let mut k = number(near);
    loop {
        let distance = ray.distance(k, step);
        if distance >= far {
            return;
        }
        let p = ray.at(distance);
        match grid.cell(p) {
            Some(cell) if grid.contains(cell) => {
                samples.positions.extend(p);
                samples.distances.push(distance);
                k += 1;
            }
            Some(cell) => k = number(distance + to_next_cell(slowness, grid, p, cell)).max(k + 1),
            None => k += 1,
        }
    }
}

/// The next whole number, at least 0. `f32::ceil` would be a call where the processor's oldest instructions are asked
/// for.
fn round_up(value: f32) -> usize {
    let whole = value as usize;
    whole + usize::from((whole as f32) < value)
}

/// How far the ray stays in the cell, given the distance that it needs for a unit along each direction.
fn to_next_cell(slowness: [f32; 3], grid: &Occupancy, p: [f32; 3], cell: [usize; 3]) -> f32 {
    let side = 2.0 / grid.cells() as f32;
    let mut nearest = f32::MAX;
    for i in 0..3 {
        let ahead = usize::from(slowness[i] > 0.0);
        let wall = -1.0 + side * (cell[i] + ahead) as f32;
        if slowness[i].abs() < 1e9 {
            nearest = nearest.min((wall - p[i]) * slowness[i]);
        }
    }
    nearest.max(0.0)
}
