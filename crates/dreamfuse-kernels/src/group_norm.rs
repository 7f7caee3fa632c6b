//! Group normalisation, optionally followed by SiLU in the same pass.

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
pub use cpu::Settings;

/// Normalises `input` `[batch, channels, height, width]` over each group of channels (Wu & He 2018),
/// scales by `gamma`, adds `beta`, and applies SiLU where `settings.silu` is set. Both are `[1, channels]` for
/// all images, or `[batch, channels]`. Differentiable in all three.
///
/// # Panics
/// When the channels are no multiple of the groups, or the shapes do not fit.
pub fn group_norm(
    input: Tensor<4>,
    gamma: Tensor<2>,
    beta: Tensor<2>,
    settings: Settings,
) -> Tensor<4> {
    let ([batch, channels, _, _], [rows, columns], b) = (input.dims(), gamma.dims(), beta.dims());
    assert!(
        [1, batch].contains(&rows)
            && columns == channels
            && b == [rows, columns]
            && channels % settings.groups == 0,
        "group_norm: {batch} images of {channels} channels, {} groups, gamma [{rows}, {columns}], beta {b:?}",
        settings.groups
    );
    Tensor::from_dispatch(Dispatch::group_norm_op(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        settings,
    ))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub trait GroupNormBackend: Backend {
    /// See [`group_norm`].
    fn group_norm_op(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;

    /// Gradients with respect to input, gamma and beta.
    fn group_norm_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl GroupNormBackend for Flex {
    fn group_norm_op(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let numbers = input.dtype();
        let (input, gamma, beta) = (contiguous(input), contiguous(gamma), contiguous(beta));
        let shape: [usize; 4] = shape_of(&input);
        let out = cpu::forward(
            shape,
            settings,
            slice_of(&input),
            slice_of(&gamma),
            slice_of(&beta),
        );
        in_f32(tensor_from(out, shape), numbers)
    }

    fn group_norm_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let numbers = input.dtype();
        let (grad, input, gamma, beta) = (
            contiguous(grad),
            contiguous(input),
            contiguous(gamma),
            contiguous(beta),
        );
        let shape: [usize; 4] = shape_of(&input);
        let (of_input, of_gamma, of_beta) = cpu::backward(
            shape,
            settings,
            slice_of(&grad),
            slice_of(&input),
            slice_of(&gamma),
            slice_of(&beta),
        );
        let rows = [of_gamma.len() / shape[1], shape[1]];
        let [of_gamma, of_beta] =
            [of_gamma, of_beta].map(|of| in_f32(tensor_from(of, rows), numbers));
        (
            in_f32(tensor_from(of_input, shape), numbers),
            of_gamma,
            of_beta,
        )
    }
}

#[cfg(feature = "gpu")]
impl GroupNormBackend for burn_cubecl::CubeBackend {
    fn group_norm_op(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        gpu::forward(input, gamma, beta, settings)
    }

    fn group_norm_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gpu::backward(grad, input, gamma, beta, settings)
    }
}

/// The backward step of [`group_norm`].
#[derive(Debug)]
struct GroupNormBackward;

impl<B: GroupNormBackend> Backward<B, 3> for GroupNormBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, Settings);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (input, gamma, beta, settings) = ops.state;
        let (of_input, of_gamma, of_beta) = B::group_norm_grad(grad, input, gamma, beta, settings);
        for (parent, of_parent) in ops.parents.into_iter().zip([of_input, of_gamma, of_beta]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, of_parent);
            }
        }
    }
}

impl<B: GroupNormBackend, C: CheckpointStrategy> GroupNormBackend for Autodiff<B, C> {
    fn group_norm_op(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), gamma.node(), beta.node()];
        let (input, gamma, beta) = (
            input.into_primitive(),
            gamma.into_primitive(),
            beta.into_primitive(),
        );
        let out = B::group_norm_op(input.clone(), gamma.clone(), beta.clone(), settings);
        match GroupNormBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((input, gamma, beta, settings), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn group_norm_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, input, gamma, beta] =
            [grad, input, gamma, beta].map(|tensor| tensor.into_primitive());
        let (of_input, of_gamma, of_beta) = B::group_norm_grad(grad, input, gamma, beta, settings);
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
            let shape = [2, 6, 3, 5];
            for (groups, silu, rows) in [(2, false, 1), (3, true, 2), (6, true, 1), (2, true, 2)] {
                let settings = Settings {
                    groups,
                    epsilon: 1e-5,
                    silu,
                };
                let (input, gamma, beta) =
                    (numbers(1, 180), numbers(2, 6 * rows), numbers(3, 6 * rows));
                let weights = numbers(4, 180);
                let (x, g, b) = (
                    tracked(&input, shape),
                    tracked(&gamma, [rows, 6]),
                    tracked(&beta, [rows, 6]),
                );
                let out = group_norm(x.clone(), g.clone(), b.clone(), settings);
                assert_close(
                    "value",
                    &values(out.clone()),
                    &reference::forward(shape, settings, &input, &gamma, &beta),
                );
                let grads = (out * tracked(&weights, shape).detach()).sum().backward();
                let loss = |x: &[f64], g: &[f64], b: &[f64]| {
                    weighted_sum(&reference::forward(shape, settings, x, g, b), &weights)
                };
                let right = central_differences(&input, 1e-4, |x| loss(x, &gamma, &beta));
                assert_close("input", &values(x.grad(&grads).unwrap()), &right);
                let right = central_differences(&gamma, 1e-4, |g| loss(&input, g, &beta));
                assert_close("gamma", &values(g.grad(&grads).unwrap()), &right);
                let right = central_differences(&beta, 1e-4, |b| loss(&input, &gamma, b));
                assert_close("beta", &values(b.grad(&grads).unwrap()), &right);
            }
        });
    }
}
