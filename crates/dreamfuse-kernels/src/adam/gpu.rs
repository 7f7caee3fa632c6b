//! Adam's sparse step with one unit a number.

use super::{Adam, Corrections};
use crate::gpu::{contiguous, shape_of, units};
use burn::backend::ops::FloatTensorOps;
use burn_cubecl::CubeBackend as B;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Hyper-parameters and what the step's number makes of them.
#[derive(CubeType, CubeLaunch)]
struct Numbers {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    weight_decay: f32,
    first: f32,
    second: f32,
    rate: f32,
}

#[cube(launch)]
fn step_kernel(
    values: &mut [f32],
    grad: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    at: Numbers,
) {
    let i = ABSOLUTE_POS;
    if i >= values.len() {
        terminate!();
    }
    let g = grad[i];
    if g != 0.0f32 {
        let m = at.beta1 * first[i] + (1.0f32 - at.beta1) * g;
        let v = at.beta2 * second[i] + (1.0f32 - at.beta2) * g * g;
        first[i] = m;
        second[i] = v;
        let update = m * at.first / ((v * at.second).sqrt() + at.epsilon);
        let value = values[i];
        values[i] = value - at.rate * (update + at.weight_decay * value);
    }
}

/// The tensor to be written to: itself where nothing else holds it.
fn exclusive(tensor: CubeTensor) -> CubeTensor {
    let tensor = contiguous(tensor);
    if tensor.can_mut() {
        tensor
    } else {
        tensor.copy()
    }
}

pub(super) fn sparse_step(
    adam: &Adam,
    at: Corrections,
    [values, grad, first, second]: [CubeTensor; 4],
) -> [CubeTensor; 3] {
    let [values, first, second] = [values, first, second].map(exclusive);
    let [count] = shape_of(&values);
    let (cubes, dim) = units(&values, count);
    let Adam {
        beta1,
        beta2,
        epsilon,
        weight_decay,
    } = *adam;
    step_kernel::launch(
        &values.client,
        cubes,
        dim,
        values.clone().into_buffer_arg(),
        contiguous(grad).into_buffer_arg(),
        first.clone().into_buffer_arg(),
        second.clone().into_buffer_arg(),
        NumbersLaunch::new(
            beta1,
            beta2,
            epsilon,
            weight_decay,
            at.first,
            at.second,
            at.rate,
        ),
    );
    [values, first, second]
}

pub(super) fn squares(values: CubeTensor) -> CubeTensor {
    B::float_sum(B::float_mul(values.clone(), values))
}
