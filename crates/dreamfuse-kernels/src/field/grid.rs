//! Blocks of samples in one level of the hash grid: where they lie is worked out lane by lane, for vector units; then
//! each sample gathers its eight entries, or scatters to them.
#![expect(
    clippy::needless_range_loop,
    reason = "closures of iterators are not always compiled for the vector units that the caller chose"
)]

use super::spec::{FEATURES, Level, PRIMES};

/// Samples of a block.
pub(super) const BLOCK: usize = 16;

/// A number of each sample.
type Lanes<T> = [T; BLOCK];

/// A grid point's features.
pub(super) type Entry = [f32; FEATURES];

/// The eight corners of each sample's cell.
pub(super) struct Block {
    /// Rows in the level's part of the table.
    rows: [Lanes<u32>; 8],
    weights: [Lanes<f32>; 8],
    /// Derivatives of the weights by the position.
    slopes: [[Lanes<f32>; 3]; 8],
}

/// A level's features of a block of samples, and their derivatives by the position.
pub(super) struct Encoded {
    pub values: [Lanes<f32>; FEATURES],
    pub slopes: [[Lanes<f32>; 3]; FEATURES],
}

impl Encoded {
    pub(super) const EMPTY: Self = Self { values: [[0.0; BLOCK]; FEATURES], slopes: [[[0.0; BLOCK]; 3]; FEATURES] };
}

impl Block {
    pub(super) const EMPTY: Self =
        Self { rows: [[0; BLOCK]; 8], weights: [[0.0; BLOCK]; 8], slopes: [[[0.0; BLOCK]; 3]; 8] };

    /// Looks the positions `[at most BLOCK, 3]` up; the lanes of missing ones hold the box's middle.
    #[inline(always)]
    pub(super) fn locate<const SLOPES: bool>(&mut self, level: &Level, positions: &[f32]) {
        let mut along = [[0.0; BLOCK]; 3];
        for (n, position) in positions.chunks_exact(3).enumerate() {
            for d in 0..3 {
                along[d][n] = position[d];
            }
        }
        // By direction and offset: what the corner adds to the row, and its weight.
        let (mut terms, mut shares) = ([[[0u32; BLOCK]; 2]; 3], [[[0.0f32; BLOCK]; 2]; 3]);
        let factors = level.factors();
        let (half, highest) = (0.5 * level.cells as f32, (level.cells - 1) as f32);
        for d in 0..3 {
            for n in 0..BLOCK {
                let scaled = (along[d][n] + 1.0) * half;
                let low = scaled.floor().clamp(0.0, highest);
                let term = (low as u32).wrapping_mul(factors[d]);
                (terms[d][0][n], terms[d][1][n]) = (term, term.wrapping_add(factors[d]));
                (shares[d][0][n], shares[d][1][n]) = (1.0 - (scaled - low), scaled - low);
            }
        }
        for corner in 0..8 {
            let [i, j, k] = [corner & 1, corner >> 1 & 1, corner >> 2];
            let (x, y, z) = (&terms[0][i], &terms[1][j], &terms[2][k]);
            let rows = &mut self.rows[corner];
            if level.is_hashed {
                for n in 0..BLOCK {
                    rows[n] = (x[n] ^ y[n] ^ z[n]) & (level.points as u32 - 1);
                }
            } else {
                for n in 0..BLOCK {
                    rows[n] = x[n] + y[n] + z[n];
                }
            }
            let (x, y, z) = (&shares[0][i], &shares[1][j], &shares[2][k]);
            for n in 0..BLOCK {
                self.weights[corner][n] = x[n] * y[n] * z[n];
            }
            if SLOPES {
                let signs = [i, j, k].map(|offset| if offset == 1 { half } else { -half });
                let slopes = &mut self.slopes[corner];
                for n in 0..BLOCK {
                    slopes[0][n] = signs[0] * y[n] * z[n];
                    slopes[1][n] = signs[1] * x[n] * z[n];
                    slopes[2][n] = signs[2] * x[n] * y[n];
                }
            }
        }
    }

    /// Interpolates the level's `entries`.
    #[inline(always)]
    pub(super) fn gather<const SLOPES: bool>(&self, entries: &[Entry], out: &mut Encoded) {
        for n in 0..BLOCK {
            let (mut value, mut slope) = ([0.0f32; FEATURES], [[0.0f32; FEATURES]; 3]);
            for corner in 0..8 {
                let entry = entries[self.rows[corner][n] as usize];
                for f in 0..FEATURES {
                    value[f] += self.weights[corner][n] * entry[f];
                    if SLOPES {
                        for d in 0..3 {
                            slope[d][f] += self.slopes[corner][d][n] * entry[f];
                        }
                    }
                }
            }
            for f in 0..FEATURES {
                out.values[f][n] = value[f];
                if SLOPES {
                    for d in 0..3 {
                        out.slopes[f][d][n] = slope[d][f];
                    }
                }
            }
        }
    }

    /// Adds the gradients of the first `count` samples to the level's `entries`: `of_value` of their features, and with
    /// slopes `of_slope` times the derivative of the interpolation along `q`.
    #[inline(always)]
    pub(super) fn scatter<const SLOPES: bool>(
        &self,
        count: usize,
        entries: &mut [Entry],
        of_value: [&[f32]; FEATURES],
        (of_slope, q): ([&[f32]; FEATURES], &[Lanes<f32>; 3]),
    ) {
        for n in 0..count {
            for corner in 0..8 {
                let entry = &mut entries[self.rows[corner][n] as usize];
                let weight = self.weights[corner][n];
                let mut along = 0.0;
                if SLOPES {
                    for d in 0..3 {
                        along += self.slopes[corner][d][n] * q[d][n];
                    }
                }
                for f in 0..FEATURES {
                    entry[f] += weight * of_value[f][n];
                    if SLOPES {
                        entry[f] += along * of_slope[f][n];
                    }
                }
            }
        }
    }
}

impl Level {
    /// What a step along each direction multiplies to or adds to the row.
    #[inline(always)]
    fn factors(&self) -> [u32; 3] {
        let side = self.cells as u32 + 1;
        if self.is_hashed { PRIMES } else { [1, side, side * side] }
    }
}
