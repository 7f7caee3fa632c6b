//! Matrix products on slices, by the `gemm` crate. One thread: callers cut the work themselves.

/// A view of `rows × cols` numbers in a slice with strides.
#[derive(Clone, Copy)]
pub(crate) struct Matrix {
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl Matrix {
    /// Row after row, `stride` apart.
    pub(crate) fn rows(rows: usize, cols: usize, stride: usize) -> Self {
        Self {
            rows,
            cols,
            row_stride: stride,
            col_stride: 1,
        }
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Elements from the first to the last, both included.
    pub(super) fn span(&self) -> usize {
        if self.rows == 0 || self.cols == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }
}

/// `out = left · right`, or `out += left · right` where `accumulate` is set.
///
/// # Panics
/// When the shapes do not fit together or a slice is too short.
pub(crate) fn multiply(
    out: &mut [f32],
    shape: Matrix,
    left: (&[f32], Matrix),
    right: (&[f32], Matrix),
    accumulate: bool,
) {
    assert!(
        out.len() >= shape.span(),
        "a matrix is shorter than its shape"
    );
    // SAFETY: the span lies inside the slice, which nobody else has.
    unsafe { multiply_at(out.as_mut_ptr(), shape, left, right, accumulate) }
}

/// As [`multiply`], to a place between whose numbers other threads may write.
///
/// # Safety
/// The numbers of `shape` from `out` on can be written, and nobody else has them. Where `accumulate` is set, they have
/// values.
///
/// # Panics
/// As there.
pub(crate) unsafe fn multiply_at(
    out: *mut f32,
    shape: Matrix,
    (left, l): (&[f32], Matrix),
    (right, r): (&[f32], Matrix),
    accumulate: bool,
) {
    assert!(
        l.rows == shape.rows && r.cols == shape.cols && l.cols == r.rows,
        "the shapes of a matrix product do not fit"
    );
    assert!(
        left.len() >= l.span() && right.len() >= r.span(),
        "a matrix is shorter than its shape"
    );
    // SAFETY: the spans of the operands lie inside their slices, checked above; the contract for `out`.
    unsafe {
        gemm::gemm(
            shape.rows,
            shape.cols,
            l.cols,
            out,
            shape.col_stride as isize,
            shape.row_stride as isize,
            accumulate,
            left.as_ptr(),
            l.col_stride as isize,
            l.row_stride as isize,
            right.as_ptr(),
            r.col_stride as isize,
            r.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
