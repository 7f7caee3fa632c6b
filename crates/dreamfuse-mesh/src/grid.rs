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

    fn point_of(cells: usize, index: usize) -> [f32; 3] {
        let side = cells + 1;
        [index % side, index / side % side, index / side / side]
            .map(|c| 2.0 * c as f32 / cells as f32 - 1.0)
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
        let step = 1.0 / self.cells as f32;
        let middle = -ray.origin.dot(&ray.direction);
        let reach = 3f32.sqrt();
        let count = (2.0 * reach / step) as usize;
        let at = |i: usize| ray.origin + (middle - reach + i as f32 * step) * ray.direction;
        (0..count).map(|i| self.at(at(i))).fold(0.0, f32::max)
    }

    /// The direction in which the density falls fastest: the outward normal of a level set.
    pub fn normal(&self, p: Vec3) -> Vec3 {
        let h = 1.0 / self.cells as f32;
        let slope = |axis: Vec3| self.at(p - h * axis) - self.at(p + h * axis);
        let down = Vec3::new(slope(Vec3::x()), slope(Vec3::y()), slope(Vec3::z()));
        down.try_normalize(1e-12).unwrap_or_else(Vec3::z)
    }
}
