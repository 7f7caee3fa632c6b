//! Adam with decoupled weight decay, fused into one pass over the parameters.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::cpu::{contiguous, slice_of, tensor_from};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// Hyper-parameters (Kingma & Ba 2015; Loshchilov & Hutter 2019 for the decay).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    pub beta1: f32,
    pub beta2: f32,
    /// 1e-15 for hash tables (instant-ngp): larger ones drown their small gradients.
    pub epsilon: f32,
    pub weight_decay: f32,
}

/// First and second moments of a parameter's gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl Moments {
    /// Moments of `count` numbers before the first step.
    pub fn zeros(count: usize) -> Self {
        Self {
            first: vec![0.0; count],
            second: vec![0.0; count],
        }
    }
}

/// What the number of a step makes of rate and moments, which start at zero and are too small at first.
#[derive(Clone, Copy, Debug)]
pub struct Corrections {
    first: f32,
    second: f32,
    rate: f32,
}

impl Adam {
    /// `step` counts from 1.
    fn corrections(&self, step: u64, rate: f32) -> Corrections {
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(step as f64))) as f32;
        Corrections {
            first: correction(self.beta1),
            second: correction(self.beta2),
            rate,
        }
    }

    /// One step: `step` counts from 1, and `scale` multiplies the gradient first (clipping).
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn step(
        &self,
        step: u64,
        rate: f32,
        scale: f32,
        values: &mut [f32],
        grad: &[f32],
        moments: &mut Moments,
    ) {
        let moments = [moments.first.as_mut_slice(), moments.second.as_mut_slice()];
        cpu::step::<false>(
            self,
            self.corrections(step, rate),
            scale,
            values,
            grad,
            moments,
        );
    }
}

/// Parameters on a device, with the moments of their gradient.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub values: Tensor<1>,
    pub first: Tensor<1>,
    pub second: Tensor<1>,
}

impl Parameters {
    /// Before the first step.
    pub fn new(values: Tensor<1>) -> Self {
        let zeros = || Tensor::zeros(values.dims(), &values.device());
        Self {
            first: zeros(),
            second: zeros(),
            values,
        }
    }

    /// One step, counted from 1. Numbers whose gradient is zero stay as they are, and so do their moments, as in
    /// instant-ngp (Müller et al. 2022, section 4): a step touches a small part of a hash table.
    ///
    /// # Panics
    /// When there are not as many gradients as values.
    pub fn sparse_step(&mut self, adam: Adam, step: u64, rate: f32, grad: Tensor<1>) {
        assert_eq!(
            self.values.dims(),
            grad.dims(),
            "adam: values and gradients differ in number"
        );
        let device = grad.device();
        // Given away, so that what nothing else holds is changed in place.
        let [values, first, second] = [&mut self.values, &mut self.first, &mut self.second]
            .map(|tensor| std::mem::replace(tensor, Tensor::empty([0], &device)).into_dispatch());
        let at = adam.corrections(step, rate);
        let (values, first, second) =
            Dispatch::sparse_step_op(values, grad.into_dispatch(), first, second, adam, at);
        [self.values, self.first, self.second] = [values, first, second].map(Tensor::from_dispatch);
    }
}

/// The sum of squares `[1]`.
pub fn squares(values: Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::squares_op(values.into_dispatch()))
}

/// The backends that have the operations.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"))]
pub trait AdamBackend: Backend {
    /// See [`Parameters::sparse_step`]: values and moments.
    fn sparse_step_op(
        values: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        adam: Adam,
        at: Corrections,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`squares`].
    fn squares_op(values: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl AdamBackend for Flex {
    fn sparse_step_op(
        values: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        adam: Adam,
        at: Corrections,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [mut values, grad, mut first, mut second] =
            [values, grad, first, second].map(contiguous);
        let moments = [first.storage_mut(), second.storage_mut()];
        cpu::step::<true>(
            &adam,
            at,
            1.0,
            values.storage_mut(),
            slice_of(&grad),
            moments,
        );
        (values, first, second)
    }

    fn squares_op(values: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor_from(
            vec![crate::cpu::squares(slice_of(&contiguous(values))) as f32],
            [1],
        )
    }
}

#[cfg(feature = "gpu")]
impl AdamBackend for burn_cubecl::CubeBackend {
    fn sparse_step_op(
        values: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        adam: Adam,
        at: Corrections,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [values, first, second] = gpu::sparse_step(&adam, at, [values, grad, first, second]);
        (values, first, second)
    }

    fn squares_op(values: FloatTensor<Self>) -> FloatTensor<Self> {
        gpu::squares(values)
    }
}

#[cfg(test)]
mod tests {
    use super::cpu::CHUNK;
    use super::*;
    use crate::testing::{assert_close, narrow, numbers, on_each_device, tracked, values};

    const ADAM: Adam = Adam {
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.01,
    };
    /// The last chunk is cut short.
    const COUNT: usize = 2 * CHUNK + 5;

    /// The values after a step of rate 0.1 for each list of gradients.
    fn stepped(mut values: Vec<f32>, scale: f32, grads: &[Vec<f32>]) -> Vec<f64> {
        let mut moments = Moments::zeros(values.len());
        for (i, grad) in grads.iter().enumerate() {
            ADAM.step(i as u64 + 1, 0.1, scale, &mut values, grad, &mut moments);
        }
        values.into_iter().map(f64::from).collect()
    }

    #[test]
    fn steps_agree_with_the_reference() {
        let start = numbers(1, COUNT);
        let grads: Vec<_> = (2..5).map(|seed| numbers(seed, COUNT)).collect();
        let ours = stepped(
            narrow(&start),
            0.5,
            &grads.iter().map(|grad| narrow(grad)).collect::<Vec<_>>(),
        );
        let of = |i: usize| grads.iter().map(|grad| 0.5 * grad[i]).collect::<Vec<_>>();
        let right: Vec<_> = start
            .iter()
            .enumerate()
            .map(|(i, v)| reference::after(&ADAM, 0.1, *v, &of(i), false))
            .collect();
        assert_close("values", &ours, &right);
    }

    #[test]
    fn sparse_steps_leave_what_has_no_gradient() {
        on_each_device(|| {
            let start = numbers(1, COUNT);
            // Single numbers and whole rows without a gradient, others in every step.
            let is_zero =
                |seed: u64, i: usize| i % 3 == seed as usize % 3 || i / 64 % 5 == seed as usize;
            let grad = |seed: u64| numbers(seed, COUNT).into_iter().enumerate();
            let grads: Vec<Vec<f64>> = (2..5)
                .map(|s| {
                    grad(s)
                        .map(|(i, g)| if is_zero(s, i) { 0.0 } else { g })
                        .collect()
                })
                .collect();
            let inner = |values: &[f64]| tracked(values, [COUNT]).without_autodiff();
            let mut ours = Parameters::new(inner(&start));
            for (i, grad) in grads.iter().enumerate() {
                ours.sparse_step(ADAM, i as u64 + 1, 0.1, inner(grad));
            }
            let of = |i: usize| grads.iter().map(|grad| grad[i]).collect::<Vec<_>>();
            let right: Vec<_> = start
                .iter()
                .enumerate()
                .map(|(i, v)| reference::after(&ADAM, 0.1, *v, &of(i), true))
                .collect();
            assert_close("values", &values(ours.values), &right);
        });
    }

    #[test]
    fn squares_are_summed() {
        on_each_device(|| {
            let drawn = numbers(1, COUNT);
            let right = drawn.iter().map(|v| v * v).sum::<f64>();
            let ours = values(squares(tracked(&drawn, [COUNT]).without_autodiff()))[0];
            assert!((ours / right - 1.0).abs() < 1e-5, "{ours} for {right}");
        });
    }

    #[test]
    fn three_steps_agree_with_pytorch() {
        // torch.optim.AdamW([1., -2.], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01) on the
        // gradients [0.5, -1], [0.1, 0.2], [-0.3, 0.4].
        let ours = stepped(
            vec![1.0, -2.0],
            1.0,
            &[vec![0.5, -1.0], vec![0.1, 0.2], vec![-0.3, 0.4]],
        );
        for (ours, right) in ours.iter().zip([0.795_696_1, -1.829_580_9]) {
            assert!((ours - right).abs() < 2e-6, "{ours} for {right}");
        }
    }
}
