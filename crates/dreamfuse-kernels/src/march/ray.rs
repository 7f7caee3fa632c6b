//! A ray and where it meets the grid, for the CPU and the reference.

use super::{Occupancy, RAY, is_set};

/// A ray and the fraction of a step by which its samples are shifted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ray {
    pub origin: [f32; 3],
    pub direction: [f32; 3],
    pub jitter: f32,
}

impl From<&[f32; RAY]> for Ray {
    fn from([x, y, z, dx, dy, dz, jitter]: &[f32; RAY]) -> Self {
        Self {
            origin: [*x, *y, *z],
            direction: [*dx, *dy, *dz],
            jitter: *jitter,
        }
    }
}

impl Ray {
    /// Distance of sample number `k`.
    pub(super) fn distance(&self, k: usize, step: f32) -> f32 {
        (k as f32 + self.jitter) * step
    }

    pub(super) fn at(&self, distance: f32) -> [f32; 3] {
        std::array::from_fn(|i| self.origin[i] + distance * self.direction[i])
    }

    /// The distances between which the ray is inside the box.
    pub(super) fn inside(&self) -> Option<(f32, f32)> {
        let (mut near, mut far) = (0.0f32, f32::MAX);
        for i in 0..3 {
            let (a, b) = (
                (-1.0 - self.origin[i]) / self.direction[i],
                (1.0 - self.origin[i]) / self.direction[i],
            );
            // A ray within a slab's plane gives NaN, which neither min nor max takes up.
            near = near.max(a.min(b));
            far = far.min(a.max(b));
        }
        (near < far).then_some((near, far))
    }
}

impl Occupancy {
    /// The cell of a point, if it is inside the box.
    pub(super) fn cell(&self, p: [f32; 3]) -> Option<[usize; 3]> {
        let scaled = p.map(|v| (v + 1.0) * 0.5 * self.cells as f32);
        let inside = scaled.iter().all(|v| (0.0..self.cells as f32).contains(v));
        inside.then(|| scaled.map(|v| v as usize))
    }

    pub(super) fn contains(&self, [x, y, z]: [usize; 3]) -> bool {
        is_set(&self.words, x + self.cells * (y + self.cells * z))
    }
}
