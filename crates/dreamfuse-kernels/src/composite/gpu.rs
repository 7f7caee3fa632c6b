//! Alpha compositing with one unit a ray. A ray that has become opaque is left early.

use super::{OPAQUE, Settings};
use crate::gpu::{contiguous, empty, shape_of, units};
use burn::backend::cubecl::dtype_to_elem_type;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

#[cube(launch)]
fn forward_kernel<I: Int>(
    samples: &[f32],
    distances: &[f32],
    starts: &[I],
    out: &mut [f32],
    step: f32,
    #[comptime] columns: usize,
    #[define(I)] _ints: ElemType,
) {
    let ray = ABSOLUTE_POS;
    if ray + 1 >= starts.len() {
        terminate!();
    }
    let row = ray * (columns + 1);
    for c in 0..columns + 1 {
        out[row + c] = 0.0;
    }
    let mut n = usize::cast_from(starts[ray]);
    let last = usize::cast_from(starts[ray + 1]);
    let mut through = 1.0f32;
    while n < last {
        let sample = n * columns;
        let passed = (-samples[sample] * step).exp();
        let weight = through * (1.0 - passed);
        for c in 1..columns {
            out[row + c - 1] += weight * samples[sample + c];
        }
        out[row + columns - 1] += weight * distances[n];
        out[row + columns] += weight;
        through *= passed;
        n += 1;
        if through < OPAQUE {
            n = last;
        }
    }
}

pub(super) fn forward(
    samples: CubeTensor,
    distances: CubeTensor,
    starts: CubeTensor,
    s: Settings,
) -> CubeTensor {
    let [samples, distances, starts] = [samples, distances, starts].map(contiguous);
    let ([_, columns], [ends]) = (shape_of::<2>(&samples), shape_of::<1>(&starts));
    let out = empty(&samples, [ends - 1, columns + 1]);
    let (count, dim) = units(&samples, ends - 1);
    let ints = dtype_to_elem_type(starts.dtype);
    forward_kernel::launch(
        &out.client,
        count,
        dim,
        samples.into_buffer_arg(),
        distances.into_buffer_arg(),
        starts.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        s.step,
        columns,
        ints,
    );
    out
}

#[cube(launch)]
fn backward_kernel<I: Int>(
    grad: &[f32],
    samples: &[f32],
    distances: &[f32],
    starts: &[I],
    out: &mut [f32],
    step: f32,
    #[comptime] columns: usize,
    #[comptime] detached: usize,
    #[define(I)] _ints: ElemType,
) {
    let ray = ABSOLUTE_POS;
    if ray + 1 >= starts.len() {
        terminate!();
    }
    let row = ray * (columns + 1);
    let first = usize::cast_from(starts[ray]);
    let last = usize::cast_from(starts[ray + 1]);
    // Forth for the weights, then back for what lies behind.
    let mut through = 1.0f32;
    let mut used = first;
    for n in first..last {
        let sample = n * columns;
        let mut weight = 0.0f32;
        if through >= OPAQUE {
            let passed = (-samples[sample] * step).exp();
            weight = through * (1.0 - passed);
            through *= passed;
            used = n + 1;
        }
        out[sample] = through;
        for c in 1..columns {
            out[sample + c] = weight * grad[row + c - 1];
        }
    }
    let mut behind = 0.0f32;
    for back in first..last {
        let n = last - 1 - (back - first);
        let sample = n * columns;
        let after = out[sample];
        let mut of_density = 0.0f32;
        if n < used {
            let mut before = 1.0f32;
            if n > first {
                before = out[sample - columns];
            }
            let mut value = distances[n] * grad[row + columns - 1] + grad[row + columns];
            for c in 1..columns - detached {
                value += samples[sample + c] * grad[row + c - 1];
            }
            of_density = step * (after * value - behind);
            behind += (before - after) * value;
        }
        out[sample] = of_density;
    }
}

pub(super) fn backward(
    grad: CubeTensor,
    samples: CubeTensor,
    distances: CubeTensor,
    starts: CubeTensor,
    s: Settings,
) -> CubeTensor {
    let [grad, samples, distances, starts] = [grad, samples, distances, starts].map(contiguous);
    let (shape, [ends]) = (shape_of::<2>(&samples), shape_of::<1>(&starts));
    let out = empty(&samples, shape);
    let (count, dim) = units(&samples, ends - 1);
    let ints = dtype_to_elem_type(starts.dtype);
    backward_kernel::launch(
        &out.client,
        count,
        dim,
        grad.into_buffer_arg(),
        samples.into_buffer_arg(),
        distances.into_buffer_arg(),
        starts.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        s.step,
        shape[1],
        s.detached,
        ints,
    );
    out
}
