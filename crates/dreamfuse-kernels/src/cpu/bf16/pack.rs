//! Operands of products as tiles of pairs of bf16, by AVX-512 BF16.

use super::product::{Operand, PAIR, SIDE, TILE_DEPTH, Tile};
use std::arch::x86_64::{
    __m256bh, __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh,
    _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16,
    _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_store_si512, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};
use std::mem::transmute;

/// A tile's row is an operand's row: the form of left operands.
pub(crate) const ROWS: bool = false;
/// A tile's row is a pair of sixteen columns: the form of right operands.
pub(crate) const PAIRS: bool = true;

/// The mask of the first `count` lanes.
pub(super) fn first(count: usize) -> u16 {
    if count >= SIDE {
        u16::MAX
    } else {
        (1 << count) - 1
    }
}

/// Packs numbers `start..start + count` across and `k..k + length` along: tiles along the common axis, then across.
/// Tiles across are even in number; what is missing is zero.
///
/// # Safety
/// The processor has AVX-512 BF16 and BW; the numbers lie inside the operand.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) unsafe fn pack<'a, const FORM: bool>(
    operand: Operand,
    [start, count]: [usize; 2],
    [k, length]: [usize; 2],
    out: &'a mut Vec<Tile>,
) -> &'a [Tile] {
    let depth = length.div_ceil(TILE_DEPTH);
    let tiles = count.div_ceil(PAIR) * 2 * depth;
    if out.len() < tiles {
        out.resize(tiles, Tile([[0; SIDE]; SIDE]));
    }
    for (panel, tiles) in out[..tiles].chunks_exact_mut(depth).enumerate() {
        let entries = SIDE.min(count.saturating_sub(panel * SIDE));
        for (index, tile) in tiles.iter_mut().enumerate() {
            let numbers = TILE_DEPTH.min(length - index * TILE_DEPTH);
            let across = (start + panel * SIDE) * operand.across;
            let from = across + (k + index * TILE_DEPTH) * operand.along;
            // SAFETY: the contract of this function; a tile is 16 aligned vectors.
            unsafe {
                let rows = load::<FORM>(operand, from, entries, numbers);
                for (target, row) in tile.0.iter_mut().zip(rows) {
                    _mm512_store_si512(target.as_mut_ptr().cast(), row);
                }
            }
        }
    }
    &out[..tiles]
}

/// A tile in a form: `entries` across and `numbers` along from the place `from` on. What lies in memory in the other
/// form is transposed.
///
/// # Safety
/// The processor has AVX-512 BF16 and BW; the numbers lie inside the operand.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) unsafe fn load<const FORM: bool>(
    operand: Operand,
    from: usize,
    entries: usize,
    numbers: usize,
) -> [__m512i; SIDE] {
    // SAFETY: the contract of `pack`.
    let (form, tile) = unsafe {
        if operand.across == 1 {
            (PAIRS, load_pairs(operand, from, entries, numbers))
        } else if operand.along == 1 {
            (ROWS, load_rows(operand, from, entries, numbers))
        } else {
            (ROWS, gather_rows(operand, from, entries, numbers))
        }
    };
    if form == FORM { tile } else { transposed(tile) }
}

/// Neighbours across are neighbours in memory: two rows are interleaved.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn load_pairs(
    operand: Operand,
    from: usize,
    entries: usize,
    numbers: usize,
) -> [__m512i; SIDE] {
    const INTERLEAVED: [u16; 32] = {
        let mut lanes = [0; 32];
        let mut lane = 0;
        while lane < 32 {
            lanes[lane] = (lane / 2 + lane % 2 * 16) as u16;
            lane += 1;
        }
        lanes
    };
    // SAFETY: as many numbers as the vector has.
    let order = unsafe { _mm512_loadu_si512(INTERLEAVED.as_ptr().cast()) };
    let start = operand.values.as_ptr().wrapping_add(from);
    let row = |index: usize| -> __m512 {
        let mask = if index < numbers { first(entries) } else { 0 };
        // SAFETY: masked lanes are not read; the others lie inside the operand.
        unsafe { _mm512_maskz_loadu_ps(mask, start.wrapping_add(index * operand.along)) }
    };
    let mut tile = [_mm512_setzero_si512(); SIDE];
    for (pair, target) in tile.iter_mut().enumerate() {
        let both = _mm512_cvtne2ps_pbh(row(2 * pair + 1), row(2 * pair));
        // SAFETY: both are 64 bytes of plain numbers.
        *target = _mm512_permutexvar_epi16(order, unsafe { transmute::<__m512bh, __m512i>(both) });
    }
    tile
}

/// Neighbours along the common axis are neighbours in memory.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn load_rows(
    operand: Operand,
    from: usize,
    entries: usize,
    numbers: usize,
) -> [__m512i; SIDE] {
    let mut tile = [_mm512_setzero_si512(); SIDE];
    for (entry, target) in tile.iter_mut().enumerate().take(entries) {
        let line = operand
            .values
            .as_ptr()
            .wrapping_add(from + entry * operand.across);
        // SAFETY: masked lanes are not read; the others lie inside the operand. Both are 64 bytes of plain numbers.
        unsafe {
            let low = _mm512_maskz_loadu_ps(first(numbers), line);
            let high = first(numbers.saturating_sub(SIDE));
            let high = _mm512_maskz_loadu_ps(high, line.wrapping_add(SIDE));
            *target = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
        }
    }
    tile
}

/// No neighbours in memory.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn gather_rows(
    operand: Operand,
    from: usize,
    entries: usize,
    numbers: usize,
) -> [__m512i; SIDE] {
    let mut lines = [0.0; SIDE * TILE_DEPTH];
    for (entry, line) in lines.chunks_exact_mut(TILE_DEPTH).enumerate().take(entries) {
        for (index, value) in line.iter_mut().enumerate().take(numbers) {
            *value = operand.values[from + entry * operand.across + index * operand.along];
        }
    }
    let lines = Operand {
        values: &lines,
        across: TILE_DEPTH,
        along: 1,
    };
    // SAFETY: the contract of `pack`; the lines have room for a tile.
    unsafe { load_rows(lines, 0, SIDE, TILE_DEPTH) }
}

/// Rounds numbers to the nearest bf16.
///
/// # Safety
/// The processor has AVX-512 BF16 and BW; `out` has room for them.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) unsafe fn round(values: &[f32], out: &mut [u16]) {
    for (from, to) in values.chunks(SIDE).zip(out.chunks_mut(SIDE)) {
        // SAFETY: masked lanes are not read; both sides of the cast are 32 bytes of plain numbers.
        let rounded = unsafe {
            let from = _mm512_maskz_loadu_ps(first(from.len()), from.as_ptr());
            transmute::<__m256bh, [u16; SIDE]>(_mm512_cvtneps_pbh(from))
        };
        to.copy_from_slice(&rounded[..to.len()]);
    }
}

/// Adds sixteen numbers or fewer.
///
/// # Safety
/// The processor has AVX-512 BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) unsafe fn add(out: &mut [f32], values: &[f32]) {
    assert!(
        out.len() == values.len() && out.len() <= SIDE,
        "expected the numbers of a tile's row"
    );
    let mask = first(out.len());
    // SAFETY: masked lanes are neither read nor written.
    unsafe {
        let before = _mm512_maskz_loadu_ps(mask, out.as_ptr());
        let sum = _mm512_add_ps(before, _mm512_maskz_loadu_ps(mask, values.as_ptr()));
        _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, sum);
    }
}

/// Sixteen columns of sixteen rows that are `stride` apart.
///
/// # Safety
/// The processor has AVX-512 BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) unsafe fn columns(values: &[f32], stride: usize) -> [[f32; SIDE]; SIDE] {
    let mut rows = [_mm512_setzero_si512(); SIDE];
    for (index, row) in rows.iter_mut().enumerate() {
        let values: &[f32] = &values[index * stride..][..SIDE];
        // SAFETY: as many numbers as the vector has.
        *row = unsafe { _mm512_loadu_si512(values.as_ptr().cast()) };
    }
    // SAFETY: both are 16 times 64 bytes of plain numbers.
    unsafe { transmute::<[__m512i; SIDE], [[f32; SIDE]; SIDE]>(transposed(rows)) }
}

/// Rows as columns: pairs of rows, then of pairs, within the quarters of a vector; then the quarters.
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; SIDE]) -> [__m512i; SIDE] {
    let mut singles = rows;
    for (from, to) in rows.chunks_exact(2).zip(singles.chunks_exact_mut(2)) {
        to[0] = _mm512_unpacklo_epi32(from[0], from[1]);
        to[1] = _mm512_unpackhi_epi32(from[0], from[1]);
    }
    let mut quads = singles;
    for (from, to) in singles.chunks_exact(4).zip(quads.chunks_exact_mut(4)) {
        to[0] = _mm512_unpacklo_epi64(from[0], from[2]);
        to[1] = _mm512_unpackhi_epi64(from[0], from[2]);
        to[2] = _mm512_unpacklo_epi64(from[1], from[3]);
        to[3] = _mm512_unpackhi_epi64(from[1], from[3]);
    }
    // Quarter q of quads[4 g + c] has column 4 q + c of rows 4 g to 4 g + 3.
    let mut columns = quads;
    for c in 0..4 {
        let [a, b, d, e] = [quads[c], quads[4 + c], quads[8 + c], quads[12 + c]];
        let [low, high] = [
            _mm512_shuffle_i32x4::<0x88>(a, b),
            _mm512_shuffle_i32x4::<0x88>(d, e),
        ];
        columns[c] = _mm512_shuffle_i32x4::<0x88>(low, high);
        columns[8 + c] = _mm512_shuffle_i32x4::<0xDD>(low, high);
        let [low, high] = [
            _mm512_shuffle_i32x4::<0xDD>(a, b),
            _mm512_shuffle_i32x4::<0xDD>(d, e),
        ];
        columns[4 + c] = _mm512_shuffle_i32x4::<0x88>(low, high);
        columns[12 + c] = _mm512_shuffle_i32x4::<0xDD>(low, high);
    }
    columns
}
