//! What networks put between linear maps.

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, silu};
use serde::{Deserialize, Serialize};

/// diffusers' `act_fn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// `x · sigmoid(x)`.
    #[default]
    #[serde(alias = "swish")]
    Silu,
    /// `x · Φ(x)` with the normal distribution's Φ, not an approximation of it.
    Gelu,
}

impl Nonlinearity {
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
        }
    }
}
