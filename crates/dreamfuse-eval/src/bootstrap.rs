//! Intervals of means by resampling.

use dreamfuse_core::{Purpose, stream};
use rand::RngExt;
use serde::Serialize;

/// A mean with the interval that holds it in 95 of 100 resamplings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

const RESAMPLINGS: usize = 2000;

/// The bootstrap interval of the mean (Efron 1979), by percentiles; the same for the same values. Nothing for no values.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    let count = values.len();
    let mean = |sum: f64| sum / count as f64;
    let mut rng = stream(0, Purpose::Evaluation, 2, 0);
    let mut resample = |_| mean((0..count).map(|_| values[rng.random_range(0..count)]).sum());
    let mut means: Vec<f64> = if count == 0 { return None } else { (0..RESAMPLINGS).map(&mut resample).collect() };
    means.sort_by(f64::total_cmp);
    let at = |part: f64| means[(part * (RESAMPLINGS - 1) as f64).round() as usize];
    Some(Interval { mean: mean(values.iter().sum()), low: at(0.025), high: at(0.975) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_one_of_normal_theory_for_many_values() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let Interval { mean, low, high } = mean_interval(&values).unwrap();
        // 0.5 ± 1.96 · 0.5 / √400
        assert!(
            (mean - 0.5).abs() < 1e-12 && (low - 0.451).abs() < 0.006 && (high - 0.549).abs() < 0.006,
            "{low} {high}"
        );
        assert_eq!(mean_interval(&[]), None);
        assert_eq!(mean_interval(&[2.0]).unwrap(), Interval { mean: 2.0, low: 2.0, high: 2.0 });
    }
}
