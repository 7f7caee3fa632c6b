//! The hot differentiable operations of dreamfuse, as extensions of Burn's backends.
//!
//! Each operation has a folder: `reference.rs` says what it computes in plain code, `cpu.rs` is the
//! body for speed with its backward pass by hand, `gpu.rs` the one for a GPU (features `wgpu` and `cuda`), and
//! `mod.rs` joins them to Burn's automatic differentiation behind a safe function whose documentation names the
//! shapes. Tests compare value and gradients of bodies and reference; the reference is compared with central
//! differences.
//!
//! On the CPU an operation gives the same bytes for any number of threads: work is cut into pieces
//! that do not depend on it, and partial sums are folded in a fixed order.

pub mod adam;
pub mod attention;
mod compare;
pub mod composite;
pub mod conv2d;
pub mod cpu;
pub mod field;
pub mod geglu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod group_norm;
pub mod layer_norm;
pub mod linear;
pub mod march;
pub mod rasterize;
pub mod selftest;
pub mod surface;
#[cfg(test)]
mod testing;

pub use attention::attention;
pub use composite::composite;
pub use conv2d::conv2d;
pub use field::{FieldSpec, field};
pub use geglu::geglu;
pub use group_norm::group_norm;
pub use layer_norm::layer_norm;
pub use linear::linear_bf16;
pub use surface::{lit_surface, surface};
