//! Products of matrices whose rows are long and few, such as features of a tile of samples. Nothing is packed: the
//! operands are in the cache already.

use pulp::{Simd, WithSimd};

/// A multiple of two vectors of every instruction set.
const WIDTH: usize = 32;
/// Rows of a block of results: with two vectors each they fit the registers of AVX2 too.
const ROWS: usize = 4;

/// Small numbers, by row and column.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub values: &'a [f32],
    pub row_stride: usize,
    pub col_stride: usize,
}

impl Weights<'_> {
    #[inline(always)]
    fn at(&self, row: usize, col: usize) -> f32 {
        self.values[row * self.row_stride + col * self.col_stride]
    }
}

/// Row `r` of `out` is `start(r) + Σ_i weights(r, i) · row i of rows`; all rows are `width` long.
///
/// # Panics
/// When `width` is no multiple of 32 or a slice is no whole number of rows.
pub(crate) fn combine_rows(
    width: usize,
    out: &mut [f32],
    start: impl Fn(usize) -> f32,
    weights: Weights,
    rows: &[f32],
) {
    assert!(
        width.is_multiple_of(WIDTH)
            && out.len().is_multiple_of(width)
            && rows.len().is_multiple_of(width)
    );
    pulp::Arch::new().dispatch(Combine {
        width,
        out,
        start,
        weights,
        rows,
    });
}

/// Adds to `out(i, j)` the scalar product of row `i` of `left` and row `j` of `right`; the rows are `width` long, those
/// of `out` as long as `right` has rows.
///
/// # Panics
/// When `width` is no multiple of 32 or the slices do not fit together.
pub(crate) fn add_row_products(width: usize, out: &mut [f32], left: &[f32], right: &[f32]) {
    assert!(
        width.is_multiple_of(WIDTH)
            && left.len().is_multiple_of(width)
            && right.len().is_multiple_of(width)
    );
    assert!(out.len() == (left.len() / width) * (right.len() / width));
    pulp::Arch::new().dispatch(RowProducts {
        width,
        out,
        left,
        right,
    });
}

struct Combine<'a, F> {
    width: usize,
    out: &'a mut [f32],
    start: F,
    weights: Weights<'a>,
    rows: &'a [f32],
}

impl<F: Fn(usize) -> f32> WithSimd for Combine<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            width,
            out,
            start,
            weights,
            rows,
        } = self;
        for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
            let first = block * ROWS;
            if out.len() == ROWS * width {
                combine::<S, ROWS>(
                    simd,
                    width,
                    out,
                    |r| start(first + r),
                    |r, i| weights.at(first + r, i),
                    rows,
                );
            } else {
                for (r, out) in out.chunks_exact_mut(width).enumerate() {
                    combine::<S, 1>(
                        simd,
                        width,
                        out,
                        |_| start(first + r),
                        |_, i| weights.at(first + r, i),
                        rows,
                    );
                }
            }
        }
    }
}

/// `R` rows of results.
#[inline(always)]
fn combine<S: Simd, const R: usize>(
    simd: S,
    width: usize,
    out: &mut [f32],
    start: impl Fn(usize) -> f32,
    weight: impl Fn(usize, usize) -> f32,
    rows: &[f32],
) {
    let (rows, out) = (S::as_simd_f32s(rows).0, S::as_mut_simd_f32s(out).0);
    let vectors = width / S::F32_LANES;
    for column in (0..vectors).step_by(2) {
        let mut sums: [[S::f32s; 2]; R] = std::array::from_fn(|r| [simd.splat_f32s(start(r)); 2]);
        for (i, row) in rows.chunks_exact(vectors).enumerate() {
            let values = [row[column], row[column + 1]];
            for (r, sums) in sums.iter_mut().enumerate() {
                let weight = simd.splat_f32s(weight(r, i));
                *sums = [0, 1].map(|v| simd.mul_add_e_f32s(weight, values[v], sums[v]));
            }
        }
        for (out, sums) in out.chunks_exact_mut(vectors).zip(sums) {
            out[column..][..2].copy_from_slice(&sums);
        }
    }
}

struct RowProducts<'a> {
    width: usize,
    out: &'a mut [f32],
    left: &'a [f32],
    right: &'a [f32],
}

impl WithSimd for RowProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            width,
            out,
            left,
            right,
        } = self;
        let columns = right.len() / width;
        for (out, left) in out
            .chunks_mut(ROWS * columns)
            .zip(left.chunks(ROWS * width))
        {
            if left.len() == ROWS * width {
                row_products::<S, ROWS>(simd, width, out, left, right);
            } else {
                for (out, left) in out.chunks_exact_mut(columns).zip(left.chunks_exact(width)) {
                    row_products::<S, 1>(simd, width, out, left, right);
                }
            }
        }
    }
}

/// The products of `R` rows with all rows of `right`.
#[inline(always)]
fn row_products<S: Simd, const R: usize>(
    simd: S,
    width: usize,
    out: &mut [f32],
    left: &[f32],
    right: &[f32],
) {
    let (left, right) = (S::as_simd_f32s(left).0, S::as_simd_f32s(right).0);
    let vectors = width / S::F32_LANES;
    let columns = right.len() / vectors;
    for (j, pair) in right.chunks(2 * vectors).enumerate() {
        // The last row is its own partner where their number is odd.
        let (one, other) = (&pair[..vectors], &pair[pair.len() - vectors..]);
        let mut sums = [[simd.splat_f32s(0.0); 2]; R];
        for n in 0..vectors {
            for (sums, left) in sums.iter_mut().zip(left.chunks_exact(vectors)) {
                sums[0] = simd.mul_add_e_f32s(left[n], one[n], sums[0]);
                sums[1] = simd.mul_add_e_f32s(left[n], other[n], sums[1]);
            }
        }
        for (out, sums) in out.chunks_exact_mut(columns).zip(sums) {
            for (out, sum) in out[2 * j..].iter_mut().zip(&sums[..pair.len() / vectors]) {
                *out += simd.reduce_sum_f32s(*sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, narrow, numbers};

    /// Rows that do not fill the blocks.
    const SIZES: [usize; 3] = [64, 7, 5];

    #[test]
    fn combinations_agree_with_their_definition() {
        let [width, from, to] = SIZES;
        let (rows, weights, starts) = (
            numbers(1, from * width),
            numbers(2, from * to),
            numbers(3, to),
        );
        let right: Vec<f64> = (0..to * width)
            .map(|at| {
                let (r, n) = (at / width, at % width);
                starts[r]
                    + (0..from)
                        .map(|i| weights[i * to + r] * rows[i * width + n])
                        .sum::<f64>()
            })
            .collect();
        let (rows, weights) = (narrow(&rows), narrow(&weights));
        let mut out = vec![f32::NAN; to * width];
        let weights = Weights {
            values: &weights,
            row_stride: 1,
            col_stride: to,
        };
        combine_rows(width, &mut out, |r| starts[r] as f32, weights, &rows);
        assert_close(
            "combinations",
            &out.into_iter().map(f64::from).collect::<Vec<_>>(),
            &right,
        );
    }

    #[test]
    fn products_of_rows_are_added() {
        let [width, left, right] = SIZES;
        let (a, b, before) = (
            numbers(1, left * width),
            numbers(2, right * width),
            numbers(3, left * right),
        );
        let product = |i: usize, j: usize| {
            (0..width)
                .map(|n| a[i * width + n] * b[j * width + n])
                .sum::<f64>()
        };
        let expected: Vec<f64> = (0..left * right)
            .map(|at| before[at] + product(at / right, at % right))
            .collect();
        let mut out = narrow(&before);
        add_row_products(width, &mut out, &narrow(&a), &narrow(&b));
        assert_close(
            "products",
            &out.into_iter().map(f64::from).collect::<Vec<_>>(),
            &expected,
        );
    }
}
