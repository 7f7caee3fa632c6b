//! Matrix products of f32 numbers that are rounded to bf16, by AVX-512 BF16: 32 products an instruction, added up
//! in f32. After Goto and van de Geijn 2008 ("Anatomy of high-performance matrix multiplication"): both operands are
//! packed into panels, here as pairs of neighbours along the common axis.

use super::matmul::Matrix;
use std::cell::Cell;

/// Rows of the result that are held in registers.
const ROWS: usize = 12;
/// Columns of the result that are held in registers: two vectors.
const COLS: usize = 32;
/// Numbers along the common axis that are packed at once.
const DEPTH: usize = 512;
/// Rows of the left operand that are packed at once: about a second-level cache.
const ROW_BLOCK: usize = 20 * ROWS;
/// Columns of the right operand that are packed at once.
const COL_BLOCK: usize = 16 * COLS;

/// Whether this processor has the instructions.
pub fn has_bf16_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx512bf16") && std::is_x86_feature_detected!("avx512bw")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

thread_local! {
    static IS_AUTOCAST: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`, on this thread, with products of linear layers in bf16 where the processor has them (PyTorch's
/// `torch.autocast`): operands are rounded, sums and all else stay f32. Gradients of what is computed in `body` do
/// the same.
pub fn autocast<R>(is_on: bool, body: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_AUTOCAST.set(self.0);
        }
    }
    let _restore = Restore(IS_AUTOCAST.replace(is_on && has_bf16_products()));
    body()
}

/// Whether [`autocast`] is in force here.
pub fn is_autocast() -> bool {
    IS_AUTOCAST.get()
}

/// An operand: its numbers, and the numbers from one to the next across the result and along the common axis.
#[derive(Clone, Copy)]
struct Operand<'a> {
    values: &'a [f32],
    across: usize,
    along: usize,
}

/// `out += left · right`, operands rounded to bf16; the rows of `out` are `stride` apart.
///
/// # Panics
/// When the shapes do not fit, a slice is too short, or the processor has no such products.
#[cfg(target_arch = "x86_64")]
pub(crate) fn add_product(
    out: &mut [f32],
    stride: usize,
    left: (&[f32], Matrix),
    right: (&[f32], Matrix),
) {
    let ((l, l_shape), (r, r_shape)) = (left, right);
    let (rows, cols, depth) = (l_shape.rows, r_shape.cols, l_shape.cols);
    assert!(has_bf16_products(), "this processor has no bf16 products");
    assert!(
        r_shape.rows == depth,
        "the shapes of a matrix product do not fit"
    );
    if rows == 0 || cols == 0 {
        return;
    }
    assert!(
        out.len() >= (rows - 1) * stride + cols
            && l.len() >= l_shape.span()
            && r.len() >= r_shape.span(),
        "a matrix is shorter than its shape"
    );
    let left = Operand {
        values: l,
        across: l_shape.row_stride,
        along: l_shape.col_stride,
    };
    let right = Operand {
        values: r,
        across: r_shape.col_stride,
        along: r_shape.row_stride,
    };
    // SAFETY: the processor has the instructions, and the operands and `out` their lengths, asserted above.
    unsafe { multiply_blocks(out.as_mut_ptr(), stride, left, right, [rows, cols, depth]) }
}

/// Block after block of the common axis, of columns and of rows.
///
/// # Safety
/// The processor has the instructions; the operands have these sizes, and so has `out`, whose rows are `stride` apart.
#[cfg(target_arch = "x86_64")]
unsafe fn multiply_blocks(
    out: *mut f32,
    stride: usize,
    left: Operand,
    right: Operand,
    [rows, cols, depth]: [usize; 3],
) {
    let (mut packed_left, mut packed_right) = (Vec::new(), Vec::new());
    for k in (0..depth).step_by(DEPTH) {
        let pairs = DEPTH.min(depth - k).div_ceil(2);
        for col in (0..cols).step_by(COL_BLOCK) {
            let width = COL_BLOCK.min(cols - col);
            // SAFETY: the contract; blocks lie inside the operands.
            unsafe {
                x86::pack::<COLS>(right, [col, width], [k, depth], &mut packed_right);
            }
            for row in (0..rows).step_by(ROW_BLOCK) {
                let height = ROW_BLOCK.min(rows - row);
                // SAFETY: the contract; the block of the result lies inside `out`.
                unsafe {
                    x86::pack::<ROWS>(left, [row, height], [k, depth], &mut packed_left);
                    let block = out.add(row * stride + col);
                    x86::multiply_block(
                        block,
                        stride,
                        [height, width, pairs],
                        &packed_left,
                        &packed_right,
                    );
                }
            }
        }
    }
}

/// No other processor has them yet.
///
/// # Panics
/// Always.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn add_product(_: &mut [f32], _: usize, _: (&[f32], Matrix), _: (&[f32], Matrix)) {
    panic!("this processor has no bf16 products");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{COLS, DEPTH, Operand, ROWS};
    use std::arch::x86_64::{
        __m256bh, __m256i, __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_cvtepu16_epi32,
        _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh, _mm512_dpbf16_ps, _mm512_loadu_si512,
        _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_or_si512, _mm512_set1_epi32,
        _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_si512,
    };
    use std::mem::transmute;

    /// Lanes of a vector of f32.
    const LANES: usize = 16;

    /// The mask of the first `count` lanes.
    fn first(count: usize) -> u16 {
        if count >= LANES {
            u16::MAX
        } else {
            (1u16 << count) - 1
        }
    }

    /// Packs numbers `start..start + count` across and `k..` along, at most [`DEPTH`] of `depth`, into panels of
    /// `WIDTH`: pair after pair, each with `WIDTH` entries; what is missing is zero.
    ///
    /// # Safety
    /// The processor has AVX-512 BF16 and BW; the numbers lie inside the operand.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn pack<const WIDTH: usize>(
        operand: Operand,
        [start, count]: [usize; 2],
        [k, depth]: [usize; 2],
        out: &mut Vec<u32>,
    ) {
        let length = DEPTH.min(depth - k);
        let pairs = length.div_ceil(2);
        out.clear();
        out.resize(count.div_ceil(WIDTH) * WIDTH * pairs, 0);
        for (panel, target) in out.chunks_exact_mut(WIDTH * pairs).enumerate() {
            let begin = start + panel * WIDTH;
            let entries = WIDTH.min(start + count - begin);
            let source = &operand.values[begin * operand.across + k * operand.along..];
            // SAFETY: the contract of this function.
            unsafe {
                if operand.across == 1 {
                    pack_rows::<WIDTH>(source, operand.along, entries, length, target);
                } else if operand.along == 1 {
                    pack_columns::<WIDTH>(source, operand.across, entries, length, target);
                } else {
                    pack_any::<WIDTH>(source, operand, entries, length, target);
                }
            }
        }
    }

    /// Neighbours across are neighbours in memory: two rows are interleaved.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pack_rows<const WIDTH: usize>(
        source: &[f32],
        along: usize,
        entries: usize,
        length: usize,
        target: &mut [u32],
    ) {
        for (pair, target) in target.chunks_exact_mut(WIDTH).enumerate() {
            for at in (0..entries).step_by(LANES) {
                let count = LANES.min(entries - at);
                let row = |index: usize| -> __m512i {
                    let mask = if index < length { first(count) } else { 0 };
                    // SAFETY: masked lanes are not read; the others lie inside the operand.
                    unsafe {
                        let place = source.as_ptr().wrapping_add(index * along + at);
                        let values = _mm512_maskz_loadu_ps(mask, place);
                        _mm512_cvtepu16_epi32(transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(
                            values,
                        )))
                    }
                };
                let both =
                    _mm512_or_si512(row(2 * pair), _mm512_slli_epi32::<16>(row(2 * pair + 1)));
                let mut pairs = [0u32; LANES];
                // SAFETY: as many numbers as the vector has.
                unsafe { _mm512_storeu_si512(pairs.as_mut_ptr().cast(), both) };
                target[at..at + count].copy_from_slice(&pairs[..count]);
            }
        }
    }

    /// Neighbours along the common axis are neighbours in memory: a vector has 16 pairs of one column.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pack_columns<const WIDTH: usize>(
        source: &[f32],
        across: usize,
        entries: usize,
        length: usize,
        target: &mut [u32],
    ) {
        for entry in 0..entries {
            let line = &source[entry * across..][..length];
            for (block, values) in line.chunks(2 * LANES).enumerate() {
                let half = |from: usize| -> __m512 {
                    let mask = first(values.len().saturating_sub(from));
                    // SAFETY: masked lanes are not read.
                    unsafe { _mm512_maskz_loadu_ps(mask, values.as_ptr().wrapping_add(from)) }
                };
                let both = _mm512_cvtne2ps_pbh(half(LANES), half(0));
                // SAFETY: both are 64 bytes of plain numbers.
                let pairs = unsafe { transmute::<__m512bh, [u32; LANES]>(both) };
                let first = block * LANES;
                for (index, pair) in pairs[..values.len().div_ceil(2)].iter().enumerate() {
                    target[(first + index) * WIDTH + entry] = *pair;
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pack_any<const WIDTH: usize>(
        source: &[f32],
        operand: Operand,
        entries: usize,
        length: usize,
        target: &mut [u32],
    ) {
        let mut line = [0.0; DEPTH];
        for entry in 0..entries {
            for (index, value) in line[..length].iter_mut().enumerate() {
                *value = source[entry * operand.across + index * operand.along];
            }
            // SAFETY: the contract of `pack`.
            unsafe {
                pack_columns::<WIDTH>(&line, DEPTH, 1, length, &mut target[entry..]);
            }
        }
    }

    /// Adds the product of two packed blocks to a block of the result.
    ///
    /// # Safety
    /// The processor has AVX-512 BF16; the block `[height, width]` at `out`, rows `stride` apart, can be written.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn multiply_block(
        out: *mut f32,
        stride: usize,
        [height, width, pairs]: [usize; 3],
        left: &[u32],
        right: &[u32],
    ) {
        for (col, right) in right.chunks_exact(COLS * pairs).enumerate() {
            let cols = COLS.min(width - col * COLS);
            for (row, left) in left.chunks_exact(ROWS * pairs).enumerate() {
                let rows = ROWS.min(height - row * ROWS);
                // SAFETY: the tile lies inside the block.
                unsafe {
                    let tile = out.add(row * ROWS * stride + col * COLS);
                    multiply_tile(tile, stride, [rows, cols], left, right);
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn multiply_tile(
        out: *mut f32,
        stride: usize,
        [rows, cols]: [usize; 2],
        left: &[u32],
        right: &[u32],
    ) {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        for (left, right) in left.chunks_exact(ROWS).zip(right.chunks_exact(COLS)) {
            // SAFETY: a panel's entry has two vectors; all are plain numbers.
            let columns: [__m512bh; 2] = unsafe {
                let at = right.as_ptr();
                [
                    transmute::<__m512i, __m512bh>(_mm512_loadu_si512(at.cast())),
                    transmute::<__m512i, __m512bh>(_mm512_loadu_si512(at.add(LANES).cast())),
                ]
            };
            for (sums, pair) in sums.iter_mut().zip(left) {
                // SAFETY: plain numbers.
                let row = unsafe {
                    transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair.cast_signed()))
                };
                sums[0] = _mm512_dpbf16_ps(sums[0], row, columns[0]);
                sums[1] = _mm512_dpbf16_ps(sums[1], row, columns[1]);
            }
        }
        for (row, sums) in sums.iter().enumerate().take(rows) {
            for (half, sum) in sums.iter().enumerate() {
                let mask = first(cols.saturating_sub(half * LANES));
                // SAFETY: masked lanes are neither read nor written; the others lie inside the tile.
                unsafe {
                    let place = out.wrapping_add(row * stride + half * LANES);
                    let before = _mm512_maskz_loadu_ps(mask, place);
                    _mm512_mask_storeu_ps(place, mask, _mm512_add_ps(before, *sum));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{narrow, numbers};

    /// The nearest bf16, ties to even.
    fn rounded(value: f32) -> f64 {
        let bits = value.to_bits();
        let bits = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
        f64::from(f32::from_bits(bits))
    }

    /// Odd sizes, several blocks along each axis, each operand as it is and transposed.
    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        if !has_bf16_products() {
            // Nothing computes so here.
            assert!(!autocast(true, is_autocast));
            return;
        }
        for [rows, cols, depth] in [[1, 1, 1], [13, 33, 5], [250, 70, 515], [5, 530, 31]] {
            let (left, right) = (
                narrow(&numbers(1, rows * depth)),
                narrow(&numbers(2, depth * cols)),
            );
            for [is_left, is_right] in [[false, false], [true, false], [false, true], [true, true]]
            {
                let transposed = |values: &[f32], rows: usize, cols: usize| {
                    let at = |index: usize| values[index % rows * cols + index / rows];
                    (0..rows * cols).map(at).collect::<Vec<f32>>()
                };
                let (l, l_shape) = if is_left {
                    (
                        transposed(&left, rows, depth),
                        Matrix::rows(depth, rows, rows).transposed(),
                    )
                } else {
                    (left.clone(), Matrix::rows(rows, depth, depth))
                };
                let (r, r_shape) = if is_right {
                    (
                        transposed(&right, depth, cols),
                        Matrix::rows(cols, depth, depth).transposed(),
                    )
                } else {
                    (right.clone(), Matrix::rows(depth, cols, cols))
                };
                let mut out = vec![0.5; rows * cols];
                add_product(&mut out, cols, (&l, l_shape), (&r, r_shape));
                for (index, value) in out.iter().enumerate() {
                    let (row, col) = (index / cols, index % cols);
                    let term =
                        |k: usize| rounded(left[row * depth + k]) * rounded(right[k * cols + col]);
                    let expected = 0.5 + (0..depth).map(term).sum::<f64>();
                    assert!(
                        (f64::from(*value) - expected).abs() < 1e-4,
                        "{rows} × {depth} × {cols}: {value}, expected {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn autocast_ends_with_its_scope() {
        assert!(!is_autocast());
        autocast(true, || {
            assert_eq!(is_autocast(), has_bf16_products());
            autocast(false, || assert!(!is_autocast()));
        });
        assert!(!is_autocast());
    }
}
