//! The scene's numbers.

use dreamfuse_kernels::FieldSpec;
use serde::{Deserialize, Serialize};

/// Shape and start of a scene, and how finely it is marched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SceneConfig {
    /// Levels of the hash grid.
    pub levels: usize,
    /// Cells along a side of the coarsest level.
    pub base: usize,
    /// Cells along a side of the finest level.
    pub finest: usize,
    /// A level has at most `2^log2_table` points.
    pub log2_table: u32,
    /// Width of the network's hidden layer.
    pub hidden: usize,
    /// Distance between samples along a ray.
    pub step: f32,
    /// Density per unit of the softplus of the raw density.
    pub density_scale: f32,
    /// Raw density of the initial blob at the origin: `blob · (1 − |x| / blob_radius)`.
    pub blob: f32,
    /// Radius of the initial blob.
    pub blob_radius: f32,
    /// Cells along a side of the occupancy grid.
    pub occupancy_cells: usize,
    /// A cell is marched where a step in it hides at least this much.
    pub occupancy_alpha: f32,
    /// Share of the empty cells that are marched all the same after an update, so that something can
    /// grow there.
    pub exploration: f32,
}

impl Default for SceneConfig {
    fn default() -> Self {
        Self {
            levels: 9,
            base: 8,
            finest: 64,
            log2_table: 16,
            hidden: 32,
            step: 0.04,
            density_scale: 8.0,
            blob: 8.0,
            blob_radius: 0.4,
            occupancy_cells: 48,
            occupancy_alpha: 0.005,
            exploration: 0.1,
        }
    }
}

impl SceneConfig {
    /// The sizes that the kernels need.
    pub fn spec(&self) -> FieldSpec {
        FieldSpec {
            levels: self.levels,
            base: self.base,
            finest: self.finest,
            log2_table: self.log2_table,
            hidden: self.hidden,
        }
    }

    /// Says which number cannot be, if any.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("step", self.step),
            ("density_scale", self.density_scale),
            ("blob_radius", self.blob_radius),
            ("occupancy_alpha", self.occupancy_alpha),
        ];
        if let Some((key, value)) = positive
            .iter()
            .find(|(_, value)| !(value.is_finite() && *value > 0.0))
        {
            return Err(format!("scene.{key} = {value} has to be above zero"));
        }
        let ranges = [
            ("levels", self.levels, 1..=32),
            ("base", self.base, 1..=self.finest),
            ("finest", self.finest, self.base..=4096),
            ("log2_table", self.log2_table as usize, 4..=24),
            ("hidden", self.hidden, 1..=256),
            ("occupancy_cells", self.occupancy_cells, 4..=256),
        ];
        match ranges
            .iter()
            .find(|(_, value, range)| !range.contains(value))
        {
            Some((key, value, range)) => Err(format!(
                "scene.{key} = {value} is not between {} and {}",
                range.start(),
                range.end()
            )),
            None => Ok(()),
        }
    }
}
