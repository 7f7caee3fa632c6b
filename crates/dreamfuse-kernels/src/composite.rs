//! Alpha compositing along rays.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::cpu::{contiguous, shape_of, slice_of, tensor_from};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};

/// What passes through when a ray is taken for opaque.
const OPAQUE: f32 = 1e-4;

/// How rays are composited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Distance between samples.
    pub step: f32,
    /// The last features whose gradient does not pass on to the density.
    pub detached: usize,
}

/// Composites samples front to back: with `α = 1 − exp(−density · step)` and `w = α Π (1 − α)` over the
/// samples before, a ray's row is `Σ w · features`, then its depth `Σ w · distance` and its opacity `Σ w`.
///
/// # Shapes
/// - `samples`: `[samples, 1 + features]`, density per unit length, not negative, then the features
/// - `distances`: `[samples]`
/// - `starts`: `[rays + 1]`, a ray's samples are `starts[r]..starts[r + 1]`, in order from the camera
/// - output: `[rays, features + 2]`
///
/// Differentiable in the samples.
///
/// # Panics
/// When the shapes do not fit or the starts do not divide the samples.
pub fn composite(
    samples: Tensor<2>,
    distances: Tensor<1>,
    starts: Tensor<1, Int>,
    settings: Settings,
) -> Tensor<2> {
    let ([rows, columns], [count]) = (samples.dims(), distances.dims());
    assert!(
        rows == count && settings.detached < columns,
        "composite: {rows} samples of {columns} numbers at {count} distances, {} detached",
        settings.detached
    );
    let (samples, distances, starts) = (
        samples.into_dispatch(),
        distances.into_dispatch(),
        starts.into_dispatch(),
    );
    Tensor::from_dispatch(Dispatch::composite_op(samples, distances, starts, settings))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub trait CompositeBackend: Backend {
    /// See [`composite`].
    fn composite_op(
        samples: FloatTensor<Self>,
        distances: FloatTensor<Self>,
        starts: IntTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;

    /// Gradient with respect to the samples.
    fn composite_grad(
        grad: FloatTensor<Self>,
        samples: FloatTensor<Self>,
        distances: FloatTensor<Self>,
        starts: IntTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;
}

/// Where each ray's samples start. Threads own what lies between: the starts have to be in order.
///
/// # Panics
/// When they are not `0 ≤ … ≤ samples`.
pub(crate) fn starts_of(starts: &IntTensor<Flex>, samples: usize) -> Vec<usize> {
    let wide = starts
        .as_slice::<i64>()
        .map(|s| s.iter().map(|v| *v as usize).collect());
    let narrow = || {
        starts
            .as_slice::<i32>()
            .map(|s| s.iter().map(|v| *v as usize).collect())
    };
    let starts: Vec<usize> = wide
        .or_else(narrow)
        .expect("starts are contiguous integers");
    let is_whole = starts.first() == Some(&0) && starts.last() == Some(&samples);
    assert!(
        is_whole && starts.is_sorted(),
        "the rays' starts do not divide {samples} samples"
    );
    starts
}

impl CompositeBackend for Flex {
    fn composite_op(
        samples: FloatTensor<Self>,
        distances: FloatTensor<Self>,
        starts: IntTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let (samples, distances) = (contiguous(samples), contiguous(distances));
        let [rows, columns]: [usize; 2] = shape_of(&samples);
        let starts = starts_of(&starts, rows);
        let out = cpu::forward(
            slice_of(&samples),
            slice_of(&distances),
            columns,
            &starts,
            settings,
        );
        tensor_from(out, [starts.len() - 1, columns + 1])
    }

    fn composite_grad(
        grad: FloatTensor<Self>,
        samples: FloatTensor<Self>,
        distances: FloatTensor<Self>,
        starts: IntTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let [grad, samples, distances] = [grad, samples, distances].map(contiguous);
        let shape: [usize; 2] = shape_of(&samples);
        let rays = (
            slice_of(&samples),
            slice_of(&distances),
            starts_of(&starts, shape[0]),
        );
        tensor_from(
            cpu::backward(slice_of(&grad), rays.0, rays.1, shape[1], &rays.2, settings),
            shape,
        )
    }
}

#[cfg(feature = "gpu")]
impl CompositeBackend for burn_cubecl::CubeBackend {
    fn composite_op(
        samples: FloatTensor<Self>,
        distances: FloatTensor<Self>,
        starts: IntTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        gpu::forward(samples, distances, starts, settings)
    }

    fn composite_grad(
        grad: FloatTensor<Self>,
        samples: FloatTensor<Self>,
        distances: FloatTensor<Self>,
        starts: IntTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        gpu::backward(grad, samples, distances, starts, settings)
    }
}

/// The backward step of [`composite`].
#[derive(Debug)]
struct CompositeBackward;

impl<B: CompositeBackend> Backward<B, 1> for CompositeBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, IntTensor<B>, Settings);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (samples, distances, starts, settings) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(
                node.id,
                B::composite_grad(grad, samples, distances, starts, settings),
            );
        }
    }
}

impl<B: CompositeBackend, C: CheckpointStrategy> CompositeBackend for Autodiff<B, C> {
    fn composite_op(
        samples: FloatTensor<Self>,
        distances: FloatTensor<Self>,
        starts: IntTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let node = samples.node();
        let (samples, distances) = (samples.into_primitive(), distances.into_primitive());
        let out = B::composite_op(samples.clone(), distances.clone(), starts.clone(), settings);
        match CompositeBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((samples, distances, starts, settings), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn composite_grad(
        grad: FloatTensor<Self>,
        samples: FloatTensor<Self>,
        distances: FloatTensor<Self>,
        starts: IntTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let [grad, samples, distances] =
            [grad, samples, distances].map(|tensor| tensor.into_primitive());
        <FloatTensor<Self>>::new(B::composite_grad(
            grad, samples, distances, starts, settings,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_close, central_differences, device, numbers, on_each_device, tracked, values,
        weighted_sum,
    };
    use burn::tensor::TensorData;

    const STARTS: [usize; 6] = [0, 4, 4, 15, 16, 30];
    const STEP: f32 = 0.3;

    fn starts() -> Tensor<1, Int> {
        let values: Vec<i64> = STARTS.iter().map(|s| *s as i64).collect();
        Tensor::from_data(TensorData::new(values, [6]), &device())
    }

    #[test]
    fn value_and_gradients_agree_with_the_reference() {
        on_each_device(|| {
            let drawn = numbers(1, 120);
            let mut samples = drawn.clone();
            samples
                .chunks_exact_mut(4)
                .for_each(|row| row[0] = 1.5 * (row[0] + 1.0));
            let (distances, weights) = (numbers(2, 30), numbers(3, 25));
            let reference =
                |s: &[f64]| reference::forward(s, &distances, 4, &STARTS, f64::from(STEP));
            // What the density is not to see is what its gradient is without.
            let mut unseen = weights.clone();
            unseen.chunks_exact_mut(5).for_each(|row| row[2] = 0.0);
            let slope = |weights: &[f64]| {
                central_differences(&samples, 1e-5, |s| weighted_sum(&reference(s), weights))
            };
            let (seen, of_density) = (slope(&weights), slope(&unseen));
            for detached in [0, 1] {
                let x = tracked(&samples, [30, 4]);
                let distances = tracked(&distances, [30]).detach();
                let out = composite(
                    x.clone(),
                    distances,
                    starts(),
                    Settings {
                        step: STEP,
                        detached,
                    },
                );
                assert_close("value", &values(out.clone()), &reference(&samples));
                let grads = (out * tracked(&weights, [5, 5]).detach()).sum().backward();
                let right = (0..120).map(|i| {
                    if i % 4 == 0 && detached == 1 {
                        of_density[i]
                    } else {
                        seen[i]
                    }
                });
                assert_close(
                    "samples",
                    &values(x.grad(&grads).unwrap()),
                    &right.collect::<Vec<_>>(),
                );
            }
        });
    }

    #[test]
    fn a_ray_without_samples_is_empty_and_a_wall_is_opaque() {
        on_each_device(|| {
            let mut samples = [0.0, 0.5].repeat(30);
            samples[8] = 1e4;
            let distances = tracked(&[2.0; 30], [30]);
            let out = composite(
                tracked(&samples, [30, 2]),
                distances,
                starts(),
                Settings {
                    step: STEP,
                    detached: 0,
                },
            );
            let mut right = [0.0; 15];
            right[6..9].copy_from_slice(&[0.5, 2.0, 1.0]);
            assert_eq!(values(out), right);
        });
    }
}
