//! Which noise levels are asked when.

use serde::{Deserialize, Serialize};

/// t is uniform between two bounds that move linearly over the first part of a run, then stay: high
/// noise decides the layout first, low noise the details later (annealing as in MVDream's presets). High noise goes on being
/// asked to the end: without it things came out too dark (docs/decisions/0011-high-noise-to-the-end.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeSchedule {
    /// Lower bound of the noise level t in (0, 1): at the start, and once `anneal` of the run is done.
    pub min: [f64; 2],
    /// Upper bound, likewise.
    pub max: [f64; 2],
    /// Part of the run after which the bounds stay.
    pub anneal: f64,
}

impl Default for TimeSchedule {
    fn default() -> Self {
        Self {
            min: [0.85, 0.2],
            max: [0.98, 0.9],
            anneal: 0.8,
        }
    }
}

impl TimeSchedule {
    /// The bounds when `progress` of the run (0 to 1) is done.
    pub fn bounds(&self, progress: f64) -> [f64; 2] {
        let part = (progress / self.anneal.max(1e-9)).clamp(0.0, 1.0);
        [self.min, self.max].map(|[from, to]| (1.0 - part) * from + part * to)
    }

    /// Says what is wrong with the bounds, if anything.
    ///
    /// # Errors
    /// The message names the keys.
    pub fn check(&self) -> Result<(), String> {
        let ordered =
            (0..2).all(|i| 0.0 < self.min[i] && self.min[i] < self.max[i] && self.max[i] < 1.0);
        if ordered {
            Ok(())
        } else {
            Err("time.min and time.max have to be in order and within 0 and 1".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_move_and_then_stay() {
        let time = TimeSchedule {
            min: [0.4, 0.1],
            max: [0.9, 0.5],
            anneal: 0.5,
        };
        assert_eq!(time.bounds(0.0), [0.4, 0.9]);
        let [low, high] = time.bounds(0.25);
        assert!((low - 0.25).abs() < 1e-12 && (high - 0.7).abs() < 1e-12);
        assert_eq!(time.bounds(0.9), [0.1, 0.5]);
    }
}
