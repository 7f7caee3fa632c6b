//! Layer normalisation with one cube a row, and one unit a column for gamma and beta.

use crate::gpu::{
    CUBE, contiguous, cubes, empty, empty_f32, shape_of, statistics, sum_of_cube, units,
};
use burn::backend::cubecl::dtype_to_elem_type;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

#[cube(launch)]
fn forward_kernel<F: Float>(
    input: &[F],
    gamma: &[F],
    beta: &[F],
    out: &mut [F],
    epsilon: f32,
    #[define(F)] _numbers: ElemType,
) {
    let width = gamma.len();
    let first = CUBE_POS * width;
    if first >= input.len() {
        terminate!();
    }
    let (mean, scale) = statistics(input, first, width, epsilon);
    for i in range_stepped(UNIT_POS as usize, width, CUBE) {
        let normal = (f32::cast_from(input[first + i]) - mean) * scale;
        out[first + i] = F::cast_from(normal * f32::cast_from(gamma[i]) + f32::cast_from(beta[i]));
    }
}

/// The input's gradient; `moments` receives mean and reciprocal deviation of each row.
#[cube(launch)]
fn input_kernel<F: Float>(
    grad: &[F],
    input: &[F],
    gamma: &[F],
    out: &mut [F],
    moments: &mut [f32],
    epsilon: f32,
    #[define(F)] _numbers: ElemType,
) {
    let width = gamma.len();
    let first = CUBE_POS * width;
    if first >= input.len() {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let (mean, scale) = statistics(input, first, width, epsilon);
    if unit == 0 {
        moments[2 * CUBE_POS] = mean;
        moments[2 * CUBE_POS + 1] = scale;
    }
    let mut plain = 0.0f32;
    let mut scaled = 0.0f32;
    for i in range_stepped(unit, width, CUBE) {
        let u = f32::cast_from(grad[first + i]) * f32::cast_from(gamma[i]);
        plain += u;
        scaled += u * (f32::cast_from(input[first + i]) - mean) * scale;
    }
    let mean_u = sum_of_cube(plain) / width as f32;
    let mean_ux = sum_of_cube(scaled) / width as f32;
    for i in range_stepped(unit, width, CUBE) {
        let u = f32::cast_from(grad[first + i]) * f32::cast_from(gamma[i]);
        let normal = (f32::cast_from(input[first + i]) - mean) * scale;
        out[first + i] = F::cast_from(scale * (u - mean_u - normal * mean_ux));
    }
}

#[cube(launch)]
fn affine_kernel<F: Float>(
    grad: &[F],
    input: &[F],
    moments: &[f32],
    of_gamma: &mut [F],
    of_beta: &mut [F],
    #[define(F)] _numbers: ElemType,
) {
    let column = ABSOLUTE_POS;
    let width = of_gamma.len();
    if column >= width {
        terminate!();
    }
    let mut plain = 0.0f32;
    let mut scaled = 0.0f32;
    for row in 0..moments.len() / 2 {
        let u = f32::cast_from(grad[row * width + column]);
        let value = f32::cast_from(input[row * width + column]);
        plain += u;
        scaled += u * (value - moments[2 * row]) * moments[2 * row + 1];
    }
    of_gamma[column] = F::cast_from(scaled);
    of_beta[column] = F::cast_from(plain);
}

pub(super) fn forward(
    epsilon: f32,
    input: CubeTensor,
    gamma: CubeTensor,
    beta: CubeTensor,
) -> CubeTensor {
    let [input, gamma, beta] = [input, gamma, beta].map(contiguous);
    let [batch, tokens, width] = shape_of(&input);
    let (out, numbers) = (
        empty(&input, [batch, tokens, width]),
        dtype_to_elem_type(input.dtype),
    );
    let (count, dim) = cubes(batch * tokens);
    forward_kernel::launch(
        &out.client,
        count,
        dim,
        input.into_buffer_arg(),
        gamma.into_buffer_arg(),
        beta.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        epsilon,
        numbers,
    );
    out
}

pub(super) fn backward(
    epsilon: f32,
    grad: CubeTensor,
    input: CubeTensor,
    gamma: CubeTensor,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [grad, input, gamma] = [grad, input, gamma].map(contiguous);
    let [batch, tokens, width] = shape_of(&input);
    let out = empty(&input, [batch, tokens, width]);
    let [of_gamma, of_beta] = [0; 2].map(|_| empty(&input, [width]));
    let (moments, numbers) = (
        empty_f32(&input, [batch * tokens, 2]),
        dtype_to_elem_type(input.dtype),
    );
    let (count, dim) = cubes(batch * tokens);
    input_kernel::launch(
        &out.client,
        count,
        dim,
        grad.clone().into_buffer_arg(),
        input.clone().into_buffer_arg(),
        gamma.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        moments.clone().into_buffer_arg(),
        epsilon,
        numbers,
    );
    let (count, dim) = units(&of_gamma, width);
    affine_kernel::launch(
        &out.client,
        count,
        dim,
        grad.into_buffer_arg(),
        input.into_buffer_arg(),
        moments.into_buffer_arg(),
        of_gamma.clone().into_buffer_arg(),
        of_beta.clone().into_buffer_arg(),
        numbers,
    );
    (out, of_gamma, of_beta)
}
