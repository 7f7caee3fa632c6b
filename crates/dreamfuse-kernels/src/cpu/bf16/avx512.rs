//! Products of packed tiles by AVX-512 BF16: 32 products an instruction.

use super::pack::first;
use super::product::{Block, SIDE, Tile};
use std::arch::x86_64::{
    __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
};
use std::mem::transmute;

/// Adds a block to the result.
///
/// # Safety
/// The processor has AVX-512 BF16; the block at `out`, rows `stride` apart, can be written.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn multiply(out: *mut f32, stride: usize, block: Block) {
    let [height, width] = block.size;
    for (col, right) in (0..width)
        .step_by(SIDE)
        .zip(block.right.chunks_exact(block.depth))
    {
        for (row, left) in (0..height)
            .step_by(SIDE)
            .zip(block.left.chunks_exact(block.depth))
        {
            let size = [SIDE.min(height - row), SIDE.min(width - col)];
            // SAFETY: the tile lies inside the block.
            unsafe { multiply_tiles(out.add(row * stride + col), stride, size, left, right) }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn multiply_tiles(
    out: *mut f32,
    stride: usize,
    [rows, cols]: [usize; 2],
    left: &[Tile],
    right: &[Tile],
) {
    let mut sums = [_mm512_setzero_ps(); SIDE];
    for (left, right) in left.iter().zip(right) {
        for (pair, columns) in right.0.iter().enumerate() {
            // SAFETY: a row has 64 bytes of plain numbers.
            let columns = unsafe {
                transmute::<__m512i, __m512bh>(_mm512_loadu_si512(columns.as_ptr().cast()))
            };
            for (sum, row) in sums.iter_mut().zip(&left.0) {
                // SAFETY: plain numbers.
                let row = unsafe {
                    transmute::<__m512i, __m512bh>(_mm512_set1_epi32(row[pair].cast_signed()))
                };
                *sum = _mm512_dpbf16_ps(*sum, row, columns);
            }
        }
    }
    let mask = first(cols);
    for (row, sum) in sums.iter().enumerate().take(rows) {
        // SAFETY: masked lanes are neither read nor written; the others lie inside the tile.
        unsafe {
            let place = out.wrapping_add(row * stride);
            let before = _mm512_maskz_loadu_ps(mask, place);
            _mm512_mask_storeu_ps(place, mask, _mm512_add_ps(before, *sum));
        }
    }
}
