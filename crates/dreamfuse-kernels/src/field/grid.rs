//! Blocks of samples in one level of the hash grid: where they lie is worked out lane by lane, for vector units; then
//! each sample gathers its eight entries, or scatters to them.

use super::spec::{FEATURES, Level, PRIMES};

/// Samples of a block.
pub(super) const BLOCK: usize = 16;

/// A number of each sample.
type Lanes<T> = [T; BLOCK];

/// A grid point's features.
pub(super) type Entry = [f32; FEATURES];

/// The cell of each sample.
pub(super) struct Block {
    /// Rows of its corners in the level's part of the table. A corner's number says on which side it is: along x by
    /// its lowest bit, then y, then z.
    rows: [Lanes<u32>; 8],
    /// How far the sample is from the cell's lower side, along each direction, of a cell's side.
    along: [Lanes<f32>; 3],
    /// Cells in a unit of length.
    scale: f32,
}

/// A level's features of a block of samples, and their derivatives by the position. Features of a sample lie side by
/// side: compilers then treat them as one vector.
pub(super) struct Encoded {
    pub values: Lanes<Entry>,
    pub slopes: [Lanes<Entry>; 3],
}

impl Encoded {
    pub(super) const EMPTY: Self = Self {
        values: [[0.0; FEATURES]; BLOCK],
        slopes: [[[0.0; FEATURES]; BLOCK]; 3],
    };
}

/// The features of the four corners on one side along x.
type Side = [f32; 4 * FEATURES];

impl Block {
    pub(super) const EMPTY: Self = Self {
        rows: [[0; BLOCK]; 8],
        along: [[0.0; BLOCK]; 3],
        scale: 0.0,
    };

    /// Looks the positions `[at most BLOCK, 3]` up; the lanes of missing ones hold the box's middle.
    #[inline(always)]
    pub(super) fn locate(&mut self, level: &Level, positions: &[f32]) {
        let mut at = [[0.0; BLOCK]; 3];
        for (n, position) in positions.chunks_exact(3).enumerate() {
            for d in 0..3 {
                at[d][n] = position[d];
            }
        }
        // By direction and side: what the corner adds to the row.
        let mut terms = [[[0u32; BLOCK]; 2]; 3];
        let (factors, highest) = (level.factors(), (level.cells - 1) as f32);
        self.scale = 0.5 * level.cells as f32;
        for d in 0..3 {
            for n in 0..BLOCK {
                let scaled = (at[d][n] + 1.0) * self.scale;
                let low = scaled.floor().clamp(0.0, highest);
                let term = whole(low).wrapping_mul(factors[d]);
                (terms[d][0][n], terms[d][1][n]) = (term, term.wrapping_add(factors[d]));
                self.along[d][n] = scaled - low;
            }
        }
        for (corner, rows) in self.rows.iter_mut().enumerate() {
            let (x, y, z) = (
                &terms[0][corner & 1],
                &terms[1][corner >> 1 & 1],
                &terms[2][corner >> 2],
            );
            if level.is_hashed {
                for n in 0..BLOCK {
                    rows[n] = (x[n] ^ y[n] ^ z[n]) & (level.points as u32 - 1);
                }
            } else {
                for n in 0..BLOCK {
                    rows[n] = x[n] + y[n] + z[n];
                }
            }
        }
    }

    /// Interpolates the level's `entries`: along x, then z, then y, so that halves of vectors meet.
    #[inline(always)]
    pub(super) fn gather<const SLOPES: bool>(&self, entries: &[Entry], out: &mut Encoded) {
        for n in 0..BLOCK {
            let (low, high) = self.corners(entries, n);
            let [x, y, z] = [self.along[0][n], self.along[1][n], self.along[2][n]];
            let between: Side = std::array::from_fn(|i| low[i] * (1.0 - x) + high[i] * x);
            let pairs = along_z(&between, z);
            along_y(&pairs, y, 1.0, &mut out.values[n]);
            if SLOPES {
                let by_x: Side = std::array::from_fn(|i| high[i] - low[i]);
                along_y(&along_z(&by_x, z), y, self.scale, &mut out.slopes[0][n]);
                for f in 0..FEATURES {
                    out.slopes[1][n][f] = self.scale * (pairs[f + FEATURES] - pairs[f]);
                }
                let by_z = std::array::from_fn(|i| between[i + 2 * FEATURES] - between[i]);
                along_y(&by_z, y, self.scale, &mut out.slopes[2][n]);
            }
        }
    }

    /// The features on the lower and on the upper side along x.
    #[inline(always)]
    fn corners(&self, entries: &[Entry], n: usize) -> (Side, Side) {
        let (mut low, mut high) = ([0.0; 4 * FEATURES], [0.0; 4 * FEATURES]);
        for pair in 0..4 {
            let lower = &entries[self.rows[2 * pair][n] as usize];
            let upper = &entries[self.rows[2 * pair + 1][n] as usize];
            for f in 0..FEATURES {
                low[pair * FEATURES + f] = lower[f];
                high[pair * FEATURES + f] = upper[f];
            }
        }
        (low, high)
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
            let [x, y, z] = [self.along[0][n], self.along[1][n], self.along[2][n]];
            let sides = |weight: f32| [1.0 - weight, weight];
            let (ys, zs) = (sides(y), sides(z));
            // What the weight along x multiplies, and what its derivative does.
            let (mut even, mut slope): (Side, Side) = ([0.0; 4 * FEATURES], [0.0; 4 * FEATURES]);
            for (i, (even, slope)) in even.iter_mut().zip(&mut slope).enumerate() {
                let (f, j, k) = (i % FEATURES, i / FEATURES % 2, i / FEATURES / 2);
                *even = ys[j] * zs[k] * of_value[f][n];
                if SLOPES {
                    let signs = [j, k].map(|side| if side == 1 { self.scale } else { -self.scale });
                    *even +=
                        (signs[0] * zs[k] * q[1][n] + signs[1] * ys[j] * q[2][n]) * of_slope[f][n];
                    *slope = self.scale * ys[j] * zs[k] * q[0][n] * of_slope[f][n];
                }
            }
            let low: Side =
                std::array::from_fn(|i| even[i] * (1.0 - x) - if SLOPES { slope[i] } else { 0.0 });
            let high: Side =
                std::array::from_fn(|i| even[i] * x + if SLOPES { slope[i] } else { 0.0 });
            for pair in 0..4 {
                for (side, added) in [&low, &high].into_iter().enumerate() {
                    let entry = &mut entries[self.rows[2 * pair + side][n] as usize];
                    for f in 0..FEATURES {
                        entry[f] += added[pair * FEATURES + f];
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn along_z(side: &Side, z: f32) -> [f32; 2 * FEATURES] {
    std::array::from_fn(|i| side[i] * (1.0 - z) + side[i + 2 * FEATURES] * z)
}

/// Writes in place: a result of two numbers would be passed in a general register and taken apart again.
#[inline(always)]
fn along_y(pairs: &[f32; 2 * FEATURES], y: f32, scale: f32, out: &mut Entry) {
    for f in 0..FEATURES {
        out[f] = scale * (pairs[f] * (1.0 - y) + pairs[f + FEATURES] * y);
    }
}

/// A whole number within 0 and 2²³. A cast, which has to saturate, is not compiled for vector units; the sum's last
/// bits are the number.
#[inline(always)]
fn whole(value: f32) -> u32 {
    const SHIFT: u32 = f32::MANTISSA_DIGITS - 1;
    (value + (1u32 << SHIFT) as f32).to_bits() & ((1 << SHIFT) - 1)
}

impl Level {
    /// What a step along each direction multiplies to or adds to the row.
    #[inline(always)]
    fn factors(&self) -> [u32; 3] {
        let side = self.cells as u32 + 1;
        if self.is_hashed {
            PRIMES
        } else {
            [1, side, side * side]
        }
    }
}
