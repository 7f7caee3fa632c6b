//! Linear layers over tokens.

use burn::nn::Linear;
use burn::tensor::Tensor;

/// A linear layer on `[batch, tokens, width]` as one matrix product over all tokens. Burn's own is one small
/// product a picture, and on the way back a gradient of the weights for each of them.
pub(crate) fn project(linear: &Linear, tokens: Tensor<3>) -> Tensor<3> {
    let [batch, count, width] = tokens.dims();
    let out = linear.forward(tokens.reshape([batch * count, width]));
    let [_, width] = out.dims();
    out.reshape([batch, count, width])
}
