//! The gated activation with one unit a number of the result.

use crate::gpu::{contiguous, empty, shape_of, units};
use burn::backend::cubecl::dtype_to_elem_type;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Φ at `x`, as the CPU's body approximates it, and `e^(−x² / 2)`.
#[cube]
fn normal(x: f32) -> (f32, f32) {
    let bell = (x * x * -0.5f32).exp();
    let t = 1.0f32 / (x.abs() * 0.231_641_88f32 + 1.0f32);
    let mut series = 1.061_405_4f32 * t - 1.453_152f32;
    series = series * t + 1.421_413_7f32;
    series = series * t - 0.284_496_74f32;
    series = series * t + 0.254_829_6f32;
    let tail = series * t * bell * 0.5f32;
    let mut below = 1.0f32 - tail;
    if x < 0.0 {
        below = tail;
    }
    (below, bell)
}

#[cube(launch)]
fn forward_kernel<F: Float>(
    input: &[F],
    out: &mut [F],
    width: u32,
    #[define(F)] _numbers: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= out.len() {
        terminate!();
    }
    let width = width as usize;
    let value = index / width * 2 * width + index % width;
    let gate = f32::cast_from(input[value + width]);
    let (below, _bell) = normal(gate);
    out[index] = F::cast_from(f32::cast_from(input[value]) * gate * below);
}

#[cube(launch)]
fn backward_kernel<F: Float>(
    grad: &[F],
    input: &[F],
    out: &mut [F],
    width: u32,
    #[define(F)] _numbers: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= grad.len() {
        terminate!();
    }
    let width = width as usize;
    let value = index / width * 2 * width + index % width;
    let gate = f32::cast_from(input[value + width]);
    let g = f32::cast_from(grad[index]);
    let (below, bell) = normal(gate);
    let density = bell * 0.398_942_3f32;
    out[value] = F::cast_from(g * gate * below);
    out[value + width] = F::cast_from(g * f32::cast_from(input[value]) * (below + gate * density));
}

pub(super) fn forward(input: CubeTensor) -> CubeTensor {
    let input = contiguous(input);
    let [batch, tokens, both] = shape_of(&input);
    let (out, numbers) = (
        empty(&input, [batch, tokens, both / 2]),
        dtype_to_elem_type(input.dtype),
    );
    let (count, dim) = units(&out, batch * tokens * both / 2);
    let (client, width) = (out.client.clone(), (both / 2) as u32);
    forward_kernel::launch(
        &client,
        count,
        dim,
        input.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        width,
        numbers,
    );
    out
}

pub(super) fn backward(grad: CubeTensor, input: CubeTensor) -> CubeTensor {
    let [grad, input] = [grad, input].map(contiguous);
    let [batch, tokens, both] = shape_of(&input);
    let (out, numbers) = (
        empty(&input, [batch, tokens, both]),
        dtype_to_elem_type(input.dtype),
    );
    let (count, dim) = units(&out, batch * tokens * both / 2);
    let (client, width) = (out.client.clone(), (both / 2) as u32);
    backward_kernel::launch(
        &client,
        count,
        dim,
        grad.into_buffer_arg(),
        input.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        width,
        numbers,
    );
    out
}
