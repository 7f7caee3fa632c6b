//! Two-dimensional convolution.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod winograd;

use crate::cpu::{contiguous, in_f32, shape_of, slice_of, tensor_from};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Device, Tensor};
pub use cpu::Geometry;
use std::sync::Arc;

/// How a convolution is done.
#[derive(Clone, Debug)]
pub struct Settings {
    pub stride: usize,
    pub padding: usize,
    /// Rounds the operands to bf16, there and back, on a CPU that gains by it ([`crate::cpu::has_tiles`]), at stride 1.
    pub is_bf16: bool,
    /// Of the same weights; results are the same without.
    pub prepared: Option<Prepared>,
}

/// Weights of a convolution in the form that the body for speed multiplies with.
#[derive(Clone, Debug)]
pub struct Prepared(Arc<Vec<f32>>);

impl Prepared {
    /// `None` where the convolution `[channels_out, channels_in, kernel, kernel]` is done with the weights as they are,
    /// on a GPU always.
    pub fn new(weight: Tensor<4>, settings: &Settings) -> Option<Self> {
        let [channels_out, channels_in, kernel, _] = weight.dims();
        let Settings {
            stride, padding, ..
        } = *settings;
        // The size of the images does not matter to the weights.
        let g = Geometry {
            batch: 1,
            channels_in,
            channels_out,
            height: 64,
            width: 64,
            kernel,
            stride,
            padding,
        };
        let is_cpu = weight.device().without_autodiff() == Device::flex();
        // Weights of other numbers are transformed when they are used.
        if !is_cpu || weight.dtype() != DType::F32 || !winograd::fits(&g) {
            return None;
        }
        let values = weight
            .into_data()
            .try_to_vec::<f32>()
            .expect("they are f32");
        Some(Self(Arc::new(winograd::transform_weights(
            &g, &values, false,
        ))))
    }
}

/// Convolves `input` `[batch, channels_in, height, width]` with `weight` `[channels_out, channels_in,
/// kernel, kernel]` and adds `bias` `[channels_out]`; zero padding. The result is `[batch,
/// channels_out, (height + 2 padding − kernel) / stride + 1, …]`. Differentiable in all three.
///
/// # Panics
/// When the shapes do not fit.
pub fn conv2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    settings: Settings,
) -> Tensor<4> {
    let ([_, c, _, _], [o, wc, kh, kw], [b]) = (input.dims(), weight.dims(), bias.dims());
    assert!(
        c == wc && b == o && kh == kw,
        "conv2d: input has {c} channels, weight is [{o}, {wc}, {kh}, {kw}], bias [{b}]"
    );
    Tensor::from_dispatch(Dispatch::conv2d_op(
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        settings,
    ))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub trait Conv2dBackend: Backend {
    /// See [`conv2d`].
    fn conv2d_op(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;

    /// Gradient with respect to the input, of shape `[batch, channels_in, height, width]`.
    fn conv2d_input_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;

    /// Gradients with respect to weight and bias.
    fn conv2d_weight_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

type Forward = fn(&Geometry, &[f32], &[f32], &[f32]) -> Vec<f32>;
type Gradient = fn(&Geometry, &[f32], &[f32]) -> Vec<f32>;

/// A body for a CPU: values from input, weight and bias, and gradients from that of the result.
struct Body {
    forward: Forward,
    input_grad: Gradient,
    weight_grad: Gradient,
}

/// The body with products of bf16, where the settings ask for it and the processor gains by it.
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
fn bf16_body(g: &Geometry, settings: &Settings) -> Option<Body> {
    #[cfg(target_arch = "x86_64")]
    if settings.is_bf16 && tiles::fits(g) {
        return Some(Body {
            forward: tiles::forward,
            input_grad: tiles::input_grad,
            weight_grad: tiles::weight_grad,
        });
    }
    None
}

fn f32_body(g: &Geometry) -> Body {
    if winograd::fits(g) {
        return Body {
            forward: |g, input, weight, bias| {
                let transformed = winograd::transform_weights(g, weight, false);
                winograd::forward(g, input, &transformed, bias)
            },
            input_grad: winograd::input_grad,
            weight_grad: winograd::weight_grad,
        };
    }
    Body {
        forward: cpu::forward,
        input_grad: cpu::input_grad,
        weight_grad: cpu::weight_grad,
    }
}

fn geometry(
    input: &FloatTensor<Flex>,
    weight: &FloatTensor<Flex>,
    settings: &Settings,
) -> Geometry {
    let Settings {
        stride, padding, ..
    } = *settings;
    let ([batch, channels_in, height, width], [channels_out, _, kernel, _]) =
        (shape_of(input), shape_of(weight));
    Geometry {
        batch,
        channels_in,
        channels_out,
        height,
        width,
        kernel,
        stride,
        padding,
    }
}

impl Conv2dBackend for Flex {
    fn conv2d_op(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let numbers = input.dtype();
        let (input, weight, bias) = (contiguous(input), contiguous(weight), contiguous(bias));
        let g = geometry(&input, &weight, &settings);
        let [input, weight, bias] = [slice_of(&input), slice_of(&weight), slice_of(&bias)];
        let out = match (bf16_body(&g, &settings), &settings.prepared) {
            (Some(body), _) => (body.forward)(&g, input, weight, bias),
            (None, Some(Prepared(transformed))) if winograd::fits(&g) => {
                winograd::forward(&g, input, transformed, bias)
            }
            (None, _) => (f32_body(&g).forward)(&g, input, weight, bias),
        };
        in_f32(
            tensor_from(
                out,
                [g.batch, g.channels_out, g.out_height(), g.out_width()],
            ),
            numbers,
        )
    }

    fn conv2d_input_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let (numbers, grad, weight) = (input.dtype(), contiguous(grad), contiguous(weight));
        let g = geometry(&input, &weight, &settings);
        let [grad, weight] = [slice_of(&grad), slice_of(&weight)];
        let body = bf16_body(&g, &settings).unwrap_or_else(|| f32_body(&g));
        let out = (body.input_grad)(&g, grad, weight);
        in_f32(
            tensor_from(out, [g.batch, g.channels_in, g.height, g.width]),
            numbers,
        )
    }

    fn conv2d_weight_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (numbers, grad, input) = (weight.dtype(), contiguous(grad), contiguous(input));
        let g = geometry(&input, &weight, &settings);
        let [grad, input] = [slice_of(&grad), slice_of(&input)];
        let body = bf16_body(&g, &settings).unwrap_or_else(|| f32_body(&g));
        let of_weight = (body.weight_grad)(&g, grad, input);
        let of_bias = cpu::bias_grad(&g, grad);
        let weight_shape = [g.channels_out, g.channels_in, g.kernel, g.kernel];
        let of_bias = tensor_from(of_bias, [g.channels_out]);
        (
            in_f32(tensor_from(of_weight, weight_shape), numbers),
            in_f32(of_bias, numbers),
        )
    }
}

#[cfg(feature = "gpu")]
impl Conv2dBackend for burn_cubecl::CubeBackend {
    fn conv2d_op(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        gpu::forward(input, weight, bias, &settings)
    }

    fn conv2d_input_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        gpu::input_grad(grad, weight, input, &settings)
    }

    fn conv2d_weight_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gpu::weight_grad(grad, weight, input, &settings)
    }
}

/// The backward step of [`conv2d`].
#[derive(Debug)]
struct Conv2dBackward;

impl<B: Conv2dBackend> Backward<B, 3> for Conv2dBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, Settings);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [input_parent, weight_parent, bias_parent] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (input, weight, settings) = ops.state;
        if let Some(node) = input_parent {
            let of_input = B::conv2d_input_grad(
                grad.clone(),
                weight.clone(),
                input.clone(),
                settings.clone(),
            );
            grads.register::<B>(node.id, of_input);
        }
        if weight_parent.is_some() || bias_parent.is_some() {
            let (of_weight, of_bias) = B::conv2d_weight_grad(grad, weight, input, settings);
            if let Some(node) = weight_parent {
                grads.register::<B>(node.id, of_weight);
            }
            if let Some(node) = bias_parent {
                grads.register::<B>(node.id, of_bias);
            }
        }
    }
}

impl<B: Conv2dBackend, C: CheckpointStrategy> Conv2dBackend for Autodiff<B, C> {
    fn conv2d_op(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let (input, weight, bias) = (
            input.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        let out = B::conv2d_op(input.clone(), weight.clone(), bias, settings.clone());
        match Conv2dBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((input, weight, settings), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn conv2d_input_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let (grad, weight, input) = (
            grad.into_primitive(),
            weight.into_primitive(),
            input.into_primitive(),
        );
        <FloatTensor<Self>>::new(B::conv2d_input_grad(grad, weight, input, settings))
    }

    fn conv2d_weight_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (grad, weight, input) = (
            grad.into_primitive(),
            weight.into_primitive(),
            input.into_primitive(),
        );
        let (of_weight, of_bias) = B::conv2d_weight_grad(grad, weight, input, settings);
        (
            <FloatTensor<Self>>::new(of_weight),
            <FloatTensor<Self>>::new(of_bias),
        )
    }
}

#[cfg(test)]
mod tests;
