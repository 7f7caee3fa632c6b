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

/// The bootstrap interval of the mean of all values (Efron 1979), by percentiles; the same for the same values. What is drawn
/// again are whole clusters, since values of one are alike (Field & Welsh 2007). Nothing for no values.
pub fn mean_interval(clusters: &[Vec<f64>]) -> Option<Interval> {
    let sums: Vec<(f64, usize)> = clusters
        .iter()
        .filter(|of| !of.is_empty())
        .map(|of| (of.iter().sum(), of.len()))
        .collect();
    if sums.is_empty() {
        return None;
    }
    let mean = |drawn: &mut dyn Iterator<Item = &(f64, usize)>| {
        let (sum, count) = drawn.fold((0.0, 0), |(sum, count), (s, c)| (sum + s, count + c));
        sum / count as f64
    };
    let mut rng = stream(0, Purpose::Evaluation, 2, 0);
    let mut resample =
        |_| mean(&mut (0..sums.len()).map(|_| &sums[rng.random_range(0..sums.len())]));
    let mut means: Vec<f64> = (0..RESAMPLINGS).map(&mut resample).collect();
    means.sort_by(f64::total_cmp);
    let at = |part: f64| means[(part * (RESAMPLINGS - 1) as f64).round() as usize];
    Some(Interval {
        mean: mean(&mut sums.iter()),
        low: at(0.025),
        high: at(0.975),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeros_and_ones(count: i32) -> Vec<f64> {
        (0..count).map(|i| f64::from(i % 2)).collect()
    }

    /// `mean ± by`, within an eighth of `by`.
    fn assert_interval(clusters: &[Vec<f64>], mean: f64, by: f64) {
        let found = mean_interval(clusters).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 0.125 * by + 1e-12;
        assert!((found.mean - mean).abs() < 1e-12, "{found:?}");
        assert!(
            near(found.low, mean - by) && near(found.high, mean + by),
            "{found:?}"
        );
    }

    #[test]
    fn the_interval_is_the_one_of_normal_theory_for_many_values() {
        let alone: Vec<Vec<f64>> = zeros_and_ones(400)
            .into_iter()
            .map(|value| vec![value])
            .collect();
        assert_interval(&alone, 0.5, 1.96 * 0.5 / 20.0);
        assert_eq!(mean_interval(&[]), None);
        assert_eq!(
            mean_interval(&[vec![], vec![2.0]]).unwrap(),
            Interval {
                mean: 2.0,
                low: 2.0,
                high: 2.0
            }
        );
    }

    #[test]
    fn values_that_repeat_within_a_cluster_say_nothing_new() {
        let repeated: Vec<Vec<f64>> = zeros_and_ones(400)
            .into_iter()
            .map(|value| vec![value; 3])
            .collect();
        assert_interval(&repeated, 0.5, 1.96 * 0.5 / 20.0);
        assert_interval(&[vec![0.0, 1.0], vec![0.0, 1.0]], 0.5, 0.0);
    }

    #[test]
    fn the_mean_is_that_of_all_values() {
        assert_eq!(
            mean_interval(&[vec![1.0, 1.0, 1.0], vec![5.0]])
                .unwrap()
                .mean,
            2.0
        );
    }
}
