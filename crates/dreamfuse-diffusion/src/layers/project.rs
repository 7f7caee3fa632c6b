//! Linear layers and norms over tokens.

use burn::nn::{LayerNorm, Linear};
use burn::tensor::{DType, Device, FloatDType, Tensor};
use dreamfuse_kernels::cpu::is_autocast;
use dreamfuse_kernels::{layer_norm, linear_bf16};

/// A linear layer on `[rows, width]`, with products in bf16 under [`dreamfuse_kernels::cpu::autocast`]. On a CPU Burn's products of f16 add up in f16, and with one row round the sum after every number: so
/// f16 is widened before, and the result rounded once.
pub(crate) fn linear(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    if is_autocast() && x.device().without_autodiff() == Device::flex() {
        let weight = layer.weight.val();
        let [_, to] = weight.dims();
        let bias = match &layer.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([to], &x.device()),
        };
        return linear_bf16(x, weight, bias);
    }
    if x.dtype() != DType::F16 || x.device().without_autodiff() != Device::flex() {
        return layer.forward(x);
    }
    let wide = x
        .cast(FloatDType::F32)
        .matmul(layer.weight.val().cast(FloatDType::F32));
    let bias = layer
        .bias
        .as_ref()
        .map(|bias| bias.val().cast(FloatDType::F32).unsqueeze());
    bias.into_iter()
        .fold(wide, |sum, bias| sum + bias)
        .cast(FloatDType::F16)
}

/// A linear layer on `[batch, tokens, width]` as one matrix product over all tokens. Burn's own is one small
/// product an image, and on the way back a gradient of the weights for each of them.
pub(crate) fn project(layer: &Linear, tokens: Tensor<3>) -> Tensor<3> {
    let [batch, count, width] = tokens.dims();
    let out = linear(layer, tokens.reshape([batch * count, width]));
    let [_, width] = out.dims();
    out.reshape([batch, count, width])
}

/// The constant under the root of the norms below: PyTorch's default, which diffusers' transformer blocks keep.
const EPSILON: f32 = 1e-5;

/// A norm with the default constant, on `[batch, tokens, width]`, by our kernel.
pub(crate) fn normalize_tokens(layer: &LayerNorm, tokens: Tensor<3>) -> Tensor<3> {
    let beta = layer
        .beta
        .as_ref()
        .expect("the norms of transformer blocks have a shift");
    layer_norm(tokens, layer.gamma.val(), beta.val(), EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;

    /// One row, whose sum is the longest chain of roundings.
    #[test]
    fn sums_of_halves_are_rounded_once() {
        let (device, half) = (Device::flex(), FloatDType::F16);
        let rounded = |x: Tensor<2>| x.cast(half).cast(FloatDType::F32);
        let mut layer = LinearConfig::new(1280, 64).init(&device);
        let narrow = |layer: &Linear, numbers: FloatDType| {
            let (weight, bias) = (
                layer.weight.val(),
                layer.bias.as_ref().map(|bias| bias.val()),
            );
            Linear {
                weight: burn::module::Param::from_tensor(weight.cast(numbers).detach()),
                bias: bias
                    .map(|bias| burn::module::Param::from_tensor(bias.cast(numbers).detach())),
            }
        };
        let x = dreamfuse_prior::sampler::normal([1, 1, 1, 1280], 3, 0, &device).reshape([1, 1280]);
        layer = narrow(&layer, half);
        let right = narrow(&layer, FloatDType::F32).forward(rounded(x.clone()));
        let ours = linear(&layer, x.cast(half));
        assert_eq!(ours.dtype(), DType::F16);
        let norm = |x: Tensor<2>| x.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
        let error = norm(ours.cast(FloatDType::F32) - right.clone()) / norm(right);
        assert!(0.0 < error && error < 5e-4, "{error}");
    }
}
