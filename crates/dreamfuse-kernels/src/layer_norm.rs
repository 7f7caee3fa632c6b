//! Layer normalisation in one pass.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::cpu::{contiguous, in_f32, shape_of, slice_of, tensor_from};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// Normalises each row of `input` `[batch, tokens, width]` (Ba et al. 2016), scales by `gamma` `[width]` and adds
/// `beta` `[width]`. Differentiable in all three.
///
/// # Panics
/// When the shapes do not fit.
pub fn layer_norm(input: Tensor<3>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f32) -> Tensor<3> {
    let ([_, _, width], [g], [b]) = (input.dims(), gamma.dims(), beta.dims());
    assert!(
        width == g && width == b,
        "layer_norm: rows of {width}, gamma [{g}], beta [{b}]"
    );
    let (input, gamma, beta) = (
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
    );
    Tensor::from_dispatch(Dispatch::layer_norm_op(input, gamma, beta, epsilon))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub trait LayerNormBackend: Backend {
    /// See [`layer_norm`].
    fn layer_norm_op(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// Gradients with respect to input, gamma and beta.
    fn layer_norm_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl LayerNormBackend for Flex {
    fn layer_norm_op(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let numbers = input.dtype();
        let (input, gamma, beta) = (contiguous(input), contiguous(gamma), contiguous(beta));
        let shape: [usize; 3] = shape_of(&input);
        let out = cpu::forward(epsilon, slice_of(&input), slice_of(&gamma), slice_of(&beta));
        in_f32(tensor_from(out, shape), numbers)
    }

    fn layer_norm_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let numbers = input.dtype();
        let (grad, input, gamma) = (contiguous(grad), contiguous(input), contiguous(gamma));
        let shape: [usize; 3] = shape_of(&input);
        let (of_input, of_gamma, of_beta) =
            cpu::backward(epsilon, slice_of(&grad), slice_of(&input), slice_of(&gamma));
        let [of_gamma, of_beta] =
            [of_gamma, of_beta].map(|of| in_f32(tensor_from(of, [shape[2]]), numbers));
        (
            in_f32(tensor_from(of_input, shape), numbers),
            of_gamma,
            of_beta,
        )
    }
}

#[cfg(feature = "gpu")]
impl LayerNormBackend for burn_cubecl::CubeBackend {
    fn layer_norm_op(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        gpu::forward(epsilon, input, gamma, beta)
    }

    fn layer_norm_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gpu::backward(epsilon, grad, input, gamma)
    }
}

/// The backward step of [`layer_norm`].
#[derive(Debug)]
struct LayerNormBackward;

impl<B: LayerNormBackend> Backward<B, 3> for LayerNormBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (input, gamma, epsilon) = ops.state;
        let (of_input, of_gamma, of_beta) = B::layer_norm_grad(grad, input, gamma, epsilon);
        for (parent, of_parent) in ops.parents.into_iter().zip([of_input, of_gamma, of_beta]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, of_parent);
            }
        }
    }
}

impl<B: LayerNormBackend, C: CheckpointStrategy> LayerNormBackend for Autodiff<B, C> {
    fn layer_norm_op(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), gamma.node(), beta.node()];
        let (input, gamma, beta) = (
            input.into_primitive(),
            gamma.into_primitive(),
            beta.into_primitive(),
        );
        let out = B::layer_norm_op(input.clone(), gamma.clone(), beta, epsilon);
        match LayerNormBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((input, gamma, epsilon), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn layer_norm_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, input, gamma] = [grad, input, gamma].map(|tensor| tensor.into_primitive());
        let (of_input, of_gamma, of_beta) = B::layer_norm_grad(grad, input, gamma, epsilon);
        (
            <FloatTensor<Self>>::new(of_input),
            <FloatTensor<Self>>::new(of_gamma),
            <FloatTensor<Self>>::new(of_beta),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_close, central_differences, numbers, on_each_device, tracked, values, weighted_sum,
    };

    #[test]
    fn value_and_gradients_agree_with_the_reference() {
        on_each_device(|| {
            // More rows than a piece of work has, and a width that is no multiple of a vector's.
            let (shape, width) = ([2, 19, 21], 21);
            let (input, gamma, beta) = (
                numbers(1, 2 * 19 * 21),
                numbers(2, width),
                numbers(3, width),
            );
            let weights = numbers(4, input.len());
            let (x, g, b) = (
                tracked(&input, shape),
                tracked(&gamma, [width]),
                tracked(&beta, [width]),
            );
            let out = layer_norm(x.clone(), g.clone(), b.clone(), 1e-5);
            assert_close(
                "value",
                &values(out.clone()),
                &reference::forward(1e-5, &input, &gamma, &beta),
            );
            let grads = (out * tracked(&weights, shape).detach()).sum().backward();
            let loss = |x: &[f64], g: &[f64], b: &[f64]| {
                weighted_sum(&reference::forward(1e-5, x, g, b), &weights)
            };
            let right = central_differences(&input, 1e-4, |x| loss(x, &gamma, &beta));
            assert_close("input", &values(x.grad(&grads).unwrap()), &right);
            let right = central_differences(&gamma, 1e-4, |g| loss(&input, g, &beta));
            assert_close("gamma", &values(g.grad(&grads).unwrap()), &right);
            let right = central_differences(&beta, 1e-4, |b| loss(&input, &gamma, b));
            assert_close("beta", &values(b.grad(&grads).unwrap()), &right);
        });
    }
}
