//! The one-dimensional transforms of F(4, 3) at the points 0, ±1, ±2, ∞ and their transposes, on [`Lanes`]
//! channels at once. In two dimensions each is applied to the columns, then to the rows.

use std::ops::{Add, Mul, Sub};

/// Channels that are transformed together.
pub(super) const LANES: usize = 16;

/// One number of each of [`LANES`] channels.
#[derive(Clone, Copy, Default)]
pub(super) struct Lanes(pub [f32; LANES]);

impl Lanes {
    /// Loads from the start of a slice.
    #[inline(always)]
    pub(super) fn load(from: &[f32]) -> Self {
        Self(*from.first_chunk().expect("a lane of numbers"))
    }
}

impl Add for Lanes {
    type Output = Self;
    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a += b;
        }
        self
    }
}

impl Sub for Lanes {
    type Output = Self;
    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a -= b;
        }
        self
    }
}

impl Mul<f32> for Lanes {
    type Output = Self;
    #[inline(always)]
    fn mul(mut self, factor: f32) -> Self {
        for a in &mut self.0 {
            *a *= factor;
        }
        self
    }
}

/// `Bᵀ d`: six input pixels.
#[inline(always)]
pub(super) fn input([d0, d1, d2, d3, d4, d5]: [Lanes; 6]) -> [Lanes; 6] {
    let (even, odd) = (d4 - d2 * 4.0, d3 - d1 * 4.0);
    let (even_half, odd_half) = (d4 - d2, (d3 - d1) * 2.0);
    [
        d0 * 4.0 - d2 * 5.0 + d4,
        even + odd,
        even - odd,
        even_half + odd_half,
        even_half - odd_half,
        d1 * 4.0 - d3 * 5.0 + d5,
    ]
}

/// `Aᵀ m`: four output pixels.
#[inline(always)]
pub(super) fn output([m0, m1, m2, m3, m4, m5]: [Lanes; 6]) -> [Lanes; 4] {
    let (sum, difference) = (m1 + m2, m1 - m2);
    let (sum_two, difference_two) = (m3 + m4, m3 - m4);
    [
        m0 + sum + sum_two,
        difference + difference_two * 2.0,
        sum + sum_two * 4.0,
        difference + difference_two * 8.0 + m5,
    ]
}

/// `A y`: the transpose of [`output`].
#[inline(always)]
pub(super) fn output_transposed([y0, y1, y2, y3]: [Lanes; 4]) -> [Lanes; 6] {
    let (even, odd) = (y0 + y2, y1 + y3);
    let (even_two, odd_two) = (y0 + y2 * 4.0, y1 * 2.0 + y3 * 8.0);
    [
        y0,
        even + odd,
        even - odd,
        even_two + odd_two,
        even_two - odd_two,
        y3,
    ]
}

/// `G g`: three weights.
#[inline(always)]
pub(super) fn weight([g0, g1, g2]: [Lanes; 3]) -> [Lanes; 6] {
    let (ends, middle) = ((g0 + g2) * (-1.0 / 6.0), g1 * (1.0 / 6.0));
    let (ends_two, middle_two) = (g0 * (1.0 / 24.0) + g2 * (1.0 / 6.0), g1 * (1.0 / 12.0));
    [
        g0 * 0.25,
        ends - middle,
        ends + middle,
        ends_two + middle_two,
        ends_two - middle_two,
        g2,
    ]
}

/// `Gᵀ u`: the transpose of [`weight`].
#[inline(always)]
pub(super) fn weight_transposed([u0, u1, u2, u3, u4, u5]: [Lanes; 6]) -> [Lanes; 3] {
    let (sum, difference) = ((u1 + u2) * (-1.0 / 6.0), (u2 - u1) * (1.0 / 6.0));
    let sum_two = u3 + u4;
    [
        u0 * 0.25 + sum + sum_two * (1.0 / 24.0),
        difference + (u3 - u4) * (1.0 / 12.0),
        sum + sum_two * (1.0 / 6.0) + u5,
    ]
}

/// Applies a transform to the columns of a matrix, then to its rows.
#[inline(always)]
pub(super) fn both<const N: usize, const M: usize>(
    matrix: impl Fn(usize, usize) -> Lanes,
    transform: impl Fn([Lanes; N]) -> [Lanes; M],
) -> [[Lanes; M]; M] {
    // Plain loops: closures for `from_fn` are not inlined in a body of this size.
    let mut columns = [[Lanes::default(); N]; M];
    for j in 0..N {
        let mut column = [Lanes::default(); N];
        for (i, value) in column.iter_mut().enumerate() {
            *value = matrix(i, j);
        }
        for (row, value) in columns.iter_mut().zip(transform(column)) {
            row[j] = value;
        }
    }
    let mut out = [[Lanes::default(); M]; M];
    for (row, column) in out.iter_mut().zip(columns) {
        *row = transform(column);
    }
    out
}
