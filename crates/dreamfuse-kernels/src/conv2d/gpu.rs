//! Convolution by Burn's own kernels.

use super::Settings;
use burn::backend::ops::{ConvOptions, ModuleOps};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

fn options(s: &Settings) -> ConvOptions<2> {
    ConvOptions::new([s.stride; 2], [s.padding; 2], [1; 2], 1)
}

pub(super) fn forward(
    input: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    s: &Settings,
) -> CubeTensor {
    <CubeBackend as ModuleOps<CubeBackend>>::conv2d(input, weight, Some(bias), options(s))
}

pub(super) fn input_grad(
    grad: CubeTensor,
    weight: CubeTensor,
    input: CubeTensor,
    s: &Settings,
) -> CubeTensor {
    <CubeBackend as ModuleOps<CubeBackend>>::conv2d_x_backward(input, weight, grad, options(s))
}

/// Gradients of weight and bias.
pub(super) fn weight_grad(
    grad: CubeTensor,
    weight: CubeTensor,
    input: CubeTensor,
    s: &Settings,
) -> (CubeTensor, CubeTensor) {
    let [channels, ..]: [usize; 4] = crate::gpu::shape_of(&weight);
    // Only the bias' shape is looked at.
    let bias = crate::gpu::empty(&grad, [channels]);
    let of_bias = <CubeBackend as ModuleOps<CubeBackend>>::conv2d_bias_backward(
        input.clone(),
        bias,
        grad.clone(),
    );
    (
        <CubeBackend as ModuleOps<CubeBackend>>::conv2d_weight_backward(
            input,
            weight,
            grad,
            options(s),
        ),
        of_bias,
    )
}
