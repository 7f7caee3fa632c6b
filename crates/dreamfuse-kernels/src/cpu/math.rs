//! Elementary functions that compile to vector code.

use super::vectorized;
use rayon::prelude::*;

/// `e^x` to about 2 units in the last place; saturates instead of overflowing.
///
/// Range reduction `x = k ln 2 + r` and a polynomial in `r` (coefficients of the Taylor series to
/// order 7, enough for |r| ≤ ln 2 / 2 in f32).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // Rounded by adding a number without a fractional part, whose last bits then hold k: a cast, which has to saturate, is
    // not compiled for vector units.
    const WHOLE: f32 = 12_582_912.0; // 3 · 2²²
    let shifted = x * std::f32::consts::LOG2_E + WHOLE;
    let k = shifted - WHOLE;
    let r = (x - k * 0.693_359_4) - k * -2.121_944_4e-4;
    let mut p = 1.0 / 5040.0;
    for c in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = p * r + c;
    }
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// `ln(1 + e^x)` without overflow, to a few units in the last place.
///
/// With `e = e^−|x|` in (0, 1] and `s = e / (2 + e)`, `ln(1 + e)` is `2 artanh(s)`: its series in `s` ≤ 1/3.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let e = exp(-x.abs());
    let s = e / (2.0 + e);
    let square = s * s;
    let mut p = 1.0 / 13.0;
    for c in [1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0] {
        p = p * square + c;
    }
    x.max(0.0) + 2.0 * s * p
}

/// `1 / (1 + e^−x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Lanes of a sum: fixed, so that the order of additions does not depend on the processor.
pub const LANES: usize = 16;

/// The sum of `f(value)` in a fixed order that vector units can follow.
#[inline(always)]
pub fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(*value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|v| f(*v)).sum::<f32>()
}

/// Numbers of a piece of work.
const CHUNK: usize = 1 << 14;

/// The sum of squares, added up in an order that neither the processor nor the number of threads changes.
pub fn squares(values: &[f32]) -> f64 {
    let parts: Vec<f64> = values.par_chunks(CHUNK).map(squares_of_chunk).collect();
    parts.into_iter().sum()
}

fn squares_of_chunk(values: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    vectorized(
        #[inline(always)]
        || {
            let mut lanes = [0.0; LANES];
            let rows = values.chunks_exact(LANES);
            let rest = rows.remainder();
            for row in rows {
                for (lane, value) in lanes.iter_mut().zip(row) {
                    *lane += square(*value);
                }
            }
            lanes.iter().sum::<f64>() + rest.iter().map(|v| square(*v)).sum::<f64>()
        },
    )
}

/// The largest value, or −∞ of none.
#[inline(always)]
pub fn maximum(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > lane { *value } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |highest, value| highest.max(*value))
}

/// Mean and reciprocal standard deviation.
#[inline(always)]
pub fn statistics(values: &[f32], epsilon: f32) -> (f32, f32) {
    let count = values.len() as f32;
    let mean = sum(values, |v| v) / count;
    let variance = sum(values, |v| (v - mean) * (v - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_over_its_whole_range() {
        for i in -8700..8800 {
            let x = i as f32 * 0.01;
            let (ours, right) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                ((ours - right) / right).abs() < 4e-7,
                "exp({x}) = {ours}, not {right}"
            );
        }
        assert!(exp(1e4).is_finite() && exp(-1e4) >= 0.0);
        assert_eq!(sigmoid(0.0), 0.5);
    }

    #[test]
    fn softplus_is_right_over_its_whole_range() {
        for i in -8000..8000 {
            let x = i as f32 * 0.01;
            let (ours, right) = (f64::from(softplus(x)), f64::from(x).exp().ln_1p());
            assert!(
                ((ours - right) / right).abs() < 4e-7,
                "softplus({x}) = {ours}, not {right}"
            );
        }
        assert_eq!(softplus(1e4), 1e4);
    }

    #[test]
    fn maximum_finds_the_largest_wherever_it_stands() {
        let values: Vec<_> = (0..37).map(|i| -(i as f32)).collect();
        for place in 0..values.len() {
            let mut values = values.clone();
            values[place] = 1.0;
            assert_eq!(maximum(&values), 1.0);
        }
        assert_eq!(maximum(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn squares_add_up_to_the_same_bits_on_any_number_of_threads() {
        let values: Vec<f32> = (0..3 * CHUNK + 5).map(|i| (i as f32).sin()).collect();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| squares(&values))
        };
        let right: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        assert!((on(1) / right - 1.0).abs() < 1e-12);
        assert_eq!(on(1), on(3));
    }
}
