//! The scene's field: hash-grid encoding, small network, and the gradient of the density by the
//! position (for normals), fused.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
mod grid;
mod network;
pub mod reference;
mod spec;

use crate::cpu::{contiguous, shape_of, slice_of, tensor_from};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
pub use spec::{FEATURES, FieldSpec, Level, MlpLayout, OUTPUTS, OUTPUTS_WITH_GRADIENT};

/// Evaluates the field at `positions` `[samples, 3]` in `[−1, 1]³`.
///
/// `table` is `[points, 2]` and `mlp` `[parameters]`, packed as [`MlpLayout`] says. The result is
/// `[samples, 4]`: raw density and raw red, green, blue; with `with_gradient` it is `[samples, 7]`, the
/// gradient of the raw density by the position behind them. Differentiable in table and network
/// (through the gradient too), not in the positions.
///
/// # Panics
/// When table or network do not have the sizes of `spec`.
pub fn field(
    table: Tensor<2>,
    mlp: Tensor<1>,
    positions: Tensor<2>,
    spec: FieldSpec,
    with_gradient: bool,
) -> Tensor<2> {
    assert_eq!(
        table.dims(),
        [spec.table_points(), FEATURES],
        "field: the table does not fit its specification"
    );
    assert_eq!(
        mlp.dims(),
        [spec.mlp_parameters()],
        "field: the network does not fit its specification"
    );
    let (table, mlp, positions) = (
        table.into_dispatch(),
        mlp.into_dispatch(),
        positions.into_dispatch(),
    );
    Tensor::from_dispatch(Dispatch::field_op(table, mlp, positions, spec, with_gradient).0)
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub trait FieldBackend: Backend {
    /// See [`field`]. The second tensor is the encoding in the body's own layout, for the way back.
    fn field_op(
        table: FloatTensor<Self>,
        mlp: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        spec: FieldSpec,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients with respect to table and network.
    fn field_grad(
        grad: FloatTensor<Self>,
        table: FloatTensor<Self>,
        mlp: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        encoded: FloatTensor<Self>,
        spec: FieldSpec,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl FieldBackend for Flex {
    fn field_op(
        table: FloatTensor<Self>,
        mlp: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        spec: FieldSpec,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [table, mlp, positions] = [table, mlp, positions].map(contiguous);
        let [samples, _]: [usize; 2] = shape_of(&positions);
        let parameters = cpu::Parameters {
            spec,
            table: slice_of(&table),
            mlp: slice_of(&mlp),
        };
        let encoded = cpu::encode(parameters, slice_of(&positions), with_gradient);
        let out = cpu::forward(parameters, samples, &encoded, with_gradient);
        let columns = if with_gradient {
            OUTPUTS_WITH_GRADIENT
        } else {
            OUTPUTS
        };
        let length = encoded.len();
        (
            tensor_from(out, [samples, columns]),
            tensor_from(encoded, [length]),
        )
    }

    fn field_grad(
        grad: FloatTensor<Self>,
        table: FloatTensor<Self>,
        mlp: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        encoded: FloatTensor<Self>,
        spec: FieldSpec,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, table, mlp, positions, encoded] =
            [grad, table, mlp, positions, encoded].map(contiguous);
        let parameters = cpu::Parameters {
            spec,
            table: slice_of(&table),
            mlp: slice_of(&mlp),
        };
        let (positions, encoded) = (slice_of(&positions), slice_of(&encoded));
        let (of_table, of_mlp) = cpu::backward(
            parameters,
            positions,
            encoded,
            slice_of(&grad),
            with_gradient,
        );
        (
            tensor_from(of_table, [spec.table_points(), FEATURES]),
            tensor_from(of_mlp, [spec.mlp_parameters()]),
        )
    }
}

#[cfg(feature = "gpu")]
impl FieldBackend for burn_cubecl::CubeBackend {
    fn field_op(
        table: FloatTensor<Self>,
        mlp: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        spec: FieldSpec,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gpu::forward(&spec, table, mlp, positions, with_gradient)
    }

    fn field_grad(
        grad: FloatTensor<Self>,
        _table: FloatTensor<Self>,
        mlp: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        encoded: FloatTensor<Self>,
        spec: FieldSpec,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gpu::backward(&spec, grad, mlp, positions, encoded, with_gradient)
    }
}

/// The backward step of [`field`].
#[derive(Debug)]
struct FieldBackward;

impl<B: FieldBackend> Backward<B, 2> for FieldBackward {
    type State = ([FloatTensor<B>; 4], FieldSpec, bool);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([table, mlp, positions, encoded], spec, with_gradient) = ops.state;
        let (of_table, of_mlp) =
            B::field_grad(grad, table, mlp, positions, encoded, spec, with_gradient);
        for (parent, of_parent) in ops.parents.into_iter().zip([of_table, of_mlp]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, of_parent);
            }
        }
    }
}

impl<B: FieldBackend, C: CheckpointStrategy> FieldBackend for Autodiff<B, C> {
    fn field_op(
        table: FloatTensor<Self>,
        mlp: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        spec: FieldSpec,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [table.node(), mlp.node()];
        let [table, mlp, positions] = [table, mlp, positions].map(|tensor| tensor.into_primitive());
        let (out, encoded) = B::field_op(
            table.clone(),
            mlp.clone(),
            positions.clone(),
            spec,
            with_gradient,
        );
        let state = (
            [table, mlp, positions, encoded.clone()],
            spec,
            with_gradient,
        );
        let out = match FieldBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        };
        (out, <FloatTensor<Self>>::new(encoded))
    }

    fn field_grad(
        grad: FloatTensor<Self>,
        table: FloatTensor<Self>,
        mlp: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        encoded: FloatTensor<Self>,
        spec: FieldSpec,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let tensors = [grad, table, mlp, positions, encoded];
        let [grad, table, mlp, positions, encoded] = tensors.map(|tensor| tensor.into_primitive());
        let (of_table, of_mlp) =
            B::field_grad(grad, table, mlp, positions, encoded, spec, with_gradient);
        (
            <FloatTensor<Self>>::new(of_table),
            <FloatTensor<Self>>::new(of_mlp),
        )
    }
}

#[cfg(test)]
mod tests;
