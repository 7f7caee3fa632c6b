//! Which parts of the box are worth marching: a grid of densities, updated from time to time.

use crate::config::SceneConfig;
use crate::field::SceneField;
use dreamfuse_core::{Purpose, stream};
use dreamfuse_kernels::march::Occupancy;
use rand::RngExt;

/// Densities decay by this factor from one update to the next (instant-ngp).
const DECAY: f32 = 0.95;

/// A moving maximum of the density in each cell, and the cells to be marched.
#[derive(Clone, Debug, PartialEq)]
pub struct OccupancyGrid {
    /// `cells³`, x fastest.
    pub densities: Vec<f32>,
    pub occupancy: Occupancy,
}

impl OccupancyGrid {
    /// A grid that marches everything until its first update.
    pub fn full(config: &SceneConfig) -> Self {
        let cells = config.occupancy_cells;
        Self {
            densities: vec![0.0; cells.pow(3)],
            occupancy: Occupancy::new(cells, |_| true),
        }
    }

    /// Looks at a random point of every cell. `attempt` and `index` name the random stream.
    pub fn update(
        &mut self,
        field: &SceneField,
        config: &SceneConfig,
        seed: u64,
        attempt: u64,
        index: u64,
    ) {
        let cells = self.occupancy.cells();
        let mut rng = stream(seed, Purpose::Occupancy, attempt, index);
        let side = 2.0 / cells as f32;
        let points: Vec<[f32; 3]> = (0..cells.pow(3))
            .map(|i| {
                [i % cells, i / cells % cells, i / cells / cells]
                    .map(|c| -1.0 + side * (c as f32 + rng.random::<f32>()))
            })
            .collect();
        for (kept, seen) in self.densities.iter_mut().zip(field.densities(&points)) {
            *kept = (DECAY * *kept).max(seen);
        }
        self.refresh(config, || rng.random());
    }

    /// Decides which cells to march: those that hide something, their neighbours, and a random share of
    /// the rest. Cells outside the ball that fits the box stay empty.
    fn refresh(&mut self, config: &SceneConfig, mut random: impl FnMut() -> f32) {
        let cells = self.occupancy.cells();
        let threshold = -(1.0 - config.occupancy_alpha).ln() / config.step;
        let is_dense: Vec<bool> = self.densities.iter().map(|d| *d > threshold).collect();
        self.occupancy = Occupancy::new(cells, |i| {
            let at = [i % cells, i / cells % cells, i / cells / cells];
            let center = at.map(|c| (2 * c + 1) as f32 / cells as f32 - 1.0);
            let is_inside = center.iter().map(|v| v * v).sum::<f32>() < 1.0;
            let explored = random() < config.exploration;
            is_inside && (explored || has_dense_neighbour(&is_dense, cells, at))
        });
    }
}

/// Whether the cell or one of the 26 around it is dense.
fn has_dense_neighbour(is_dense: &[bool], cells: usize, [x, y, z]: [usize; 3]) -> bool {
    let around = |c: usize| c.saturating_sub(1)..=(c + 1).min(cells - 1);
    around(z).any(|z| around(y).any(|y| around(x).any(|x| is_dense[x + cells * (y + cells * z)])))
}
