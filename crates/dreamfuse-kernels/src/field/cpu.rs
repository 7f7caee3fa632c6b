//! The field in three passes. The table is read level by level, over all samples, so that a level stays in a core's
//! own cache: its reads are random, and further away they would be all of the time. The network runs on tiles of
//! samples. Gradients of the table are added level by level again, each level by one owner, so that no two threads meet
//! and the order of additions is fixed.

use super::grid::{BLOCK, Block, Encoded, Entry};
use super::spec::{FEATURES, FieldSpec, Level, MlpLayout, OUTPUTS, OUTPUTS_WITH_GRADIENT};
use crate::cpu::{LANES, Matrix, multiply, sum as lanes_sum, vectorized};
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

/// The level's part of the table.
#[inline(always)]
fn entries<'a>(table: &'a [f32], level: &Level) -> &'a [Entry] {
    table[level.first * FEATURES..][..level.points * FEATURES].as_chunks().0
}

/// Rows of an encoded tile: the encoding `[encoding, TILE]`, with slopes also its derivative by the position
/// `[encoding · 3, TILE]`.
fn encoded_rows(spec: &FieldSpec, with_slopes: bool) -> usize {
    spec.encoding() * if with_slopes { 4 } else { 1 }
}

/// The tiles of all positions, encoded.
pub(super) fn encode(p: Parameters, positions: &[f32], with_slopes: bool) -> Vec<f32> {
    let size = encoded_rows(&p.spec, with_slopes) * TILE;
    let mut tiles = vec![0.0; (positions.len() / 3).div_ceil(TILE) * size];
    for (l, level) in p.spec.layout().iter().enumerate() {
        let entries = entries(p.table, level);
        let pieces = tiles.par_chunks_mut(TILES_A_PART * size).zip(positions.par_chunks(TILES_A_PART * TILE * 3));
        pieces.for_each(|(tiles, positions)| {
            vectorized(
                #[inline(always)]
                || {
                    for (tile, positions) in tiles.chunks_exact_mut(size).zip(positions.chunks(TILE * 3)) {
                        if with_slopes {
                            encode_level::<true>((l, level), entries, positions, tile);
                        } else {
                            encode_level::<false>((l, level), entries, positions, tile);
                        }
                    }
                },
            );
        });
    }
    tiles
}

/// Fills the rows of level number `l` of a tile.
#[inline(always)]
fn encode_level<const SLOPES: bool>(
    (l, level): (usize, &Level),
    entries: &[Entry],
    positions: &[f32],
    tile: &mut [f32],
) {
    let (mut block, mut encoded) = (Block::EMPTY, Encoded::EMPTY);
    let (values, slopes) = tile.split_at_mut(if SLOPES { tile.len() / 4 } else { tile.len() });
    for (b, positions) in positions.chunks(3 * BLOCK).enumerate() {
        block.locate(level, positions);
        block.gather::<SLOPES>(entries, &mut encoded);
        for f in 0..FEATURES {
            let row = l * FEATURES + f;
            let copy = |from: &[Entry; BLOCK], to: &mut [f32]| {
                for (to, from) in to[b * BLOCK..][..BLOCK].iter_mut().zip(from) {
                    *to = from[f];
                }
            };
            copy(&encoded.values, &mut values[row * TILE..]);
            if SLOPES {
                for d in 0..3 {
                    copy(&encoded.slopes[d], &mut slopes[(3 * row + d) * TILE..]);
                }
            }
        }
    }
}

/// The network on an encoded tile: fills hidden, active, out; with the gradient also density,
/// adjoint and the gradient's rows of out.
#[inline(always)]
fn network(p: &Parameters, at: &MlpLayout, encoded: &[f32], with_gradient: bool, s: &mut Scratch) {
    let (e, h) = (p.spec.encoding(), p.spec.hidden);
    let (encoding, slopes) = encoded.split_at(e * TILE);
    let (w1, w2) = (&p.mlp[at.w1.clone()], &p.mlp[at.w2.clone()]);
    for (row, bias) in s.hidden.chunks_exact_mut(TILE).zip(&p.mlp[at.b1.clone()]) {
        row.fill(*bias);
    }
    multiply(&mut s.hidden, tile(h), (w1, Matrix::rows(e, h, h).transposed()), (encoding, tile(e)), true);
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
            let slopes = &slopes[(3 * i + d) * TILE..][..TILE];
            row.iter_mut().zip(adjoint).zip(slopes).for_each(|((sum, a), slope)| *sum += a * slope);
        }
    }
}

fn outputs(with_gradient: bool) -> usize {
    if with_gradient { OUTPUTS_WITH_GRADIENT } else { OUTPUTS }
}

/// `[samples, 4 or 7]` for encoded tiles.
pub(super) fn forward(p: Parameters, samples: usize, encoded: &[f32], with_gradient: bool) -> Vec<f32> {
    let (at, columns) = (p.spec.mlp_layout(), outputs(with_gradient));
    let mut out = vec![0.0; samples * columns];
    let tiles = encoded.par_chunks(encoded_rows(&p.spec, with_gradient) * TILE);
    out.par_chunks_mut(TILE * columns).zip(tiles).for_each(|(out, encoded)| {
        with_scratch(&p.spec, |s| {
            vectorized(
                #[inline(always)]
                || {
                    network(&p, &at, encoded, with_gradient, s);
                    for (n, sample) in out.chunks_exact_mut(columns).enumerate() {
                        sample.iter_mut().enumerate().for_each(|(k, value)| *value = s.out[k * TILE + n]);
                    }
                },
            );
        });
    });
    out
}

/// What the table's owners need of each sample, `[tiles][rows, TILE]`: the gradient of the encoding, and with the
/// density's gradient also its derivative by the encoding.
struct ForTable {
    values: Vec<f32>,
    rows: usize,
}

/// Gradients of table and network for the gradient of the output.
pub(super) fn backward(
    p: Parameters,
    positions: &[f32],
    encoded: &[f32],
    grad: &[f32],
    with_gradient: bool,
) -> (Vec<f32>, Vec<f32>) {
    let at = p.spec.mlp_layout();
    let rows = p.spec.encoding() * if with_gradient { 2 } else { 1 };
    let (kept_size, size) = (rows * TILE, encoded_rows(&p.spec, with_gradient) * TILE);
    let columns = outputs(with_gradient);
    let mut for_table = ForTable { values: vec![0.0; encoded.len() / size * kept_size], rows };
    let parts: Vec<Vec<f32>> = for_table
        .values
        .par_chunks_mut(TILES_A_PART * kept_size)
        .zip(encoded.par_chunks(TILES_A_PART * size))
        .zip(grad.par_chunks(TILES_A_PART * TILE * columns))
        .map(|((kept, encoded), grad)| {
            let mut of_mlp = vec![0.0; p.mlp.len()];
            let tiles =
                kept.chunks_exact_mut(kept_size).zip(encoded.chunks_exact(size)).zip(grad.chunks(TILE * columns));
            for ((kept, encoded), grad) in tiles {
                with_scratch(&p.spec, |s| {
                    vectorized(
                        #[inline(always)]
                        || {
                            network(&p, &at, encoded, with_gradient, s);
                            tile_backward(&p, &at, encoded, grad, with_gradient, s, (kept, &mut of_mlp));
                        },
                    );
                });
            }
            of_mlp
        })
        .collect();
    let mut of_mlp = vec![0.0; p.mlp.len()];
    for part in parts {
        of_mlp.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    (table_grad(&p, positions, grad, with_gradient, &for_table), of_mlp)
}

/// Gradients of the network for a tile; `kept` receives what the table's owners need.
#[inline(always)]
fn tile_backward(
    p: &Parameters,
    at: &MlpLayout,
    encoded: &[f32],
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
        *sum += lanes_sum(row, |value| value);
    }
    if with_gradient {
        gradient_backward(p, at, &encoded[e * TILE..], s, of_mlp);
    }
    // The mask of the ReLU, then the gradient of the hidden layer in its place.
    multiply(&mut s.tangent, tile(h), (w2, Matrix::rows(h, OUTPUTS, OUTPUTS)), (&s.out, tile(OUTPUTS)), false);
    s.hidden.iter_mut().zip(&s.tangent).for_each(|(hidden, value)| *hidden = if *hidden > 0.0 { *value } else { 0.0 });
    for (sum, row) in of_mlp[at.b1.clone()].iter_mut().zip(s.hidden.chunks_exact(TILE)) {
        *sum += lanes_sum(row, |value| value);
    }
    let of_w1 = &mut of_mlp[at.w1.clone()];
    multiply(of_w1, Matrix::rows(e, h, h), (encoded, tile(e)), (&s.hidden, tile(h).transposed()), true);
    let (of_encoding, adjoint) = kept.split_at_mut(e * TILE);
    multiply(of_encoding, tile(e), (w1, Matrix::rows(e, h, h)), (&s.hidden, tile(h)), false);
    if with_gradient {
        adjoint.copy_from_slice(&s.adjoint);
    }
}

/// The part of the network's gradient that comes from the density's gradient `g = Jᵀ w1 (w2 ⊙ step)`:
/// with `q` the gradient of `g`, it is that of `w2 · (step ⊙ w1ᵀ (J q))`.
#[inline(always)]
fn gradient_backward(p: &Parameters, at: &MlpLayout, slopes: &[f32], s: &mut Scratch, of_mlp: &mut [f32]) {
    let (e, h) = (p.spec.encoding(), p.spec.hidden);
    let w1 = &p.mlp[at.w1.clone()];
    let q = &s.out[OUTPUTS * TILE..];
    for (i, along) in s.along.chunks_exact_mut(TILE).enumerate() {
        along.fill(0.0);
        for (d, q) in q.chunks_exact(TILE).enumerate() {
            let slopes = &slopes[(3 * i + d) * TILE..][..TILE];
            along.iter_mut().zip(q).zip(slopes).for_each(|((sum, q), slope)| *sum += q * slope);
        }
    }
    multiply(&mut s.tangent, tile(h), (w1, Matrix::rows(e, h, h).transposed()), (&s.along, tile(e)), false);
    let of_w2 = &mut of_mlp[at.w2.clone()];
    for (j, (tangent, hidden)) in s.tangent.chunks_exact(TILE).zip(s.hidden.chunks_exact(TILE)).enumerate() {
        of_w2[j * OUTPUTS] += masked_sum(tangent, hidden);
    }
    let of_w1 = &mut of_mlp[at.w1.clone()];
    multiply(of_w1, Matrix::rows(e, h, h), (&s.along, tile(e)), (&s.density, tile(h).transposed()), true);
}

/// The sum of the values whose unit is active.
#[inline(always)]
fn masked_sum(values: &[f32], units: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (values, units) in values.chunks_exact(LANES).zip(units.chunks_exact(LANES)) {
        for n in 0..LANES {
            lanes[n] += if units[n] > 0.0 { values[n] } else { 0.0 };
        }
    }
    lanes.iter().sum()
}

/// The gradient of the table: each level is one owner's, who walks the samples in order.
fn table_grad(p: &Parameters, positions: &[f32], grad: &[f32], with_gradient: bool, kept: &ForTable) -> Vec<f32> {
    let mut out = vec![0.0; p.table.len()];
    let mut rest = out.as_mut_slice();
    let mut owners = Vec::new();
    let layout = p.spec.layout();
    for (l, level) in layout.iter().enumerate() {
        let (own, others) = rest.split_at_mut(level.points * FEATURES);
        owners.push((l, level, own));
        rest = others;
    }
    let encoding = p.spec.encoding();
    owners.into_par_iter().for_each(|(l, level, own)| {
        let own = own.as_chunks_mut().0;
        vectorized(
            #[inline(always)]
            || {
                if with_gradient {
                    level_grad::<true>(encoding, (l, level), positions, grad, kept, own);
                } else {
                    level_grad::<false>(encoding, (l, level), positions, grad, kept, own);
                }
            },
        );
    });
    out
}

/// Adds the gradients of all samples to the entries of level number `l`.
#[inline(always)]
fn level_grad<const SLOPES: bool>(
    encoding: usize,
    (l, level): (usize, &Level),
    positions: &[f32],
    grad: &[f32],
    kept: &ForTable,
    own: &mut [Entry],
) {
    let columns = outputs(SLOPES);
    let (mut block, mut q) = (Block::EMPTY, [[0.0; BLOCK]; 3]);
    let blocks = positions.chunks(3 * BLOCK).zip(grad.chunks(columns * BLOCK)).enumerate();
    for (b, (positions, grad)) in blocks {
        let (tile, n) = (b * BLOCK / TILE, b * BLOCK % TILE);
        let tile = &kept.values[tile * kept.rows * TILE..];
        let rows = |first: usize| std::array::from_fn(|f| &tile[(first + l * FEATURES + f) * TILE + n..][..BLOCK]);
        if SLOPES {
            for (n, sample) in grad.chunks_exact(columns).enumerate() {
                for d in 0..3 {
                    q[d][n] = sample[OUTPUTS + d];
                }
            }
        }
        block.locate(level, positions);
        block.scatter::<SLOPES>(positions.len() / 3, own, rows(0), (rows(if SLOPES { encoding } else { 0 }), &q));
    }
}
