//! Multi-head attention without the matrix of scores in memory.

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

/// What is attended to what.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub batch: usize,
    pub queries: usize,
    pub keys: usize,
    pub width: usize,
    pub heads: usize,
}

/// `softmax(Q Kᵀ / √d) V` (Vaswani et al. 2017) of `heads` heads of `d` numbers each, which lie side by side in the
/// last axis: queries `[batch, queries, heads d]`, keys and values `[batch, keys, heads d]`; the result has the
/// queries' shape. Differentiable in all three.
///
/// # Panics
/// When the shapes do not fit.
pub fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize) -> Tensor<3> {
    let ([batch, _, width], of_k, of_v) = (q.dims(), k.dims(), v.dims());
    assert!(
        of_k == of_v
            && of_k[0] == batch
            && of_k[1] > 0
            && of_k[2] == width
            && width.is_multiple_of(heads),
        "attention: queries {:?}, keys {of_k:?}, values {of_v:?}, {heads} heads",
        q.dims()
    );
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::attention_op(q, k, v, heads))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub trait AttentionBackend: Backend {
    /// See [`attention`].
    fn attention_op(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    /// Gradients with respect to queries, keys and values.
    fn attention_grad(
        grad: FloatTensor<Self>,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

fn shape_from(
    [batch, queries, width]: [usize; 3],
    [_, keys, _]: [usize; 3],
    heads: usize,
) -> Shape {
    Shape {
        batch,
        queries,
        keys,
        width,
        heads,
    }
}

impl AttentionBackend for Flex {
    fn attention_op(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        let numbers = q.dtype();
        let [q, k, v] = [q, k, v].map(contiguous);
        let shape = shape_from(shape_of(&q), shape_of(&k), heads);
        let out = cpu::forward(shape, slice_of(&q), slice_of(&k), slice_of(&v));
        in_f32(tensor_from(out, shape_of::<3>(&q)), numbers)
    }

    fn attention_grad(
        grad: FloatTensor<Self>,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let numbers = q.dtype();
        let [grad, q, k, v] = [grad, q, k, v].map(contiguous);
        let (own, context): ([usize; 3], [usize; 3]) = (shape_of(&q), shape_of(&k));
        let shape = shape_from(own, context, heads);
        let [of_q, of_k, of_v] = cpu::backward(
            shape,
            slice_of(&grad),
            [slice_of(&q), slice_of(&k), slice_of(&v)],
        );
        let of = |gradient, shape: [usize; 3]| in_f32(tensor_from(gradient, shape), numbers);
        (of(of_q, own), of(of_k, context), of(of_v, context))
    }
}

#[cfg(feature = "gpu")]
impl AttentionBackend for burn_cubecl::CubeBackend {
    fn attention_op(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        gpu::forward(q, k, v, heads)
    }

    fn attention_grad(
        grad: FloatTensor<Self>,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gpu::backward(grad, q, k, v, heads)
    }
}

/// The backward step of [`attention`].
#[derive(Debug)]
struct AttentionBackward;

impl<B: AttentionBackend> Backward<B, 3> for AttentionBackward {
    type State = ([FloatTensor<B>; 3], usize);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([q, k, v], heads) = ops.state;
        let (of_q, of_k, of_v) = B::attention_grad(grad, q, k, v, heads);
        for (parent, of_parent) in ops.parents.into_iter().zip([of_q, of_k, of_v]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, of_parent);
            }
        }
    }
}

impl<B: AttentionBackend, C: CheckpointStrategy> AttentionBackend for Autodiff<B, C> {
    fn attention_op(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        let nodes = [q.node(), k.node(), v.node()];
        let [q, k, v] = [q, k, v].map(|tensor| tensor.into_primitive());
        let out = B::attention_op(q.clone(), k.clone(), v.clone(), heads);
        match AttentionBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(([q, k, v], heads), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn attention_grad(
        grad: FloatTensor<Self>,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, q, k, v] = [grad, q, k, v].map(|tensor| tensor.into_primitive());
        let (of_q, of_k, of_v) = B::attention_grad(grad, q, k, v, heads);
        (
            <FloatTensor<Self>>::new(of_q),
            <FloatTensor<Self>>::new(of_k),
            <FloatTensor<Self>>::new(of_v),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_close, central_differences, numbers, on_each_device, tracked, values, weighted_sum,
    };

    /// More queries than a piece of work has, and sizes that are no multiple of a vector's.
    const SHAPE: Shape = Shape {
        batch: 2,
        queries: 67,
        keys: 19,
        width: 6,
        heads: 2,
    };

    #[test]
    fn value_and_gradients_agree_with_the_reference() {
        on_each_device(|| {
            let Shape {
                batch,
                queries,
                keys,
                width,
                heads,
            } = SHAPE;
            let (own, context) = ([batch, queries, width], [batch, keys, width]);
            // Large enough that some keys win.
            let wide = |seed, count: usize| {
                numbers(seed, count)
                    .into_iter()
                    .map(|v| 3.0 * v)
                    .collect::<Vec<_>>()
            };
            let q = wide(1, batch * queries * width);
            let (k, v) = (wide(2, batch * keys * width), wide(3, batch * keys * width));
            let weights = numbers(4, q.len());
            let [x, y, z] = [tracked(&q, own), tracked(&k, context), tracked(&v, context)];
            let out = attention(x.clone(), y.clone(), z.clone(), heads);
            assert_close(
                "value",
                &values(out.clone()),
                &reference::forward(SHAPE, &q, &k, &v),
            );
            let grads = (out * tracked(&weights, own).detach()).sum().backward();
            let loss = |q: &[f64], k: &[f64], v: &[f64]| {
                weighted_sum(&reference::forward(SHAPE, q, k, v), &weights)
            };
            let right = central_differences(&q, 1e-4, |q| loss(q, &k, &v));
            assert_close("queries", &values(x.grad(&grads).unwrap()), &right);
            let right = central_differences(&k, 1e-4, |k| loss(&q, k, &v));
            assert_close("keys", &values(y.grad(&grads).unwrap()), &right);
            let right = central_differences(&v, 1e-4, |v| loss(&q, &k, v));
            assert_close("values", &values(z.grad(&grads).unwrap()), &right);
        });
    }

    #[test]
    fn keys_that_lose_by_far_have_no_weight_instead_of_a_subnormal_one() {
        let shape = Shape {
            batch: 1,
            queries: 3,
            keys: 16,
            width: 8,
            heads: 1,
        };
        let wide = |seed, tokens: usize| -> Vec<f64> {
            let drawn = numbers(seed, tokens * shape.width);
            drawn.into_iter().map(|v| 20.0 * v).collect()
        };
        let tokens = |seed, count| tracked(&wide(seed, count), [1, count, shape.width]);
        let (q, k) = (tokens(1, shape.queries), tokens(2, shape.keys));
        let v = tokens(3, shape.keys);
        let out = attention(q.clone(), k.clone(), v.clone(), shape.heads);
        let grads = (out * 1e-6).sum().backward();
        let all = [q, k, v].map(|tensor| values(tensor.grad(&grads).unwrap()));
        let is_exact = |value: &f64| *value == 0.0 || (*value as f32).is_normal();
        assert!(all.iter().flatten().all(is_exact));
        assert!(all[2].contains(&0.0), "every key has some weight");
    }
}
