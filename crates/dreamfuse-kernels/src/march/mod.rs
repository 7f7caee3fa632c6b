//! Marching rays through an occupancy grid: which points of a ray are worth evaluating.

mod cpu;
pub mod reference;

pub use cpu::march;

/// Which cells of the world's box `[−1, 1]³` may hold something: `cells³` of them, x fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupancy {
    pub cells: usize,
    pub is_occupied: Vec<bool>,
}

/// Points along rays, packed ray after ray.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// `[samples, 3]`.
    pub positions: Vec<f32>,
    /// Distance of each sample from its ray's origin.
    pub distances: Vec<f32>,
    /// `[rays + 1]`: a ray's samples are `starts[r]..starts[r + 1]`.
    pub starts: Vec<usize>,
}

/// A ray and the fraction of a step by which its samples are shifted.
#[derive(Clone, Copy, Debug)]
pub struct JitteredRay {
    pub origin: [f32; 3],
    pub direction: [f32; 3],
    pub jitter: f32,
}

impl Occupancy {
    /// The cell of a point, if it is inside the box.
    fn cell(&self, p: [f32; 3]) -> Option<[usize; 3]> {
        let scaled = p.map(|v| (v + 1.0) * 0.5 * self.cells as f32);
        let inside = scaled.iter().all(|v| (0.0..self.cells as f32).contains(v));
        inside.then(|| scaled.map(|v| v as usize))
    }

    fn contains(&self, [x, y, z]: [usize; 3]) -> bool {
        self.is_occupied[x + self.cells * (y + self.cells * z)]
    }
}

impl JitteredRay {
    /// Distance of sample number `k`.
    fn distance(&self, k: usize, step: f32) -> f32 {
        (k as f32 + self.jitter) * step
    }

    fn at(&self, distance: f32) -> [f32; 3] {
        std::array::from_fn(|i| self.origin[i] + distance * self.direction[i])
    }

    /// The distances between which the ray is inside the box.
    fn inside(&self) -> Option<(f32, f32)> {
        let (mut near, mut far) = (0.0f32, f32::MAX);
        for i in 0..3 {
            let (a, b) = ((-1.0 - self.origin[i]) / self.direction[i], (1.0 - self.origin[i]) / self.direction[i]);
            // A ray within a slab's plane gives NaN, which neither min nor max takes up.
            near = near.max(a.min(b));
            far = far.min(a.max(b));
        }
        (near < far).then_some((near, far))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;

    fn scene(seed: u64, filled: f64) -> (Occupancy, Vec<JitteredRay>) {
        let cells = 12;
        let is_occupied = numbers(seed, cells * cells * cells).iter().map(|v| *v < 2.0 * filled - 1.0).collect();
        let drawn = numbers(seed + 1, 7 * 200);
        let rays = drawn.chunks_exact(7).map(|v| {
            let v: Vec<f32> = v.iter().map(|v| *v as f32).collect();
            let (origin, target) = ([3.0 * v[0].signum(), 2.0 * v[1], 2.0 * v[2]], [v[3], v[4], v[5]]);
            let d: [f32; 3] = std::array::from_fn(|i| target[i] - origin[i]);
            let norm = d.iter().map(|x| x * x).sum::<f32>().sqrt();
            JitteredRay { origin, direction: d.map(|x| x / norm), jitter: 0.5 + 0.5 * v[6] }
        });
        (Occupancy { cells, is_occupied }, rays.collect())
    }

    #[test]
    fn skipping_empty_cells_finds_the_samples_that_testing_every_step_finds() {
        for (seed, filled) in [(1, 0.03), (10, 0.3), (20, 1.0)] {
            let (grid, rays) = scene(seed, filled);
            let (ours, right) = (march(&rays, &grid, 0.013), reference::march(&rays, &grid, 0.013));
            // A sample within rounding of a cell's wall may be on either side of it.
            let total = right.distances.len() as f64;
            assert!(total > 500.0);
            assert!(
                (ours.distances.len() as f64 / total - 1.0).abs() < 2e-3,
                "{} samples for {total}",
                ours.distances.len()
            );
            for ray in 0..rays.len() {
                let of = |s: &Samples| s.distances[s.starts[ray]..s.starts[ray + 1]].to_vec();
                let (ours, right) = (of(&ours), of(&right));
                let missing = right.iter().filter(|d| !ours.contains(d)).count()
                    + ours.iter().filter(|d| !right.contains(d)).count();
                assert!(missing <= 2, "ray {ray}: {missing} samples differ");
            }
        }
    }

    #[test]
    fn an_empty_grid_has_no_samples() {
        let (mut grid, rays) = scene(5, 0.5);
        grid.is_occupied.fill(false);
        let samples = march(&rays, &grid, 0.05);
        assert!(samples.positions.is_empty());
        assert_eq!(samples.starts, vec![0; rays.len() + 1]);
    }
}
