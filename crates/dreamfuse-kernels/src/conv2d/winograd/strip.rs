//! Rows of images with [`LANES`] channels side by side: what is stored channel after channel is turned
//! so that the channels of a pixel are neighbours.

use super::transforms::{LANES, Lanes};

/// The place of some rows in the planes of `[channels, height, width]`.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub height: usize,
    pub width: usize,
    /// Row and column of the strip's first pixel; rows and columns outside the image are zero.
    pub top: isize,
    pub left: isize,
}

impl Window {
    /// The image's row that strip row `r` is, if it is inside.
    fn row(&self, r: usize) -> Option<usize> {
        usize::try_from(self.top + r as isize)
            .ok()
            .filter(|row| *row < self.height)
    }

    /// Columns `from..to` of a strip row of `columns` that lie inside the image, and the first one's place.
    fn columns(&self, columns: usize) -> (usize, usize, usize) {
        let from = (-self.left).clamp(0, columns as isize);
        let to = (self.width as isize - self.left).clamp(from, columns as isize);
        (
            from as usize,
            to as usize,
            (from + self.left).max(0) as usize,
        )
    }
}

/// Reads `rows` rows of `columns` pixels from [`LANES`] planes into `strip` `[rows, columns]`.
#[inline(always)]
pub(super) fn load(planes: &[f32], at: Window, columns: usize, strip: &mut [Lanes]) {
    let (from, to, first) = at.columns(columns);
    for (r, line) in strip.chunks_exact_mut(columns).enumerate() {
        let Some(row) = at.row(r) else {
            line.fill(Lanes::default());
            continue;
        };
        line[..from].fill(Lanes::default());
        line[to..].fill(Lanes::default());
        let start = row * at.width + first;
        for k in (0..LANES).step_by(BLOCK) {
            let source = |i: usize| &planes[(k + i) * at.height * at.width + start..][..to - from];
            turn_in(
                [source(0), source(1), source(2), source(3)],
                &mut line[from..to],
                k,
            );
        }
    }
}

/// Side of the blocks that are turned in registers. Left to itself, the compiler turns these loops into
/// scattered stores, several times slower.
const BLOCK: usize = 4;

/// Channels `k..k + 4` of the pixels, from a list for each channel.
#[inline(always)]
fn turn_in(sources: [&[f32]; BLOCK], pixels: &mut [Lanes], k: usize) {
    let whole = pixels.len() / BLOCK * BLOCK;
    for first in (0..whole).step_by(BLOCK) {
        let mut block = [[0.0; BLOCK]; BLOCK];
        for (row, source) in block.iter_mut().zip(sources) {
            *row = *source[first..].first_chunk().expect("a block");
        }
        for p in 0..BLOCK {
            let turned = [block[0][p], block[1][p], block[2][p], block[3][p]];
            pixels[first + p].0[k..k + BLOCK].copy_from_slice(&turned);
        }
    }
    for (p, pixel) in pixels.iter_mut().enumerate().skip(whole) {
        for (i, source) in sources.iter().enumerate() {
            pixel.0[k + i] = source[p];
        }
    }
}

/// Writes the part of `strip` `[rows, columns]` that lies inside the image, plus a number for each channel.
/// `line` gives the image's row of a channel to write to.
#[inline(always)]
pub(super) fn store<'a>(
    strip: &[Lanes],
    columns: usize,
    at: Window,
    plus: Lanes,
    mut line: impl FnMut(usize, usize) -> &'a mut [f32],
) {
    for (r, pixels) in strip.chunks_exact(columns).enumerate() {
        let Some(row) = at.row(r) else { break };
        for k in 0..LANES {
            for (value, pixel) in line(k, row).iter_mut().zip(pixels) {
                *value = pixel.0[k] + plus.0[k];
            }
        }
    }
}
