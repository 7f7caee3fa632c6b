//! Shape of the field: a multiresolution hash grid and a small network.

/// Features that a level stores at each of its grid points.
pub const FEATURES: usize = 2;
/// Outputs of the network: raw density, raw red, green and blue.
pub const OUTPUTS: usize = 4;
/// Outputs with the gradient of the raw density by the position behind them.
pub const OUTPUTS_WITH_GRADIENT: usize = OUTPUTS + 3;

/// The hash's factors (Müller et al. 2022, equation 4).
pub(super) const PRIMES: [u32; 3] = [1, 2_654_435_761, 805_459_861];

/// Sizes of a hash-grid field (Müller et al. 2022) over the world's box `[−1, 1]³`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldSpec {
    pub levels: usize,
    /// Cells along a side at the coarsest level, and at the finest.
    pub base: usize,
    pub finest: usize,
    /// A level has at most `2^log2_table` grid points; finer ones are hashed.
    pub log2_table: u32,
    /// Width of the hidden layer.
    pub hidden: usize,
}

/// One level: its cells along a side and where its points are in the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub cells: usize,
    pub first: usize,
    pub points: usize,
    pub is_hashed: bool,
}

/// Where the network's layers are in its packed parameters: `w1 [encoding, hidden]`, `b1 [hidden]`,
/// `w2 [hidden, 4]`, `b2 [4]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MlpLayout {
    pub w1: std::ops::Range<usize>,
    pub b1: std::ops::Range<usize>,
    pub w2: std::ops::Range<usize>,
    pub b2: std::ops::Range<usize>,
}

impl FieldSpec {
    /// Width of the encoding.
    pub fn encoding(&self) -> usize {
        self.levels * FEATURES
    }

    /// All levels, coarse to fine.
    pub fn layout(&self) -> Vec<Level> {
        let growth =
            (self.finest as f64 / self.base as f64).powf(1.0 / (self.levels.max(2) - 1) as f64);
        let (limit, mut first) = (1usize << self.log2_table, 0);
        (0..self.levels)
            .map(|level| {
                let cells = (self.base as f64 * growth.powi(level as i32)).round() as usize;
                let dense = (cells + 1).pow(3);
                let points = dense.min(limit);
                let level = Level {
                    cells,
                    first,
                    points,
                    is_hashed: dense > limit,
                };
                first += points;
                level
            })
            .collect()
    }

    /// Grid points of all levels: rows of the table `[points, 2]`.
    pub fn table_points(&self) -> usize {
        self.layout().iter().map(|level| level.points).sum()
    }

    /// The network's layers in its packed parameters.
    pub fn mlp_layout(&self) -> MlpLayout {
        let (e, h) = (self.encoding(), self.hidden);
        let w1 = 0..e * h;
        let b1 = w1.end..w1.end + h;
        let w2 = b1.end..b1.end + h * OUTPUTS;
        let b2 = w2.end..w2.end + OUTPUTS;
        MlpLayout { w1, b1, w2, b2 }
    }

    /// Length of the network's packed parameters.
    pub fn mlp_parameters(&self) -> usize {
        self.mlp_layout().b2.end
    }
}

impl Level {
    /// The table row of the grid point at integer coordinates.
    pub fn row(&self, [x, y, z]: [u32; 3]) -> usize {
        let index = if self.is_hashed {
            let hash =
                x.wrapping_mul(PRIMES[0]) ^ y.wrapping_mul(PRIMES[1]) ^ z.wrapping_mul(PRIMES[2]);
            hash as usize & (self.points - 1)
        } else {
            let side = self.cells as u32 + 1;
            (x + side * (y + side * z)) as usize
        };
        self.first + index
    }
}
