//! The field in three passes. The table is read level by level, over all samples, so that a level stays in a core's
//! own cache: its reads are random, and further away they would be all of the time. The network runs on tiles of
//! samples. Gradients of the table are added level by level again, each level by one owner, so that no two threads meet
//! and the order of additions is fixed.

use super::grid::{BLOCK, Block, Encoded, Entry};
use super::network::{Network, with_scratch};
use super::spec::{FEATURES, FieldSpec, Level, OUTPUTS, OUTPUTS_WITH_GRADIENT};
use crate::cpu::vectorized;
use rayon::prelude::*;

/// Samples of a tile.
pub(super) const TILE: usize = 256;
/// Tiles whose gradients of the network are summed before they are folded with others.
const TILES_A_PART: usize = 16;

/// The field's parameters as slices.
#[derive(Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub spec: FieldSpec,
    pub table: &'a [f32],
    pub mlp: &'a [f32],
}

/// The level's part of the table.
#[inline(always)]
fn entries<'a>(table: &'a [f32], level: &Level) -> &'a [Entry] {
    table[level.first * FEATURES..][..level.points * FEATURES]
        .as_chunks()
        .0
}

/// Numbers of an encoded tile: the encoding `[encoding, TILE]`, with slopes also its derivative by the position
/// `[encoding · 3, TILE]`.
fn encoded_size(spec: &FieldSpec, with_slopes: bool) -> usize {
    spec.encoding() * if with_slopes { 4 } else { 1 } * TILE
}

/// The tiles of all positions, encoded.
pub(super) fn encode(p: Parameters, positions: &[f32], with_slopes: bool) -> Vec<f32> {
    let size = encoded_size(&p.spec, with_slopes);
    let mut tiles = vec![0.0; (positions.len() / 3).div_ceil(TILE) * size];
    for (l, level) in p.spec.layout().iter().enumerate() {
        let entries = entries(p.table, level);
        let pieces = tiles
            .par_chunks_mut(TILES_A_PART * size)
            .zip(positions.par_chunks(TILES_A_PART * TILE * 3));
        pieces.for_each(|(tiles, positions)| {
            vectorized(
                #[inline(always)]
                || {
                    for (tile, positions) in
                        tiles.chunks_exact_mut(size).zip(positions.chunks(TILE * 3))
                    {
                        let (values, slopes) = tile.split_at_mut(p.spec.encoding() * TILE);
                        if with_slopes {
                            encode_level::<true>((l, level), entries, positions, (values, slopes));
                        } else {
                            encode_level::<false>((l, level), entries, positions, (values, slopes));
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
    (values, slopes): (&mut [f32], &mut [f32]),
) {
    let (mut block, mut encoded) = (Block::EMPTY, Encoded::EMPTY);
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

fn outputs(with_gradient: bool) -> usize {
    if with_gradient {
        OUTPUTS_WITH_GRADIENT
    } else {
        OUTPUTS
    }
}

/// `[samples, 4 or 7]` for encoded tiles.
pub(super) fn forward(
    p: Parameters,
    samples: usize,
    encoded: &[f32],
    with_gradient: bool,
) -> Vec<f32> {
    let (network, columns) = (Network::new(&p), outputs(with_gradient));
    let mut out = vec![0.0; samples * columns];
    let tiles = encoded.par_chunks(encoded_size(&p.spec, with_gradient));
    out.par_chunks_mut(TILE * columns)
        .zip(tiles)
        .for_each(|(out, encoded)| {
            with_scratch(&p.spec, |s| {
                vectorized(
                    #[inline(always)]
                    || network.forward(encoded, s, out),
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
    let (network, layout) = (Network::new(&p), p.spec.mlp_layout());
    let (size, columns) = (encoded_size(&p.spec, with_gradient), outputs(with_gradient));
    let rows = p.spec.encoding() * if with_gradient { 2 } else { 1 };
    let mut for_table = ForTable {
        values: vec![0.0; encoded.len() / size * rows * TILE],
        rows,
    };
    let parts: Vec<Vec<f32>> = for_table
        .values
        .par_chunks_mut(TILES_A_PART * rows * TILE)
        .zip(encoded.par_chunks(TILES_A_PART * size))
        .zip(grad.par_chunks(TILES_A_PART * TILE * columns))
        .map(|((for_table, encoded), grad)| {
            let mut of_mlp = vec![0.0; p.mlp.len()];
            let tiles = for_table
                .chunks_exact_mut(rows * TILE)
                .zip(encoded.chunks_exact(size))
                .zip(grad.chunks(TILE * columns));
            for ((for_table, encoded), grad) in tiles {
                with_scratch(&p.spec, |s| {
                    vectorized(
                        #[inline(always)]
                        || network.backward(&layout, encoded, grad, s, (for_table, &mut of_mlp)),
                    );
                });
            }
            of_mlp
        })
        .collect();
    let mut of_mlp = vec![0.0; p.mlp.len()];
    for part in parts {
        of_mlp
            .iter_mut()
            .zip(part)
            .for_each(|(sum, value)| *sum += value);
    }
    (
        table_grad(&p, positions, grad, with_gradient, &for_table),
        of_mlp,
    )
}

/// The gradient of the table: each level is one owner's, who walks the samples in order.
fn table_grad(
    p: &Parameters,
    positions: &[f32],
    grad: &[f32],
    with_gradient: bool,
    kept: &ForTable,
) -> Vec<f32> {
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
    let blocks = positions
        .chunks(3 * BLOCK)
        .zip(grad.chunks(columns * BLOCK))
        .enumerate();
    for (b, (positions, grad)) in blocks {
        let (tile, n) = (b * BLOCK / TILE, b * BLOCK % TILE);
        let tile = &kept.values[tile * kept.rows * TILE..];
        let rows = |first: usize| {
            std::array::from_fn(|f| &tile[(first + l * FEATURES + f) * TILE + n..][..BLOCK])
        };
        if SLOPES {
            for (n, sample) in grad.chunks_exact(columns).enumerate() {
                for d in 0..3 {
                    q[d][n] = sample[OUTPUTS + d];
                }
            }
        }
        block.locate(level, positions);
        block.scatter::<SLOPES>(
            positions.len() / 3,
            own,
            rows(0),
            (rows(if SLOPES { encoding } else { 0 }), &q),
        );
    }
}
