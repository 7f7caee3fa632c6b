//! The field on tiles of samples that stay in cache. The backward pass recomputes a tile; gradients of
//! the table are added level by level, each level by one owner, so that no two threads meet and the
//! order of additions is fixed.

use super::spec::{FEATURES, FieldSpec, Level, MlpLayout, OUTPUTS, OUTPUTS_WITH_GRADIENT};
use crate::cpu::{Matrix, multiply, vectorized};
use rayon::prelude::*;
use std::cell::RefCell;

/// Samples of a tile.
const TILE: usize = 256;
/// Tiles whose gradients of the network are summed before they are folded with others.
const TILES_A_PART: usize = 16;

/// The field's parameters as slices.
#[derive(Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub spec: FieldSpec,
    pub table: &'a [f32],
    pub mlp: &'a [f32],
}

/// What a tile computes on the way; rows of `TILE` numbers.
struct Scratch {
    /// `[encoding, TILE]`.
    encoding: Vec<f32>,
    /// `[encoding · 3, TILE]`: derivative of the encoding by the position.
    slopes: Vec<f32>,
    /// `[hidden, TILE]`: the hidden layer before the ReLU, later its gradient.
    hidden: Vec<f32>,
    /// `[hidden, TILE]`.
    active: Vec<f32>,
    /// `[hidden, TILE]`: density weights of the active units.
    density: Vec<f32>,
    /// `[hidden, TILE]`.
    tangent: Vec<f32>,
    /// `[outputs, TILE]`.
    out: Vec<f32>,
    /// `[encoding, TILE]`: ∂density/∂encoding.
    adjoint: Vec<f32>,
    /// `[encoding, TILE]`: derivative of the encoding along the gradient's gradient.
    along: Vec<f32>,
}

impl Scratch {
    fn new(spec: &FieldSpec) -> Self {
        let rows = |count: usize| vec![0.0; count * TILE];
        let (e, h) = (spec.encoding(), spec.hidden);
        Self {
            encoding: rows(e),
            slopes: rows(3 * e),
            hidden: rows(h),
            active: rows(h),
            density: rows(h),
            tangent: rows(h),
            out: rows(OUTPUTS_WITH_GRADIENT),
            adjoint: rows(e),
            along: rows(e),
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Option<(FieldSpec, Scratch)>> = const { RefCell::new(None) };
}

fn with_scratch<R>(spec: &FieldSpec, body: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(made_for, _)| made_for != spec) {
            *slot = Some((*spec, Scratch::new(spec)));
        }
        body(&mut slot.as_mut().expect("made above").1)
    })
}

/// Whole tiles of a matrix with `rows` rows.
fn tile(rows: usize) -> Matrix {
    Matrix::rows(rows, TILE, TILE)
}

/// The corner of a cell, and the weights below and above in each direction.
struct Cell {
    low: [u32; 3],
    weights: [[f32; 2]; 3],
}

#[inline(always)]
fn cell(level: &Level, p: [f32; 3]) -> Cell {
    let mut cell = Cell { low: [0; 3], weights: [[0.0; 2]; 3] };
    for (i, p) in p.into_iter().enumerate() {
        let scaled = (p + 1.0) * 0.5 * level.cells as f32;
        let low = scaled.floor().clamp(0.0, (level.cells - 1) as f32);
        cell.low[i] = low as u32;
        cell.weights[i] = [1.0 - (scaled - low), scaled - low];
    }
    cell
}

/// Rows of the table and offsets (0 or 1 by direction) of a cell's eight corners.
#[inline(always)]
fn corners(level: &Level, cell: &Cell) -> [(usize, [usize; 3]); 8] {
    std::array::from_fn(|corner| {
        let offset = [corner & 1, corner >> 1 & 1, corner >> 2 & 1];
        (level.row(std::array::from_fn(|i| cell.low[i] + offset[i] as u32)), offset)
    })
}

/// Product of the weights, and its derivative by the position in units of cells.
#[inline(always)]
fn weight_and_slope(w: &[[f32; 2]; 3], [i, j, k]: [usize; 3]) -> (f32, [f32; 3]) {
    let (x, y, z) = (w[0][i], w[1][j], w[2][k]);
    let sign = |offset: usize| if offset == 1 { 1.0 } else { -1.0 };
    (x * y * z, [sign(i) * y * z, x * sign(j) * z, x * y * sign(k)])
}

/// Fills encoding (and slopes, where asked) for the tile's positions.
fn encode(p: &Parameters, layout: &[Level], positions: &[f32], with_slopes: bool, s: &mut Scratch) {
    for (l, level) in layout.iter().enumerate() {
        let scale = level.cells as f32 * 0.5;
        for (n, position) in positions.chunks_exact(3).enumerate() {
            let cell = cell(level, [position[0], position[1], position[2]]);
            let (mut value, mut slope) = ([0.0f32; FEATURES], [[0.0f32; 3]; FEATURES]);
            for (row, offset) in corners(level, &cell) {
                let (weight, slopes) = weight_and_slope(&cell.weights, offset);
                for f in 0..FEATURES {
                    let entry = p.table[row * FEATURES + f];
                    value[f] += weight * entry;
                    if with_slopes {
                        slope[f].iter_mut().zip(slopes).for_each(|(sum, by)| *sum += by * entry);
                    }
                }
            }
            for f in 0..FEATURES {
                let i = l * FEATURES + f;
                s.encoding[i * TILE + n] = value[f];
                if with_slopes {
                    (0..3).for_each(|d| s.slopes[(3 * i + d) * TILE + n] = scale * slope[f][d]);
                }
            }
        }
    }
}

/// The network on an encoded tile: fills hidden, active, out; with the gradient also density,
/// adjoint and the gradient's rows of out.
fn network(p: &Parameters, at: &MlpLayout, with_gradient: bool, s: &mut Scratch) {
    let (e, h) = (p.spec.encoding(), p.spec.hidden);
    let (w1, w2) = (&p.mlp[at.w1.clone()], &p.mlp[at.w2.clone()]);
    for (row, bias) in s.hidden.chunks_exact_mut(TILE).zip(&p.mlp[at.b1.clone()]) {
        row.fill(*bias);
    }
    multiply(&mut s.hidden, tile(h), (w1, Matrix::rows(e, h, h).transposed()), (&s.encoding, tile(e)), true);
    s.active.iter_mut().zip(&s.hidden).for_each(|(active, value)| *active = value.max(0.0));
    for (row, bias) in s.out.chunks_exact_mut(TILE).zip(&p.mlp[at.b2.clone()]) {
        row.fill(*bias);
    }
    multiply(
        &mut s.out,
        tile(OUTPUTS),
        (w2, Matrix::rows(h, OUTPUTS, OUTPUTS).transposed()),
        (&s.active, tile(h)),
        true,
    );
    if !with_gradient {
        return;
    }
    for (j, (row, hidden)) in s.density.chunks_exact_mut(TILE).zip(s.hidden.chunks_exact(TILE)).enumerate() {
        let weight = w2[j * OUTPUTS];
        row.iter_mut().zip(hidden).for_each(|(value, hidden)| *value = if *hidden > 0.0 { weight } else { 0.0 });
    }
    multiply(&mut s.adjoint, tile(e), (w1, Matrix::rows(e, h, h)), (&s.density, tile(h)), false);
    let gradient = &mut s.out[OUTPUTS * TILE..];
    gradient.fill(0.0);
    for (i, adjoint) in s.adjoint.chunks_exact(TILE).enumerate() {
        for (d, row) in gradient.chunks_exact_mut(TILE).enumerate() {
            let slopes = &s.slopes[(3 * i + d) * TILE..][..TILE];
            row.iter_mut().zip(adjoint).zip(slopes).for_each(|((sum, a), slope)| *sum += a * slope);
        }
    }
}

fn outputs(with_gradient: bool) -> usize {
    if with_gradient { OUTPUTS_WITH_GRADIENT } else { OUTPUTS }
}

/// `[samples, 4 or 7]` for positions `[samples, 3]`.
pub(super) fn forward(p: Parameters, positions: &[f32], with_gradient: bool) -> Vec<f32> {
    let (layout, at) = (p.spec.layout(), p.spec.mlp_layout());
    let columns = outputs(with_gradient);
    let mut out = vec![0.0; positions.len() / 3 * columns];
    out.par_chunks_mut(TILE * columns).zip(positions.par_chunks(TILE * 3)).for_each(|(out, positions)| {
        with_scratch(&p.spec, |s| {
            vectorized(|| {
                encode(&p, &layout, positions, with_gradient, s);
                network(&p, &at, with_gradient, s);
                for (n, sample) in out.chunks_exact_mut(columns).enumerate() {
                    sample.iter_mut().enumerate().for_each(|(k, value)| *value = s.out[k * TILE + n]);
                }
            });
        });
    });
    out
}

/// What the table's owners need of each sample, `[tiles][2 · encoding, TILE]`: the gradient of the
/// encoding, and the density's derivative by the encoding.
struct ForTable(Vec<f32>);

/// Gradients of table and network for the gradient of the output.
pub(super) fn backward(p: Parameters, positions: &[f32], grad: &[f32], with_gradient: bool) -> (Vec<f32>, Vec<f32>) {
    let (layout, at) = (p.spec.layout(), p.spec.mlp_layout());
    let (e, columns) = (p.spec.encoding(), outputs(with_gradient));
    let tiles = (positions.len() / 3).div_ceil(TILE);
    let mut for_table = ForTable(vec![0.0; tiles * 2 * e * TILE]);
    let parts: Vec<Vec<f32>> = for_table
        .0
        .par_chunks_mut(TILES_A_PART * 2 * e * TILE)
        .zip(positions.par_chunks(TILES_A_PART * TILE * 3))
        .zip(grad.par_chunks(TILES_A_PART * TILE * columns))
        .map(|((kept, positions), grad)| {
            let mut of_mlp = vec![0.0; p.mlp.len()];
            let tiles =
                kept.chunks_exact_mut(2 * e * TILE).zip(positions.chunks(TILE * 3)).zip(grad.chunks(TILE * columns));
            for ((kept, positions), grad) in tiles {
                with_scratch(&p.spec, |s| {
                    vectorized(|| {
                        encode(&p, &layout, positions, with_gradient, s);
                        network(&p, &at, with_gradient, s);
                        tile_backward(&p, &at, grad, with_gradient, s, (kept, &mut of_mlp));
                    });
                });
            }
            of_mlp
        })
        .collect();
    let mut of_mlp = vec![0.0; p.mlp.len()];
    for part in parts {
        of_mlp.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    (table_grad(&p, &layout, positions, grad, with_gradient, &for_table), of_mlp)
}

/// Gradients of the network for a tile; `kept` receives what the table's owners need.
fn tile_backward(
    p: &Parameters,
    at: &MlpLayout,
    grad: &[f32],
    with_gradient: bool,
    s: &mut Scratch,
    (kept, of_mlp): (&mut [f32], &mut [f32]),
) {
    let (e, h) = (p.spec.encoding(), p.spec.hidden);
    let columns = outputs(with_gradient);
    let (w1, w2) = (&p.mlp[at.w1.clone()], &p.mlp[at.w2.clone()]);
    // The gradient of the output, transposed; zeros past the last sample.
    s.out.fill(0.0);
    for (n, sample) in grad.chunks_exact(columns).enumerate() {
        sample.iter().enumerate().for_each(|(k, value)| s.out[k * TILE + n] = *value);
    }
    let of_w2 = &mut of_mlp[at.w2.clone()];
    multiply(
        of_w2,
        Matrix::rows(h, OUTPUTS, OUTPUTS),
        (&s.active, tile(h)),
        (&s.out, tile(OUTPUTS).transposed()),
        true,
    );
    for (sum, row) in of_mlp[at.b2.clone()].iter_mut().zip(s.out.chunks_exact(TILE)) {
        *sum += row.iter().sum::<f32>();
    }
    if with_gradient {
        gradient_backward(p, at, s, of_mlp);
    }
    // The mask of the ReLU, then the gradient of the hidden layer in its place.
    multiply(&mut s.tangent, tile(h), (w2, Matrix::rows(h, OUTPUTS, OUTPUTS)), (&s.out, tile(OUTPUTS)), false);
    s.hidden.iter_mut().zip(&s.tangent).for_each(|(hidden, value)| *hidden = if *hidden > 0.0 { *value } else { 0.0 });
    for (sum, row) in of_mlp[at.b1.clone()].iter_mut().zip(s.hidden.chunks_exact(TILE)) {
        *sum += row.iter().sum::<f32>();
    }
    let of_w1 = &mut of_mlp[at.w1.clone()];
    multiply(of_w1, Matrix::rows(e, h, h), (&s.encoding, tile(e)), (&s.hidden, tile(h).transposed()), true);
    let (of_encoding, adjoint) = kept.split_at_mut(e * TILE);
    multiply(of_encoding, tile(e), (w1, Matrix::rows(e, h, h)), (&s.hidden, tile(h)), false);
    if with_gradient {
        adjoint.copy_from_slice(&s.adjoint);
    }
}

/// The part of the network's gradient that comes from the density's gradient `g = Jᵀ w1 (w2 ⊙ step)`:
/// with `q` the gradient of `g`, it is that of `w2 · (step ⊙ w1ᵀ (J q))`.
fn gradient_backward(p: &Parameters, at: &MlpLayout, s: &mut Scratch, of_mlp: &mut [f32]) {
    let (e, h) = (p.spec.encoding(), p.spec.hidden);
    let w1 = &p.mlp[at.w1.clone()];
    let q = &s.out[OUTPUTS * TILE..];
    for (i, along) in s.along.chunks_exact_mut(TILE).enumerate() {
        along.fill(0.0);
        for (d, q) in q.chunks_exact(TILE).enumerate() {
            let slopes = &s.slopes[(3 * i + d) * TILE..][..TILE];
            along.iter_mut().zip(q).zip(slopes).for_each(|((sum, q), slope)| *sum += q * slope);
        }
    }
    multiply(&mut s.tangent, tile(h), (w1, Matrix::rows(e, h, h).transposed()), (&s.along, tile(e)), false);
    let of_w2 = &mut of_mlp[at.w2.clone()];
    for (j, (tangent, hidden)) in s.tangent.chunks_exact(TILE).zip(s.hidden.chunks_exact(TILE)).enumerate() {
        let masked = tangent.iter().zip(hidden).map(|(t, hidden)| if *hidden > 0.0 { *t } else { 0.0 });
        of_w2[j * OUTPUTS] += masked.sum::<f32>();
    }
    let of_w1 = &mut of_mlp[at.w1.clone()];
    multiply(of_w1, Matrix::rows(e, h, h), (&s.along, tile(e)), (&s.density, tile(h).transposed()), true);
}

/// The gradient of the table: each level is one owner's, who walks the samples in order.
fn table_grad(
    p: &Parameters,
    layout: &[Level],
    positions: &[f32],
    grad: &[f32],
    with_gradient: bool,
    kept: &ForTable,
) -> Vec<f32> {
    let mut out = vec![0.0; p.table.len()];
    let mut rest = out.as_mut_slice();
    let mut owners = Vec::new();
    for (l, level) in layout.iter().enumerate() {
        let (own, others) = rest.split_at_mut(level.points * FEATURES);
        owners.push((l, level, own));
        rest = others;
    }
    let (e, columns) = (p.spec.encoding(), outputs(with_gradient));
    owners.into_par_iter().for_each(|(l, level, own)| {
        vectorized(|| {
            for (n, position) in positions.chunks_exact(3).enumerate() {
                let tile = &kept.0[n / TILE * 2 * e * TILE..];
                let of = |row: usize| tile[row * TILE + n % TILE];
                let cell = cell(level, [position[0], position[1], position[2]]);
                let of_value: [f32; FEATURES] = std::array::from_fn(|f| of(l * FEATURES + f));
                let (mut of_slope, mut q) = ([0.0; FEATURES], [0.0; 3]);
                if with_gradient {
                    of_slope = std::array::from_fn(|f| of(e + l * FEATURES + f));
                    let scale = level.cells as f32 * 0.5;
                    q = std::array::from_fn(|d| scale * grad[n * columns + OUTPUTS + d]);
                }
                for (row, offset) in corners(level, &cell) {
                    let (weight, slopes) = weight_and_slope(&cell.weights, offset);
                    let along: f32 = (0..3).map(|d| slopes[d] * q[d]).sum();
                    for f in 0..FEATURES {
                        own[(row - level.first) * FEATURES + f] += weight * of_value[f] + along * of_slope[f];
                    }
                }
            }
        });
    });
    out
}
