//! Convolution with stride 1 by the tiles of AMX, operands rounded to bf16.
//!
//! Padded planes are read as one line of places, row after row. A kernel's element ("tap") meets every place of the
//! result at one distance along that line. So a convolution is a sum of matrix products of shifted lines, and no
//! patches are laid out. Places between the rows of the result are computed too, and left out.

use super::Geometry;
use super::cpu::sum_over_images;
use crate::cpu::bf16::amx::{self, Left, multiply_pairs};
use crate::cpu::bf16::pack::{self, load, pack};
use crate::cpu::bf16::product::{Operand, PAIR, SIDE, TILE_DEPTH, Tile};
use crate::cpu::has_tiles;
use rayon::prelude::*;
use std::arch::x86_64::__m512i;
use std::mem::transmute;

/// Whether the convolution has the form that is computed here, and this processor the instructions.
pub(super) fn fits(g: &Geometry) -> bool {
    g.stride == 1 && g.padding < g.kernel && has_tiles()
}

/// A convolution from padded planes to places of the result.
#[derive(Clone, Copy)]
struct Pass {
    from: usize,
    to: usize,
    height: usize,
    width: usize,
    kernel: usize,
    padding: usize,
}

impl Pass {
    fn new(g: &Geometry) -> Self {
        Self {
            from: g.channels_in,
            to: g.channels_out,
            height: g.height,
            width: g.width,
            kernel: g.kernel,
            padding: g.padding,
        }
    }

    /// From the gradient of the result to that of the input: a convolution with the turned kernel.
    fn back(g: &Geometry) -> Self {
        Self {
            from: g.channels_out,
            to: g.channels_in,
            height: g.out_height(),
            width: g.out_width(),
            kernel: g.kernel,
            padding: g.kernel - 1 - g.padding,
        }
    }

    /// Places of a padded row.
    fn row(&self) -> usize {
        self.width + 2 * self.padding
    }

    fn out_size(&self) -> [usize; 2] {
        [self.height, self.width].map(|side| side + 2 * self.padding + 1 - self.kernel)
    }

    fn out_image(&self) -> usize {
        self.to * self.out_size().iter().product::<usize>()
    }

    /// Places of the result, with those between its rows.
    fn places(&self) -> usize {
        let [height, width] = self.out_size();
        (height - 1) * self.row() + width
    }

    /// The distance along the line of each tap.
    fn taps(&self) -> impl Iterator<Item = usize> + use<> {
        let (kernel, row) = (self.kernel, self.row());
        (0..kernel).flat_map(move |i| (0..kernel).map(move |j| i * row + j))
    }

    /// Places of the padded planes, with as many zeros behind as whole tiles read.
    fn line(&self) -> usize {
        let last = (self.kernel - 1) * (self.row() + 1);
        self.places().next_multiple_of(PAIR) + last.next_multiple_of(PAIR)
    }

    /// The padded planes of an image, channel after channel.
    fn padded(&self, image: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.from * self.line()];
        let start = self.padding * (self.row() + 1);
        for (line, plane) in out
            .chunks_exact_mut(self.line())
            .zip(image.chunks_exact(self.height * self.width))
        {
            let rows = line[start..].chunks_mut(self.row());
            for (to, from) in rows.zip(plane.chunks_exact(self.width)) {
                to[..self.width].copy_from_slice(from);
            }
        }
        out
    }

    /// The padded planes as rows of channels, a row a place; tiles of channels are whole.
    fn channels_last(&self, image: &[f32]) -> Vec<Row> {
        let planes = self.padded(image);
        let groups = self.from.div_ceil(TILE_DEPTH);
        let operand = Operand {
            values: &planes,
            across: 1,
            along: self.line(),
        };
        let mut rows = vec![Row([0; SIDE]); self.line() * groups];
        for (block, rows) in rows.chunks_exact_mut(SIDE * groups).enumerate() {
            for group in 0..groups {
                let channel = group * TILE_DEPTH;
                let channels = TILE_DEPTH.min(self.from - channel);
                let from = channel * self.line() + block * SIDE;
                // SAFETY: `fits`; sixteen places of these channels lie inside the planes.
                let tile = unsafe { load::<{ pack::ROWS }>(operand, from, SIDE, channels) };
                for (place, row) in tile.into_iter().enumerate() {
                    // SAFETY: both are 64 bytes of plain numbers.
                    rows[place * groups + group] = unsafe { transmute::<__m512i, Row>(row) };
                }
            }
        }
        rows
    }

    /// Weights as right operands: panels of results, then taps, then channels.
    fn pack_weights(&self, weight_at: impl Fn(usize, usize, usize) -> f32 + Sync) -> Vec<Tile> {
        let taps = self.kernel * self.kernel;
        let groups = self.from.div_ceil(TILE_DEPTH);
        let pairs = self.to.div_ceil(PAIR);
        let mut out = vec![Tile([[0; SIDE]; SIDE]); 2 * pairs * taps * groups];
        let panels = out.par_chunks_mut(2 * taps * groups).enumerate();
        panels.for_each(|(pair, out)| {
            let count = PAIR.min(self.to - pair * PAIR);
            let (mut columns, mut packed) = (vec![0.0; count * self.from], Vec::new());
            for tap in 0..taps {
                for (to, column) in columns.chunks_exact_mut(self.from).enumerate() {
                    for (from, value) in column.iter_mut().enumerate() {
                        *value = weight_at(pair * PAIR + to, from, tap);
                    }
                }
                let operand = Operand {
                    values: &columns,
                    across: self.from,
                    along: 1,
                };
                let (across, along) = ([0, count], [0, self.from]);
                // SAFETY: `fits`; the columns have these sizes.
                let tiles = unsafe { pack::<{ pack::PAIRS }>(operand, across, along, &mut packed) };
                for (panel, tiles) in tiles.chunks_exact(groups).enumerate() {
                    out[(panel * taps + tap) * groups..][..groups].copy_from_slice(tiles);
                }
            }
        });
        out
    }

    /// The result of an image, added to what `out` has.
    fn convolve(&self, image: &[f32], weights: &[Tile], out: &mut [f32]) {
        let rows = self.channels_last(image);
        let groups = self.from.div_ceil(TILE_DEPTH);
        let bytes = |place: usize| place * groups * size_of::<Row>();
        let offsets: Vec<usize> = self
            .taps()
            .flat_map(|tap| (0..groups).map(move |group| (tap, group)))
            .map(|(tap, group)| bytes(tap) + group * size_of::<Row>())
            .collect();
        let width = self.to.next_multiple_of(PAIR);
        let mut sums = vec![0.0; self.places().next_multiple_of(PAIR) * width];
        let blocks = sums.par_chunks_mut(PAIR * width).enumerate();
        blocks.for_each(|(block, sums)| {
            // SAFETY: `fits`.
            let _tiles = unsafe { amx::configure() };
            let left = Left {
                start: rows[block * PAIR * groups..].as_ptr().cast(),
                line: bytes(1),
                lower: bytes(SIDE),
                offsets: &offsets,
            };
            for (pair, right) in weights.chunks_exact(2 * offsets.len()).enumerate() {
                // SAFETY: the line has whole tiles behind every place and tap; the sums have a whole block.
                unsafe {
                    let place = sums[pair * PAIR..].as_mut_ptr();
                    multiply_pairs(place, width, left, right);
                }
            }
        });
        self.add_places(&sums, out);
    }

    /// Adds the sums of all places `[places, channels]`, but for those between rows.
    fn add_places(&self, sums: &[f32], out: &mut [f32]) {
        let (area, stride) = (
            self.out_size().iter().product(),
            self.to.next_multiple_of(PAIR),
        );
        let runs: Vec<Vec<Run>> = (0..sums.len() / stride)
            .step_by(SIDE)
            .map(|first| self.runs(first))
            .collect();
        let groups = out.par_chunks_mut(SIDE * area).enumerate();
        groups.for_each(|(group, planes)| {
            for (sums, runs) in sums.chunks_exact(SIDE * stride).zip(&runs) {
                // SAFETY: `fits`; the sums have sixteen rows of whole tiles.
                let columns = unsafe { pack::columns(&sums[group * SIDE..], stride) };
                // SAFETY: `fits`.
                unsafe { add_columns(planes, area, &columns, runs) };
            }
        });
    }

    /// Adds the weights' gradient of an image, `[tap, channel in, channel out]`, both numbers of channels rounded up to
    /// whole tiles.
    fn add_weight_grad(&self, grad: &[f32], image: &[f32], sums: &mut [f32]) {
        let [height, width] = self.out_size();
        let length = self.places().next_multiple_of(TILE_DEPTH);
        // Places between the rows take no part: their gradient is zero.
        let mut lines = vec![0.0; self.to * length];
        for (line, plane) in lines
            .chunks_exact_mut(length)
            .zip(grad.chunks_exact(height * width))
        {
            for (to, from) in line.chunks_mut(self.row()).zip(plane.chunks_exact(width)) {
                to[..width].copy_from_slice(from);
            }
        }
        let operand = Operand {
            values: &lines,
            across: length,
            along: 1,
        };
        let mut packed = Vec::new();
        // SAFETY: `fits`; the lines have these sizes.
        let right =
            unsafe { pack::<{ pack::PAIRS }>(operand, [0, self.to], [0, length], &mut packed) };
        let planes = rounded(
            &self.padded(image),
            self.from.next_multiple_of(PAIR) * self.line(),
        );
        let bytes = |numbers: usize| numbers * size_of::<u16>();
        let offsets: Vec<usize> = (0..length).step_by(TILE_DEPTH).map(bytes).collect();
        let (rows, cols) = (
            self.from.next_multiple_of(PAIR),
            self.to.next_multiple_of(PAIR),
        );
        // SAFETY: `fits`.
        let _tiles = unsafe { amx::configure() };
        for (distance, sums) in self.taps().zip(sums.chunks_exact_mut(rows * cols)) {
            for (pair, right) in right.chunks_exact(2 * offsets.len()).enumerate() {
                for row in (0..rows).step_by(PAIR) {
                    let left = Left {
                        start: planes[row * self.line() + distance..].as_ptr().cast(),
                        line: bytes(self.line()),
                        lower: bytes(SIDE * self.line()),
                        offsets: &offsets,
                    };
                    // SAFETY: a line has whole tiles behind every tap; the sums have a whole block.
                    unsafe {
                        let place = sums[row * cols + pair * PAIR..].as_mut_ptr();
                        multiply_pairs(place, cols, left, right);
                    }
                }
            }
        }
    }

    /// The places of a tile from `first` on that belong to the result.
    fn runs(&self, first: usize) -> Vec<Run> {
        let [height, width] = self.out_size();
        let mut runs = Vec::new();
        let mut from = 0;
        while from < SIDE {
            let (y, x) = ((first + from) / self.row(), (first + from) % self.row());
            if y >= height {
                break;
            }
            let length = width.saturating_sub(x).min(SIDE - from);
            if length > 0 {
                let to = y * width + x;
                runs.push(Run { from, to, length });
            }
            from += self.row() - x;
        }
        runs
    }
}

/// Neighbours of a row of the result: from a place of a tile to one of a plane.
#[derive(Clone, Copy)]
struct Run {
    from: usize,
    to: usize,
    length: usize,
}

/// Adds the runs of each column to its plane.
///
/// # Safety
/// The processor has AVX-512 BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn add_columns(
    planes: &mut [f32],
    area: usize,
    columns: &[[f32; SIDE]; SIDE],
    runs: &[Run],
) {
    for &Run { from, to, length } in runs {
        for (plane, column) in planes.chunks_exact_mut(area).zip(columns) {
            // SAFETY: the contract.
            unsafe { pack::add(&mut plane[to..][..length], &column[from..][..length]) };
        }
    }
}

/// Sixteen pairs of channels at a place.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Row([u32; SIDE]);

/// The result, `[batch, channels_out, out_height, out_width]`.
pub(super) fn forward(g: &Geometry, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let (pass, taps) = (Pass::new(g), g.kernel * g.kernel);
    let weights =
        pass.pack_weights(|to, from, tap| weight[(to * g.channels_in + from) * taps + tap]);
    let area = g.out_height() * g.out_width();
    let mut out = vec![0.0; g.batch * pass.out_image()];
    out.par_chunks_mut(pass.out_image())
        .zip(input.par_chunks(g.channels_in * g.height * g.width))
        .for_each(|(out, image)| {
            for (plane, bias) in out.chunks_exact_mut(area).zip(bias) {
                plane.fill(*bias);
            }
            pass.convolve(image, &weights, out);
        });
    out
}

/// The gradient of the input.
pub(super) fn input_grad(g: &Geometry, grad: &[f32], weight: &[f32]) -> Vec<f32> {
    let (pass, taps) = (Pass::back(g), g.kernel * g.kernel);
    let turned = |to, from, tap| weight[(from * g.channels_in + to) * taps + taps - 1 - tap];
    let weights = pass.pack_weights(turned);
    let mut out = vec![0.0; g.batch * pass.out_image()];
    out.par_chunks_mut(pass.out_image())
        .zip(grad.par_chunks(pass.from * pass.height * pass.width))
        .for_each(|(out, image)| pass.convolve(image, &weights, out));
    out
}

/// The gradient of the weights: lines of the input, a tap apart, times lines of the gradient.
pub(super) fn weight_grad(g: &Geometry, grad: &[f32], input: &[f32]) -> Vec<f32> {
    let (pass, taps) = (Pass::new(g), g.kernel * g.kernel);
    let [rows, cols] = [pass.from, pass.to].map(|channels| channels.next_multiple_of(PAIR));
    let length = taps * rows * cols;
    let sums = sum_over_images(g, length, grad, input, |grad, image, sums| {
        pass.add_weight_grad(grad, image, sums);
    });
    let mut out = vec![0.0; pass.to * pass.from * taps];
    for (to, out) in out.chunks_exact_mut(pass.from * taps).enumerate() {
        for (from, out) in out.chunks_exact_mut(taps).enumerate() {
            for (tap, value) in out.iter_mut().enumerate() {
                *value = sums[(tap * rows + from) * cols + to];
            }
        }
    }
    out
}

/// Numbers as bf16, with zeros behind up to a length.
fn rounded(values: &[f32], length: usize) -> Vec<u16> {
    let mut out = vec![0; length];
    // SAFETY: `fits`; the result is as long as the numbers, or longer.
    unsafe { pack::round(values, &mut out) };
    out
}
