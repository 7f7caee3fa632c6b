//! What the CPU bodies share.

pub(crate) mod bf16;
mod math;
mod matmul;
mod rows;
mod shared;
mod tensors;
mod workers;

pub(crate) use bf16::add_product;
pub use bf16::{autocast, bf16_instructions, has_bf16_products, has_tiles, is_autocast};
pub use math::{LANES, exp, maximum, sigmoid, softplus, squares, statistics, sum};
pub(crate) use matmul::{Matrix, multiply, multiply_at};
pub(crate) use rows::{Weights, add_row_products, combine_rows};
pub(crate) use shared::SharedMut;
pub(crate) use tensors::{contiguous, in_f32, shape_of, slice_of, tensor_from};
pub use workers::Workers;

/// Runs `body` compiled for the best instruction set that the processor has (AVX-512, AVX2 with FMA,
/// NEON, or portable code); what it calls must be `#[inline(always)]` to profit.
#[inline(always)]
pub fn vectorized<R>(body: impl FnOnce() -> R) -> R {
    struct Body<F>(F);
    impl<R, F: FnOnce() -> R> pulp::WithSimd for Body<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Body(body))
}

/// The instruction set that [`vectorized`] chooses here: it stands in checkpoints, because the same
/// bytes are promised on the same instruction set only.
pub fn instruction_set() -> String {
    // The first word of its debug form is the level's name; the rest lists instructions.
    let level = format!("{:?}", pulp::Arch::new());
    format!(
        "{}-{}",
        std::env::consts::ARCH,
        level.split('(').next().unwrap_or_default()
    )
}
