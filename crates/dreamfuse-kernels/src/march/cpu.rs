//! Marching that jumps over empty cells.

use super::{JitteredRay, Occupancy, Samples};
use rayon::prelude::*;

/// Rays of a piece of work.
const RAYS: usize = 256;

/// Samples at `(k + jitter) · step`, `k = 0, 1, …`, that lie in occupied cells of the grid.
pub fn march(rays: &[JitteredRay], grid: &Occupancy, step: f32) -> Samples {
    let march_part = |rays: &[JitteredRay]| {
        let mut part = Samples::default();
        for ray in rays {
            march_ray(ray, grid, step, &mut part);
            part.starts.push(part.distances.len());
        }
        part
    };
    let parts: Vec<Samples> = rays.par_chunks(RAYS).map(march_part).collect();
    let mut all = Samples { starts: vec![0], ..Samples::default() };
    for part in parts {
        let first = all.distances.len();
        all.positions.extend(part.positions);
        all.distances.extend(part.distances);
        all.starts.extend(part.starts.iter().map(|start| first + start));
    }
    all
}

fn march_ray(ray: &JitteredRay, grid: &Occupancy, step: f32, samples: &mut Samples) {
    let Some((near, far)) = ray.inside() else { return };
    let number = |distance: f32| (distance / step - ray.jitter).ceil().max(0.0) as usize;
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
            Some(cell) => k = number(distance + to_next_cell(ray, grid, p, cell)).max(k + 1),
            None => k += 1,
        }
    }
}

/// How far the ray stays in the cell.
fn to_next_cell(ray: &JitteredRay, grid: &Occupancy, p: [f32; 3], cell: [usize; 3]) -> f32 {
    let side = 2.0 / grid.cells as f32;
    let mut nearest = f32::MAX;
    for i in 0..3 {
        let ahead = usize::from(ray.direction[i] > 0.0);
        let wall = -1.0 + side * (cell[i] + ahead) as f32;
        if ray.direction[i].abs() > 1e-9 {
            nearest = nearest.min((wall - p[i]) / ray.direction[i]);
        }
    }
    nearest.max(0.0)
}
