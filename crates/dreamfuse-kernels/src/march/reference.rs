//! Marching by testing every step.

use super::{JitteredRay, Occupancy, Samples};

/// Samples at `(k + jitter) · step`, `k = 0, 1, …`, that lie in occupied cells.
pub fn march(rays: &[JitteredRay], grid: &Occupancy, step: f32) -> Samples {
    let mut samples = Samples { starts: vec![0], ..Samples::default() };
    for ray in rays {
        for k in 0..(8.0 / step) as usize {
            let distance = ray.distance(k, step);
            let p = ray.at(distance);
            if grid.cell(p).is_some_and(|cell| grid.contains(cell)) {
                samples.positions.extend(p);
                samples.distances.push(distance);
            }
        }
        samples.starts.push(samples.distances.len());
    }
    samples
}
