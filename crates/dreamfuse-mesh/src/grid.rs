//! A field sampled on a regular grid over the box `[−1, 1]³`.

use dreamfuse_core::{Ray, Vec3};

/// Densities at `(cells + 1)³` points, x fastest. The outermost layer is empty, so that surfaces close.
pub struct DensityGrid {
    pub cells: usize,
    pub values: Vec<f32>,
}

impl DensityGrid {
    /// Samples `density`, which takes many points at once.
    pub fn sample(cells: usize, density: impl Fn(&[[f32; 3]]) -> Vec<f32>) -> Self {
        let side = cells + 1;
        let points: Vec<[f32; 3]> = (0..side.pow(3)).map(|i| Self::point_of(cells, i)).collect();
        let mut values = density(&points);
        for (i, value) in values.iter_mut().enumerate() {
            let is_outer = [i % side, i / side % side, i / side / side]
                .iter()
                .any(|c| *c == 0 || *c == cells);
            if is_outer || !value.is_finite() {
                *value = 0.0;
            }
        }
        Self { cells, values }
    }

    pub(crate) fn point_of(cells: usize, index: usize) -> [f32; 3] {
        let side = cells + 1;
        [index % side, index / side % side, index / side / side]
            .map(|c| 2.0 * c as f32 / cells as f32 - 1.0)
    }

    /// Each density in units of another at the same point.
    #[must_use]
    pub fn divided_by(mut self, unit: impl Fn([f32; 3]) -> f32) -> Self {
        for index in 0..self.values.len() {
            self.values[index] /= unit(self.point(index));
        }
        self
    }

    /// Where point number `index` is.
    pub fn point(&self, index: usize) -> [f32; 3] {
        Self::point_of(self.cells, index)
    }

    /// The number of the point at integer coordinates.
    pub fn index(&self, [x, y, z]: [usize; 3]) -> usize {
        x + (self.cells + 1) * (y + (self.cells + 1) * z)
    }

    /// Trilinear interpolation; zero outside of the box.
    pub fn at(&self, p: Vec3) -> f32 {
        let scaled = (p.add_scalar(1.0)) * 0.5 * self.cells as f32;
        if scaled.iter().any(|v| !(0.0..self.cells as f32).contains(v)) {
            return 0.0;
        }
        let low = scaled.map(f32::floor);
        let (above, low) = (scaled - low, low.map(|v| v as usize));
        let mut sum = 0.0;
        for corner in 0..8usize {
            let offset = [corner & 1, corner >> 1 & 1, corner >> 2 & 1];
            let weight: f32 = (0..3)
                .map(|i| {
                    if offset[i] == 1 {
                        above[i]
                    } else {
                        1.0 - above[i]
                    }
                })
                .product();
            sum += weight * self.values[self.index(std::array::from_fn(|i| low[i] + offset[i]))];
        }
        sum
    }

    /// The highest density along a ray through the box, sampled twice a cell.
    pub fn highest_along(&self, ray: &Ray) -> f32 {
        self.densest_along(ray).0
    }

    /// The same, and where it is.
    pub fn densest_along(&self, ray: &Ray) -> (f32, Vec3) {
        let step = 1.0 / self.cells as f32;
        let middle = -ray.origin.dot(&ray.direction);
        let reach = 3f32.sqrt();
        let count = (2.0 * reach / step) as usize;
        let at = |i: usize| ray.origin + (middle - reach + i as f32 * step) * ray.direction;
        let samples = (0..count).map(|i| (self.at(at(i)), at(i)));
        samples.fold(
            (0.0, ray.origin),
            |best, next| if next.0 > best.0 { next } else { best },
        )
    }

    /// For each of the `cells³` cells, x fastest, whether the level set may pass within a cell of it.
    pub fn near_surface(&self, iso: f32) -> Vec<bool> {
        let cells = self.cells;
        let crossed = |i: usize| {
            let first = [i % cells, i / cells % cells, i / cells / cells];
            let corner = |c: usize| {
                let at = [
                    first[0] + (c & 1),
                    first[1] + (c >> 1 & 1),
                    first[2] + (c >> 2 & 1),
                ];
                self.values[self.index(at)] >= iso
            };
            let inside = (0..8).filter(|c| corner(*c)).count();
            (1..8).contains(&inside)
        };
        let mut near: Vec<bool> = (0..cells.pow(3)).map(crossed).collect();
        // Each cell's neighbours along an axis, one axis after the other.
        for step in [1, cells, cells * cells] {
            let before = near.clone();
            for (i, flag) in near.iter_mut().enumerate() {
                let along = i / step % cells;
                *flag |= along > 0 && before[i - step] || along + 1 < cells && before[i + step];
            }
        }
        near
    }

    /// The number of the cell that a point of the box is in.
    pub fn cell_of(&self, p: [f32; 3]) -> usize {
        let cell = |v: f32| {
            let at = 0.5 * (v + 1.0) * self.cells as f32;
            (at.max(0.0) as usize).min(self.cells - 1)
        };
        cell(p[0]) + self.cells * (cell(p[1]) + self.cells * cell(p[2]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_near_a_ball_are_those_around_its_surface() {
        let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
        let density = |p: &[f32; 3]| (1.0 - distance(p)).max(0.0);
        let grid = DensityGrid::sample(32, |points| points.iter().map(density).collect());
        let near = grid.near_surface(0.5);
        for i in 0..40 {
            let radius = i as f32 / 40.0;
            let is_near = near[grid.cell_of([0.6 * radius, 0.0, 0.8 * radius])];
            let apart = (radius - 0.5).abs();
            assert!(is_near || apart > 0.06, "{radius}");
            assert!(!is_near || apart < 0.25, "{radius}");
        }
    }
}
