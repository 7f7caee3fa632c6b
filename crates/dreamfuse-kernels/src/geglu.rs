//! The gated activation of transformers' feed-forward layers, in one pass.

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

/// `value · GELU(gate)` (Shazeer 2020, GEGLU) of `input` `[batch, tokens, 2 width]`, whose last axis holds the
/// values first, then the gates; the result is `[batch, tokens, width]`. Differentiable.
///
/// # Panics
/// When the last axis is odd.
pub fn geglu(input: Tensor<3>) -> Tensor<3> {
    let [_, _, both] = input.dims();
    assert!(
        both.is_multiple_of(2),
        "geglu: {both} numbers are no values and gates"
    );
    Tensor::from_dispatch(Dispatch::geglu_op(input.into_dispatch()))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub trait GegluBackend: Backend {
    /// See [`geglu`].
    fn geglu_op(input: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient with respect to the input.
    fn geglu_grad(grad: FloatTensor<Self>, input: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl GegluBackend for Flex {
    fn geglu_op(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let (numbers, input) = (input.dtype(), contiguous(input));
        let [batch, tokens, both] = shape_of(&input);
        let out = cpu::forward(both / 2, slice_of(&input));
        in_f32(tensor_from(out, [batch, tokens, both / 2]), numbers)
    }

    fn geglu_grad(grad: FloatTensor<Self>, input: FloatTensor<Self>) -> FloatTensor<Self> {
        let (numbers, grad, input) = (input.dtype(), contiguous(grad), contiguous(input));
        let shape: [usize; 3] = shape_of(&input);
        in_f32(
            tensor_from(
                cpu::backward(shape[2] / 2, slice_of(&grad), slice_of(&input)),
                shape,
            ),
            numbers,
        )
    }
}

#[cfg(feature = "gpu")]
impl GegluBackend for burn_cubecl::CubeBackend {
    fn geglu_op(input: FloatTensor<Self>) -> FloatTensor<Self> {
        gpu::forward(input)
    }

    fn geglu_grad(grad: FloatTensor<Self>, input: FloatTensor<Self>) -> FloatTensor<Self> {
        gpu::backward(grad, input)
    }
}

/// The backward step of [`geglu`].
#[derive(Debug)]
struct GegluBackward;

impl<B: GegluBackend> Backward<B, 1> for GegluBackward {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::geglu_grad(grad, ops.state));
        }
    }
}

impl<B: GegluBackend, C: CheckpointStrategy> GegluBackend for Autodiff<B, C> {
    fn geglu_op(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = input.node();
        let input = input.into_primitive();
        let out = B::geglu_op(input.clone());
        match GegluBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(input, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn geglu_grad(grad: FloatTensor<Self>, input: FloatTensor<Self>) -> FloatTensor<Self> {
        <FloatTensor<Self>>::new(B::geglu_grad(grad.into_primitive(), input.into_primitive()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_close, central_differences, numbers, on_each_device, tracked, values, weighted_sum,
    };

    #[test]
    fn value_and_gradient_agree_with_the_reference() {
        on_each_device(|| {
            // Gates from −6 to 6: both tails and the middle.
            let input: Vec<f64> = numbers(1, 2 * 3 * 38)
                .into_iter()
                .map(|v| 6.0 * v)
                .collect();
            let weights = numbers(2, 2 * 3 * 19);
            let x = tracked(&input, [2, 3, 38]);
            let out = geglu(x.clone());
            assert_close(
                "value",
                &values(out.clone()),
                &reference::forward(19, &input),
            );
            let grads = (out * tracked(&weights, [2, 3, 19]).detach())
                .sum()
                .backward();
            let right = central_differences(&input, 1e-4, |x| {
                weighted_sum(&reference::forward(19, x), &weights)
            });
            assert_close("input", &values(x.grad(&grads).unwrap()), &right);
        });
    }
}
