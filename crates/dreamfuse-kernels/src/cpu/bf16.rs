//! Matrix products of f32 numbers that are rounded to bf16, added up in f32. The tiles of AMX do them where the
//! processor has them, else AVX-512 BF16.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod pack;
#[cfg(target_arch = "x86_64")]
pub(crate) mod product;

#[cfg(any(test, not(target_arch = "x86_64")))]
use super::matmul::Matrix;
#[cfg(target_arch = "x86_64")]
pub(crate) use product::add_product;
use std::cell::Cell;

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

/// Runs `body`, on this thread, with products in bf16 (PyTorch's `torch.autocast`): those of linear layers where the
/// processor has them, those of convolutions where it has tiles. Operands are rounded, sums and all else stay f32.
/// Gradients of what is computed in `body` do the same.
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

/// No other processor has them yet.
///
/// # Safety
/// It touches nothing.
///
/// # Panics
/// Always.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) unsafe fn add_product(_: *mut f32, _: usize, _: (&[f32], Matrix), _: (&[f32], Matrix)) {
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

    /// Odd sizes, several blocks along each axis, each operand as it is and transposed. What lies between the rows of the
    /// result stays.
    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        if !has_bf16_products() {
            // Nothing computes so here.
            assert!(!autocast(true, is_autocast));
            return;
        }
        for [rows, cols, depth] in [[1, 1, 1], [13, 33, 5], [300, 70, 515], [5, 2080, 31]] {
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
                let stride = cols + 3;
                let mut out = vec![0.5; rows * stride];
                let (l, r) = ((&l[..], l_shape), (&r[..], r_shape));
                // SAFETY: the result has as many rows, and more columns.
                unsafe { add_product(out.as_mut_ptr(), stride, l, r) };
                for (index, value) in out.iter().enumerate() {
                    let (row, col) = (index / stride, index % stride);
                    if col >= cols {
                        assert_eq!(*value, 0.5);
                        continue;
                    }
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
