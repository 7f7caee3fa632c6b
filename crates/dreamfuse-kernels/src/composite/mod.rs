//! Alpha compositing along rays.

mod cpu;
pub mod reference;

use crate::cpu::{contiguous, shape_of, slice_of, tensor_from};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};

/// Composites samples front to back: with `α = 1 − exp(−density · step)` and `w = α Π (1 − α)` over the
/// samples before, a ray's row is `Σ w · features`, then its opacity `Σ w`.
///
/// # Shapes
/// - `density`: `[samples]`, per unit length, not negative
/// - `features`: `[samples, channels]`
/// - `starts`: `[rays + 1]`, a ray's samples are `starts[r]..starts[r + 1]`, in order from the camera
/// - output: `[rays, channels + 1]`
///
/// Differentiable in density and features.
pub fn composite(density: Tensor<1>, features: Tensor<2>, starts: Tensor<1, Int>, step: f32) -> Tensor<2> {
    let ([samples], [rows, _]) = (density.dims(), features.dims());
    assert_eq!(samples, rows, "composite: {samples} densities for {rows} features");
    let (density, features, starts) = (density.into_dispatch(), features.into_dispatch(), starts.into_dispatch());
    Tensor::from_dispatch(Dispatch::composite_op(density, features, starts, step))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex)]
pub trait CompositeBackend: Backend {
    /// See [`composite`].
    fn composite_op(
        density: FloatTensor<Self>,
        features: FloatTensor<Self>,
        starts: IntTensor<Self>,
        step: f32,
    ) -> FloatTensor<Self>;

    /// Gradients with respect to density and features.
    fn composite_grad(
        grad: FloatTensor<Self>,
        density: FloatTensor<Self>,
        features: FloatTensor<Self>,
        starts: IntTensor<Self>,
        step: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Where each ray's samples start.
fn starts_of(starts: &IntTensor<Flex>) -> Vec<usize> {
    let wide = starts.as_slice::<i64>().map(|s| s.iter().map(|v| *v as usize).collect());
    let narrow = || starts.as_slice::<i32>().map(|s| s.iter().map(|v| *v as usize).collect());
    wide.or_else(narrow).expect("starts are contiguous integers")
}

impl CompositeBackend for Flex {
    fn composite_op(
        density: FloatTensor<Self>,
        features: FloatTensor<Self>,
        starts: IntTensor<Self>,
        step: f32,
    ) -> FloatTensor<Self> {
        let (density, features) = (contiguous(density), contiguous(features));
        let starts = starts_of(&starts);
        let [_, channels]: [usize; 2] = shape_of(&features);
        let out = cpu::forward(slice_of(&density), slice_of(&features), channels, &starts, step);
        tensor_from(out, [starts.len() - 1, channels + 1])
    }

    fn composite_grad(
        grad: FloatTensor<Self>,
        density: FloatTensor<Self>,
        features: FloatTensor<Self>,
        starts: IntTensor<Self>,
        step: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, density, features] = [grad, density, features].map(contiguous);
        let [samples, channels]: [usize; 2] = shape_of(&features);
        let (of_density, of_features) = cpu::backward(
            slice_of(&grad),
            slice_of(&density),
            slice_of(&features),
            channels,
            &starts_of(&starts),
            step,
        );
        (tensor_from(of_density, [samples]), tensor_from(of_features, [samples, channels]))
    }
}

/// The backward step of [`composite`].
#[derive(Debug)]
struct CompositeBackward;

impl<B: CompositeBackend> Backward<B, 2> for CompositeBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, IntTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (density, features, starts, step) = ops.state;
        let (of_density, of_features) = B::composite_grad(grad, density, features, starts, step);
        for (parent, of_parent) in ops.parents.into_iter().zip([of_density, of_features]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, of_parent);
            }
        }
    }
}

impl<B: CompositeBackend, C: CheckpointStrategy> CompositeBackend for Autodiff<B, C> {
    fn composite_op(
        density: FloatTensor<Self>,
        features: FloatTensor<Self>,
        starts: IntTensor<Self>,
        step: f32,
    ) -> FloatTensor<Self> {
        let nodes = [density.node(), features.node()];
        let (density, features) = (density.into_primitive(), features.into_primitive());
        let out = B::composite_op(density.clone(), features.clone(), starts.clone(), step);
        match CompositeBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((density, features, starts, step), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn composite_grad(
        grad: FloatTensor<Self>,
        density: FloatTensor<Self>,
        features: FloatTensor<Self>,
        starts: IntTensor<Self>,
        step: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, density, features] = [grad, density, features].map(|tensor| tensor.into_primitive());
        let (of_density, of_features) = B::composite_grad(grad, density, features, starts, step);
        (<FloatTensor<Self>>::new(of_density), <FloatTensor<Self>>::new(of_features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, central_differences, numbers, tracked, values, weighted_sum};
    use burn::tensor::{Device, TensorData};

    const STARTS: [usize; 6] = [0, 4, 4, 15, 16, 30];
    const STEP: f32 = 0.3;

    fn starts() -> Tensor<1, Int> {
        let values: Vec<i64> = STARTS.iter().map(|s| *s as i64).collect();
        Tensor::from_data(TensorData::new(values, [6]), &Device::flex().autodiff())
    }

    #[test]
    fn value_and_gradients_agree_with_the_reference() {
        let density: Vec<f64> = numbers(1, 30).iter().map(|v| 1.5 * (v + 1.0)).collect();
        let (features, weights) = (numbers(2, 90), numbers(3, 20));
        let (d, f) = (tracked(&density, [30]), tracked(&features, [30, 3]));
        let out = composite(d.clone(), f.clone(), starts(), STEP);
        let reference = |d: &[f64], f: &[f64]| reference::forward(d, f, 3, &STARTS, f64::from(STEP));
        assert_close("value", &values(out.clone()), &reference(&density, &features));
        let grads = (out * tracked(&weights, [5, 4]).detach()).sum().backward();
        let right = central_differences(&density, 1e-5, |d| weighted_sum(&reference(d, &features), &weights));
        assert_close("density", &values(d.grad(&grads).unwrap()), &right);
        let right = central_differences(&features, 1e-5, |f| weighted_sum(&reference(&density, f), &weights));
        assert_close("features", &values(f.grad(&grads).unwrap()), &right);
    }

    #[test]
    fn a_ray_without_samples_is_empty_and_a_wall_is_opaque() {
        let mut density = vec![0.0; 30];
        density[4] = 1e4;
        let out = composite(tracked(&density, [30]), tracked(&vec![0.5; 30], [30, 1]), starts(), STEP);
        assert_eq!(values(out), [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
