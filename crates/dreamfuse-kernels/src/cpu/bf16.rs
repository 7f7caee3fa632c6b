//! Matrix products of f32 numbers that are rounded to bf16, added up in f32. The tiles of AMX do them where the
//! processor has them, else AVX-512 BF16. After Goto and van de Geijn 2008 ("Anatomy of high-performance matrix
//! multiplication"): blocks of both operands are packed, here into the tiles that AMX multiplies.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod pack;

use super::matmul::Matrix;
use std::cell::Cell;

/// Rows of a packed tile, and pairs of neighbours along the common axis.
#[cfg(target_arch = "x86_64")]
pub(crate) const SIDE: usize = 16;
/// Numbers along the common axis of a tile.
#[cfg(target_arch = "x86_64")]
pub(crate) const TILE_DEPTH: usize = 2 * SIDE;
/// Rows and columns that AMX multiplies at a time: two tiles of each operand.
#[cfg(target_arch = "x86_64")]
pub(crate) const PAIR: usize = 2 * SIDE;
/// Tiles along the common axis that are packed at once.
#[cfg(target_arch = "x86_64")]
const DEPTH: usize = 16;
/// Rows of the left operand that are packed at once: about a second-level cache.
#[cfg(target_arch = "x86_64")]
const ROW_BLOCK: usize = 8 * PAIR;
/// Columns of the right operand that are packed at once.
#[cfg(target_arch = "x86_64")]
const COL_BLOCK: usize = 16 * PAIR;

/// Sixteen rows of sixteen pairs of bf16. A row is one of the left operand's, or one pair's of the right operand's
/// columns.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Tile(pub [[u32; SIDE]; SIDE]);

/// A block of a product in packed form: tiles along the common axis, then across.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Block<'a> {
    left: &'a [Tile],
    right: &'a [Tile],
    /// Rows and columns of the result.
    size: [usize; 2],
    /// Tiles along the common axis.
    depth: usize,
}

/// The instructions for products of bf16 that this processor has.
pub fn bf16_instructions() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512bf16") && std::is_x86_feature_detected!("avx512bw") {
        return Some(if amx::is_available() {
            "AMX"
        } else {
            "AVX-512 BF16"
        });
    }
    None
}

/// Whether this processor has any of them.
pub fn has_bf16_products() -> bool {
    bf16_instructions().is_some()
}

/// Whether this processor multiplies tiles, several times as fast as it multiplies vectors.
pub fn has_tiles() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        has_bf16_products() && amx::is_available()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

thread_local! {
    static IS_AUTOCAST: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`, on this thread, with products of linear layers in bf16 where the processor has them, and those of
/// convolutions where it has tiles (PyTorch's `torch.autocast`): operands are rounded, sums and all else stay f32. Gradients of what is computed in `body` do
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
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub values: &'a [f32],
    pub across: usize,
    pub along: usize,
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
    if rows == 0 || cols == 0 || depth == 0 {
        return;
    }
    assert!(
        stride >= cols
            && out.len() >= (rows - 1) * stride + cols
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
    let out = out.as_mut_ptr();
    // SAFETY: the processor has the instructions, and the operands and `out` their lengths, asserted above.
    unsafe {
        if amx::is_available() {
            let _tiles = amx::configure();
            multiply_blocks(out, stride, left, right, [rows, cols, depth], amx::multiply);
        } else {
            let kernel = avx512::multiply;
            multiply_blocks(out, stride, left, right, [rows, cols, depth], kernel);
        }
    }
}

/// Adds a packed block to the result at a place whose rows are a stride apart.
#[cfg(target_arch = "x86_64")]
type Kernel = unsafe fn(*mut f32, usize, Block);

/// Block after block of the common axis, of columns and of rows.
///
/// # Safety
/// The processor has the kernel's instructions; the operands have these sizes, and so has `out`, whose rows are
/// `stride` apart.
#[cfg(target_arch = "x86_64")]
unsafe fn multiply_blocks(
    out: *mut f32,
    stride: usize,
    left: Operand,
    right: Operand,
    [rows, cols, depth]: [usize; 3],
    kernel: Kernel,
) {
    thread_local! {
        static SCRATCH: Cell<[Vec<Tile>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
    }
    let [mut packed_left, mut packed_right] = SCRATCH.take();
    for k in (0..depth).step_by(DEPTH * TILE_DEPTH) {
        let along = [k, (DEPTH * TILE_DEPTH).min(depth - k)];
        for col in (0..cols).step_by(COL_BLOCK) {
            let across = [col, COL_BLOCK.min(cols - col)];
            // SAFETY: the contract; blocks lie inside the operands.
            let right =
                unsafe { pack::pack::<{ pack::PAIRS }>(right, across, along, &mut packed_right) };
            for row in (0..rows).step_by(ROW_BLOCK) {
                let down = [row, ROW_BLOCK.min(rows - row)];
                // SAFETY: the contract; the block of the result lies inside `out`.
                unsafe {
                    let left = pack::pack::<{ pack::ROWS }>(left, down, along, &mut packed_left);
                    let block = Block {
                        left,
                        right,
                        size: [down[1], across[1]],
                        depth: along[1].div_ceil(TILE_DEPTH),
                    };
                    kernel(out.add(row * stride + col), stride, block);
                }
            }
        }
    }
    SCRATCH.set([packed_left, packed_right]);
}

/// No other processor has them yet.
///
/// # Panics
/// Always.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn add_product(_: &mut [f32], _: usize, _: (&[f32], Matrix), _: (&[f32], Matrix)) {
    panic!("this processor has no bf16 products");
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
