//! The surface with one unit a sample where it is unlit, and one a ray where it is lit.

use super::{ALBEDO, LIGHT, LIT, Settings};
use crate::field::{OUTPUTS, OUTPUTS_WITH_GRADIENT};
use crate::gpu::{contiguous, empty, shape_of, sigmoid, units};
use burn::backend::cubecl::dtype_to_elem_type;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Distance from the origin of position `n`.
#[cube]
fn radius(positions: &[f32], n: usize) -> f32 {
    let (x, y, z) = (positions[3 * n], positions[3 * n + 1], positions[3 * n + 2]);
    (x * x + y * y + z * z + 1e-12f32).sqrt()
}

/// `ln(1 + e^x)` without overflow.
#[cube]
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().log1p()
}

#[cube(launch)]
fn albedo_kernel(
    raw: &[f32],
    positions: &[f32],
    out: &mut [f32],
    blob: f32,
    slope: f32,
    scale: f32,
) {
    let n = ABSOLUTE_POS;
    if n * ALBEDO >= out.len() {
        terminate!();
    }
    out[n * ALBEDO] = scale * softplus(raw[n * OUTPUTS] + blob + slope * radius(positions, n));
    #[unroll]
    for c in 1..ALBEDO {
        out[n * ALBEDO + c] = sigmoid(raw[n * OUTPUTS + c]);
    }
}

#[cube(launch)]
fn albedo_backward_kernel(
    grad: &[f32],
    raw: &[f32],
    positions: &[f32],
    out: &mut [f32],
    blob: f32,
    slope: f32,
    scale: f32,
) {
    let n = ABSOLUTE_POS;
    if n * OUTPUTS >= out.len() {
        terminate!();
    }
    let density = raw[n * OUTPUTS] + blob + slope * radius(positions, n);
    out[n * OUTPUTS] = grad[n * ALBEDO] * scale * sigmoid(density);
    #[unroll]
    for c in 1..ALBEDO {
        let a = sigmoid(raw[n * OUTPUTS + c]);
        out[n * OUTPUTS + c] = grad[n * ALBEDO + c] * a * (1.0 - a);
    }
}

/// What shading a sample needs on either way.
#[derive(CubeType)]
struct Shaded {
    /// Raw density with the start's.
    density: f32,
    /// Gradient of the raw density and its length.
    x: f32,
    y: f32,
    z: f32,
    length: f32,
    /// Unit vector to the light.
    to_x: f32,
    to_y: f32,
    to_z: f32,
    cosine: f32,
    irradiance: f32,
    /// `max(0, n · v)`.
    away: f32,
}

#[cube]
fn shade(
    raw: &[f32],
    positions: &[f32],
    lights: &[f32],
    directions: &[f32],
    #[comptime] columns: usize,
    n: usize,
    light: usize,
    ray: usize,
    blob: f32,
    slope: f32,
) -> Shaded {
    let distance = radius(positions, n);
    let at = n * columns;
    let x = raw[at + 4] + slope * positions[3 * n] / distance;
    let y = raw[at + 5] + slope * positions[3 * n + 1] / distance;
    let z = raw[at + 6] + slope * positions[3 * n + 2] / distance;
    let length = (x * x + y * y + z * z + 1e-6f32).sqrt();
    let to_x = lights[light] - positions[3 * n];
    let to_y = lights[light + 1] - positions[3 * n + 1];
    let to_z = lights[light + 2] - positions[3 * n + 2];
    let far = (to_x * to_x + to_y * to_y + to_z * to_z).sqrt();
    let cosine = -(x * to_x + y * to_y + z * to_z) / (length * far);
    let along = x * directions[3 * ray] + y * directions[3 * ray + 1] + z * directions[3 * ray + 2];
    Shaded {
        density: raw[at] + blob + slope * distance,
        x,
        y,
        z,
        length,
        to_x: to_x / far,
        to_y: to_y / far,
        to_z: to_z / far,
        cosine,
        irradiance: lights[light + 3] + lights[light + 4] * cosine.max(0.0),
        away: (-along / length).max(0.0),
    }
}

#[cube(launch)]
fn lit_kernel<I: Int>(
    raw: &[f32],
    positions: &[f32],
    starts: &[I],
    directions: &[f32],
    lights: &[f32],
    out: &mut [f32],
    blob: f32,
    slope: f32,
    scale: f32,
    rays_a_view: u32,
    #[define(I)] _ints: ElemType,
) {
    let ray = ABSOLUTE_POS;
    if ray + 1 >= starts.len() {
        terminate!();
    }
    let light = ray / rays_a_view as usize * LIGHT;
    let white = lights[light + 5];
    for n in usize::cast_from(starts[ray])..usize::cast_from(starts[ray + 1]) {
        let s = shade(
            raw,
            positions,
            lights,
            directions,
            OUTPUTS_WITH_GRADIENT,
            n,
            light,
            ray,
            blob,
            slope,
        );
        out[n * LIT] = scale * softplus(s.density);
        #[unroll]
        for c in 1..ALBEDO {
            let a = sigmoid(raw[n * OUTPUTS_WITH_GRADIENT + c]);
            out[n * LIT + c] = (a * (1.0 - white) + white) * s.irradiance;
        }
        out[n * LIT + 4] = s.away * s.away;
    }
}

#[cube(launch)]
fn lit_backward_kernel<I: Int>(
    grad: &[f32],
    raw: &[f32],
    positions: &[f32],
    starts: &[I],
    directions: &[f32],
    lights: &[f32],
    out: &mut [f32],
    blob: f32,
    slope: f32,
    scale: f32,
    rays_a_view: u32,
    #[define(I)] _ints: ElemType,
) {
    let ray = ABSOLUTE_POS;
    if ray + 1 >= starts.len() {
        terminate!();
    }
    let light = ray / rays_a_view as usize * LIGHT;
    let white = lights[light + 5];
    for n in usize::cast_from(starts[ray])..usize::cast_from(starts[ray + 1]) {
        let s = shade(
            raw,
            positions,
            lights,
            directions,
            OUTPUTS_WITH_GRADIENT,
            n,
            light,
            ray,
            blob,
            slope,
        );
        let at = n * OUTPUTS_WITH_GRADIENT;
        out[at] = grad[n * LIT] * scale * sigmoid(s.density);
        let mut of_irradiance = 0.0f32;
        #[unroll]
        for c in 1..ALBEDO {
            let a = sigmoid(raw[at + c]);
            let g = grad[n * LIT + c];
            of_irradiance += g * (a * (1.0 - white) + white);
            out[at + c] = g * s.irradiance * (1.0 - white) * a * (1.0 - a);
        }
        let mut of_cosine = 0.0f32;
        if s.cosine > 0.0 {
            of_cosine = of_irradiance * lights[light + 4];
        }
        let of_facing = 2.0 * grad[n * LIT + 4] * s.away;
        let g_x = of_cosine * s.to_x + of_facing * directions[3 * ray];
        let g_y = of_cosine * s.to_y + of_facing * directions[3 * ray + 1];
        let g_z = of_cosine * s.to_z + of_facing * directions[3 * ray + 2];
        let along = (s.x * g_x + s.y * g_y + s.z * g_z) / (s.length * s.length);
        out[at + 4] = (s.x * along - g_x) / s.length;
        out[at + 5] = (s.y * along - g_y) / s.length;
        out[at + 6] = (s.z * along - g_z) / s.length;
    }
}

/// The start's slope.
fn slope(s: &Settings) -> f32 {
    -s.blob / s.blob_radius
}

/// [`Lighting`](super::Lighting)'s tensors.
pub(super) type Rays = [CubeTensor; 3];

pub(super) fn forward(
    raw: CubeTensor,
    positions: CubeTensor,
    rays: Rays,
    s: Settings,
) -> CubeTensor {
    let ([raw, positions], [starts, directions, lights]) =
        ([raw, positions].map(contiguous), rays.map(contiguous));
    let [samples, columns] = shape_of(&raw);
    if columns == OUTPUTS {
        let out = empty(&raw, [samples, ALBEDO]);
        let (count, dim) = units(&out, samples);
        albedo_kernel::launch(
            &out.client,
            count,
            dim,
            raw.into_buffer_arg(),
            positions.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            s.blob,
            slope(&s),
            s.density_scale,
        );
        return out;
    }
    let out = empty(&raw, [samples, LIT]);
    let ([ends], [views, _]) = (shape_of::<1>(&starts), shape_of::<2>(&lights));
    let (count, dim) = units(&out, ends - 1);
    let ints = dtype_to_elem_type(starts.dtype);
    lit_kernel::launch(
        &out.client,
        count,
        dim,
        raw.into_buffer_arg(),
        positions.into_buffer_arg(),
        starts.into_buffer_arg(),
        directions.into_buffer_arg(),
        lights.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        s.blob,
        slope(&s),
        s.density_scale,
        ((ends - 1) / views) as u32,
        ints,
    );
    out
}

pub(super) fn backward(
    grad: CubeTensor,
    raw: CubeTensor,
    positions: CubeTensor,
    rays: Rays,
    s: Settings,
) -> CubeTensor {
    let [grad, raw, positions] = [grad, raw, positions].map(contiguous);
    let [starts, directions, lights] = rays.map(contiguous);
    let [samples, columns] = shape_of(&raw);
    let out = empty(&raw, [samples, columns]);
    if columns == OUTPUTS {
        let (count, dim) = units(&out, samples);
        albedo_backward_kernel::launch(
            &out.client,
            count,
            dim,
            grad.into_buffer_arg(),
            raw.into_buffer_arg(),
            positions.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            s.blob,
            slope(&s),
            s.density_scale,
        );
        return out;
    }
    let ([ends], [views, _]) = (shape_of::<1>(&starts), shape_of::<2>(&lights));
    let (count, dim) = units(&out, ends - 1);
    let ints = dtype_to_elem_type(starts.dtype);
    lit_backward_kernel::launch(
        &out.client,
        count,
        dim,
        grad.into_buffer_arg(),
        raw.into_buffer_arg(),
        positions.into_buffer_arg(),
        starts.into_buffer_arg(),
        directions.into_buffer_arg(),
        lights.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        s.blob,
        slope(&s),
        s.density_scale,
        ((ends - 1) / views) as u32,
        ints,
    );
    out
}
