//! Linear layers and norms over tokens.

use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use dreamfuse_kernels::layer_norm;

/// A linear layer on `[batch, tokens, width]` as one matrix product over all tokens. Burn's own is one small
/// product a picture, and on the way back a gradient of the weights for each of them.
pub(crate) fn project(linear: &Linear, tokens: Tensor<3>) -> Tensor<3> {
    let [batch, count, width] = tokens.dims();
    let out = linear.forward(tokens.reshape([batch * count, width]));
    let [_, width] = out.dims();
    out.reshape([batch, count, width])
}

/// The constant under the root of the norms below: PyTorch's default, which diffusers' transformer blocks keep.
const EPSILON: f32 = 1e-5;

/// A norm with the default constant, on `[batch, tokens, width]`, by our kernel.
pub(crate) fn normalize_tokens(layer: &LayerNorm, tokens: Tensor<3>) -> Tensor<3> {
    let beta = layer.beta.as_ref().expect("the norms of transformer blocks have a shift");
    layer_norm(tokens, layer.gamma.val(), beta.val(), EPSILON)
}
