//! Group normalisation with one cube a group of one image. Sums are in f32, whatever the numbers are.

use super::Settings;
use crate::gpu::{CUBE, contiguous, cubes, empty, shape_of, sigmoid, statistics, sum_of_cube};
use burn::backend::cubecl::dtype_to_elem_type;
use burn::backend::ops::FloatTensorOps;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Sizes of one group, and how many there are of them.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    /// Pixels of a channel.
    area: u32,
    /// Channels of a group.
    in_group: u32,
    /// Groups of all images.
    groups: u32,
    /// Numbers of gamma: those of one image, or of all.
    affine: u32,
}

#[cube(launch)]
fn forward_kernel<F: Float>(
    input: &[F],
    gamma: &[F],
    beta: &[F],
    out: &mut [F],
    sizes: Sizes,
    epsilon: f32,
    #[comptime] silu: bool,
    #[define(F)] _numbers: ElemType,
) {
    let group = CUBE_POS;
    if group >= sizes.groups as usize {
        terminate!();
    }
    let (area, in_group) = (sizes.area as usize, sizes.in_group as usize);
    let first = group * in_group * area;
    let (mean, scale) = statistics(input, first, in_group * area, epsilon);
    for i in range_stepped(UNIT_POS as usize, in_group * area, CUBE) {
        let channel = (group * in_group + i / area) % sizes.affine as usize;
        let normal = (f32::cast_from(input[first + i]) - mean) * scale;
        let mut value = normal * f32::cast_from(gamma[channel]) + f32::cast_from(beta[channel]);
        if silu {
            value *= sigmoid(value);
        }
        out[first + i] = F::cast_from(value);
    }
}

/// The gradient before the affine part.
#[cube]
fn before_affine(grad: f32, normal: f32, gamma: f32, beta: f32, #[comptime] silu: bool) -> f32 {
    let mut out = grad;
    if silu {
        let value = normal * gamma + beta;
        let gate = sigmoid(value);
        out = grad * gate * (1.0f32 + value * (1.0f32 - gate));
    }
    out
}

/// The input's gradient; `moments` receives mean and reciprocal deviation of each group.
#[cube(launch)]
fn input_kernel<F: Float>(
    grad: &[F],
    input: &[F],
    gamma: &[F],
    beta: &[F],
    out: &mut [F],
    moments: &mut [f32],
    sizes: Sizes,
    epsilon: f32,
    #[comptime] silu: bool,
    #[define(F)] _numbers: ElemType,
) {
    let group = CUBE_POS;
    if group >= sizes.groups as usize {
        terminate!();
    }
    let (area, in_group) = (sizes.area as usize, sizes.in_group as usize);
    let (first, members) = (group * in_group * area, in_group * area);
    let unit = UNIT_POS as usize;
    let (mean, scale) = statistics(input, first, members, epsilon);
    if unit == 0 {
        moments[2 * group] = mean;
        moments[2 * group + 1] = scale;
    }
    let mut plain = 0.0f32;
    let mut scaled = 0.0f32;
    for i in range_stepped(unit, members, CUBE) {
        let channel = (group * in_group + i / area) % sizes.affine as usize;
        let (gamma, beta) = (
            f32::cast_from(gamma[channel]),
            f32::cast_from(beta[channel]),
        );
        let normal = (f32::cast_from(input[first + i]) - mean) * scale;
        let u = gamma * before_affine(f32::cast_from(grad[first + i]), normal, gamma, beta, silu);
        plain += u;
        scaled += u * normal;
    }
    let mean_u = sum_of_cube(plain) / members as f32;
    let mean_ux = sum_of_cube(scaled) / members as f32;
    for i in range_stepped(unit, members, CUBE) {
        let channel = (group * in_group + i / area) % sizes.affine as usize;
        let (gamma, beta) = (
            f32::cast_from(gamma[channel]),
            f32::cast_from(beta[channel]),
        );
        let normal = (f32::cast_from(input[first + i]) - mean) * scale;
        let u = gamma * before_affine(f32::cast_from(grad[first + i]), normal, gamma, beta, silu);
        out[first + i] = F::cast_from(scale * (u - mean_u - normal * mean_ux));
    }
}

/// The gradients of gamma and beta for each image by itself: one cube a channel.
#[cube(launch)]
fn affine_kernel<F: Float>(
    grad: &[F],
    input: &[F],
    gamma: &[F],
    beta: &[F],
    moments: &[f32],
    of_gamma: &mut [F],
    of_beta: &mut [F],
    sizes: Sizes,
    #[comptime] silu: bool,
    #[define(F)] _numbers: ElemType,
) {
    let channel = CUBE_POS;
    let (area, in_group) = (sizes.area as usize, sizes.in_group as usize);
    if channel >= sizes.groups as usize * in_group {
        terminate!();
    }
    let group = channel / in_group;
    let (mean, scale) = (moments[2 * group], moments[2 * group + 1]);
    let affine = channel % sizes.affine as usize;
    let (gamma, beta) = (f32::cast_from(gamma[affine]), f32::cast_from(beta[affine]));
    let mut plain = 0.0f32;
    let mut scaled = 0.0f32;
    for i in range_stepped(UNIT_POS as usize, area, CUBE) {
        let normal = (f32::cast_from(input[channel * area + i]) - mean) * scale;
        let u = before_affine(
            f32::cast_from(grad[channel * area + i]),
            normal,
            gamma,
            beta,
            silu,
        );
        plain += u;
        scaled += u * normal;
    }
    let (total, total_scaled) = (sum_of_cube(plain), sum_of_cube(scaled));
    if UNIT_POS == 0 {
        of_gamma[channel] = F::cast_from(total_scaled);
        of_beta[channel] = F::cast_from(total);
    }
}

fn sizes(input: &CubeTensor, gamma: &CubeTensor, s: &Settings) -> (SizesLaunch, usize, usize) {
    let ([batch, channels, height, width], [rows, _]) = (shape_of(input), shape_of::<2>(gamma));
    let groups = batch * s.groups;
    let sizes = SizesLaunch::new(
        (height * width) as u32,
        (channels / s.groups) as u32,
        groups as u32,
        (rows * channels) as u32,
    );
    (sizes, groups, batch * channels)
}

pub(super) fn forward(
    input: CubeTensor,
    gamma: CubeTensor,
    beta: CubeTensor,
    s: Settings,
) -> CubeTensor {
    let [input, gamma, beta] = [input, gamma, beta].map(contiguous);
    let out = empty(&input, shape_of::<4>(&input));
    let ((sizes, groups, _), numbers) =
        (sizes(&input, &gamma, &s), dtype_to_elem_type(input.dtype));
    let (count, dim) = cubes(groups);
    forward_kernel::launch(
        &out.client,
        count,
        dim,
        input.into_buffer_arg(),
        gamma.into_buffer_arg(),
        beta.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        sizes,
        s.epsilon,
        s.silu,
        numbers,
    );
    out
}

/// Gradients of input, gamma and beta.
pub(super) fn backward(
    grad: CubeTensor,
    input: CubeTensor,
    gamma: CubeTensor,
    beta: CubeTensor,
    s: Settings,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [grad, input, gamma, beta] = [grad, input, gamma, beta].map(contiguous);
    let ([batch, channels, height, width], [rows, _]) = (shape_of(&input), shape_of::<2>(&gamma));
    let out = empty(&input, [batch, channels, height, width]);
    let [of_gamma, of_beta] = [0; 2].map(|_| empty(&input, [batch, channels]));
    let numbers = dtype_to_elem_type(input.dtype);
    let (of_groups, groups, all_channels) = sizes(&input, &gamma, &s);
    let moments = crate::gpu::empty_f32(&input, [groups, 2]);
    let (count, dim) = cubes(groups);
    input_kernel::launch(
        &out.client,
        count,
        dim,
        grad.clone().into_buffer_arg(),
        input.clone().into_buffer_arg(),
        gamma.clone().into_buffer_arg(),
        beta.clone().into_buffer_arg(),
        out.clone().into_buffer_arg(),
        moments.clone().into_buffer_arg(),
        of_groups,
        s.epsilon,
        s.silu,
        numbers,
    );
    let (of_channels, ..) = sizes(&input, &gamma, &s);
    let (count, dim) = cubes(all_channels);
    affine_kernel::launch(
        &out.client,
        count,
        dim,
        grad.into_buffer_arg(),
        input.into_buffer_arg(),
        gamma.into_buffer_arg(),
        beta.into_buffer_arg(),
        moments.into_buffer_arg(),
        of_gamma.clone().into_buffer_arg(),
        of_beta.clone().into_buffer_arg(),
        of_channels,
        s.silu,
        numbers,
    );
    let sum = |of_images| match shape_of(&of_images) {
        [images, _] if images == rows => of_images,
        _ => CubeBackend::float_sum_dim(of_images, 0),
    };
    (out, sum(of_gamma), sum(of_beta))
}
