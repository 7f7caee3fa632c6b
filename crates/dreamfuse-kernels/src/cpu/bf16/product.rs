//! Products of blocks, after Goto and van de Geijn 2008 ("Anatomy of high-performance matrix multiplication"): blocks of
//! both operands are packed, here into the tiles that AMX multiplies.

use super::{amx, avx512, has_bf16_products, pack};
use crate::cpu::matmul::Matrix;
use std::cell::Cell;

/// Rows of a packed tile, and pairs of neighbours along the common axis.
pub(crate) const SIDE: usize = 16;
/// Numbers along the common axis of a tile.
pub(crate) const TILE_DEPTH: usize = 2 * SIDE;
/// Rows and columns that AMX multiplies at a time: two tiles of each operand.
pub(crate) const PAIR: usize = 2 * SIDE;
/// Tiles along the common axis that are packed at once.
pub(super) const DEPTH: usize = 16;
/// Rows of the left operand that are packed at once: about a second-level cache.
const ROW_BLOCK: usize = 8 * PAIR;
/// Columns of the right operand that are packed at once: rarely fewer than a matrix has, since each block packs the left
/// operand again.
const COL_BLOCK: usize = 64 * PAIR;

/// Sixteen rows of sixteen pairs of bf16. A row is one of the left operand's, or one pair's of the right operand's
/// columns.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Tile(pub [[u32; SIDE]; SIDE]);

/// A block of a product in packed form: tiles along the common axis, then across.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub left: &'a [Tile],
    pub right: &'a [Tile],
    /// Rows and columns of the result.
    pub size: [usize; 2],
    /// Tiles along the common axis.
    pub depth: usize,
}

/// An operand: its numbers, and the numbers from one to the next across the result and along the common axis.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub values: &'a [f32],
    pub across: usize,
    pub along: usize,
}

/// `out += left · right`, operands rounded to bf16; the rows of `out` are `stride` apart.
///
/// # Safety
/// At `out` lie as many rows of as many numbers as the product has, `stride` apart. They have values, can be read and
/// written, and nobody else has them.
///
/// # Panics
/// When the shapes do not fit, an operand is too short, or the processor has no such products.
pub(crate) unsafe fn add_product(
    out: *mut f32,
    stride: usize,
    (l, l_shape): (&[f32], Matrix),
    (r, r_shape): (&[f32], Matrix),
) {
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
        stride >= cols && l.len() >= l_shape.span() && r.len() >= r_shape.span(),
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
    // SAFETY: the processor has the instructions, and the operands their lengths, asserted above; the contract for `out`.
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
type Kernel = unsafe fn(*mut f32, usize, Block);

/// Block after block of the common axis, of columns and of rows.
///
/// # Safety
/// The processor has the kernel's instructions; the operands have these sizes, and so has `out`, whose rows are
/// `stride` apart.
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
