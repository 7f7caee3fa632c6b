//! Marching on a GPU with one unit a ray, twice: to count its samples, and to write them. The counts are read in
//! between, because the sizes of all that follows depend on them.

use super::RAY;
use crate::gpu::{contiguous, empty, shape_of, units};
use burn::backend::cubecl::dtype_to_elem_type;
use burn::backend::ops::IntTensorOps;
use burn::tensor::{DType, TensorData};
use burn_cubecl::CubeBackend as B;
use burn_cubecl::ops::into_data_sync;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// See the CPU's.
#[derive(CubeType)]
struct Ray {
    x: f32,
    y: f32,
    z: f32,
    dx: f32,
    dy: f32,
    dz: f32,
    jitter: f32,
}

/// What is at a sample's place, and which number on the ray may be the next.
#[derive(CubeType)]
struct Visit {
    occupied: bool,
    next: u32,
}

/// A component of a direction by which can be divided.
#[cube]
fn divisor(component: f32) -> f32 {
    let mut safe = component;
    if component.abs() < 1e-9f32 {
        safe = 1e-9f32;
    }
    safe
}

#[cube]
fn load(rays: &[f32], ray: usize) -> Ray {
    Ray {
        x: rays[ray * RAY],
        y: rays[ray * RAY + 1],
        z: rays[ray * RAY + 2],
        dx: divisor(rays[ray * RAY + 3]),
        dy: divisor(rays[ray * RAY + 4]),
        dz: divisor(rays[ray * RAY + 5]),
        jitter: rays[ray * RAY + 6],
    }
}

/// Where a ray is between the walls across one axis.
#[cube]
fn between(origin: f32, direction: f32) -> (f32, f32) {
    let (a, b) = (
        (-1.0f32 - origin) / direction,
        (1.0f32 - origin) / direction,
    );
    (a.min(b), a.max(b))
}

/// The distances between which the ray is inside the box; the second is not the larger one where it misses it.
#[cube]
fn inside(ray: &Ray) -> (f32, f32) {
    let (near_x, far_x) = between(ray.x, ray.dx);
    let (near_y, far_y) = between(ray.y, ray.dy);
    let (near_z, far_z) = between(ray.z, ray.dz);
    (
        near_x.max(near_y).max(near_z).max(0.0f32),
        far_x.min(far_y).min(far_z),
    )
}

/// The number of the first sample from a distance on.
#[cube]
fn number(distance: f32, ray: &Ray, step: f32) -> u32 {
    u32::cast_from((distance / step - ray.jitter).ceil().max(0.0f32))
}

#[cube]
fn distance(k: u32, ray: &Ray, step: f32) -> f32 {
    (f32::cast_from(k) + ray.jitter) * step
}

/// A coordinate in cells.
#[cube]
fn scaled(position: f32, cells: u32) -> f32 {
    (position + 1.0f32) * 0.5f32 * f32::cast_from(cells)
}

/// How far a ray stays in a cell, as far as one axis is concerned.
#[cube]
fn to_wall(position: f32, cell: u32, direction: f32, cells: u32) -> f32 {
    let mut ahead = f32::cast_from(cell);
    if direction > 0.0f32 {
        ahead += 1.0f32;
    }
    (ahead * 2.0f32 / f32::cast_from(cells) - 1.0f32 - position) / direction
}

#[cube]
fn visit<I: Int>(ray: &Ray, words: &[I], cells: u32, step: f32, k: u32) -> Visit {
    let at = distance(k, ray, step);
    let (x, y, z) = (
        ray.x + at * ray.dx,
        ray.y + at * ray.dy,
        ray.z + at * ray.dz,
    );
    let (in_x, in_y, in_z) = (scaled(x, cells), scaled(y, cells), scaled(z, cells));
    let lowest = in_x.min(in_y).min(in_z);
    let highest = in_x.max(in_y).max(in_z);
    let mut occupied = false;
    let mut next = k + 1;
    if lowest >= 0.0f32 && highest < f32::cast_from(cells) {
        let (cx, cy, cz) = (
            u32::cast_from(in_x),
            u32::cast_from(in_y),
            u32::cast_from(in_z),
        );
        let cell = cx + cells * (cy + cells * cz);
        let word = u32::cast_from(words[(cell >> 5) as usize]);
        occupied = (word >> (cell & 31)) & 1 == 1;
        if !occupied {
            let to_x = to_wall(x, cx, ray.dx, cells);
            let to_y = to_wall(y, cy, ray.dy, cells);
            let to_z = to_wall(z, cz, ray.dz, cells);
            let jump = to_x.min(to_y).min(to_z).max(0.0f32);
            next = number(at + jump, ray, step).max(next);
        }
    }
    Visit { occupied, next }
}

/// How many samples each ray has.
#[cube(launch)]
fn count_kernel<I: Int>(
    rays: &[f32],
    words: &[I],
    counts: &mut [u32],
    cells: u32,
    step: f32,
    #[define(I)] _ints: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= counts.len() {
        terminate!();
    }
    let ray = load(rays, index);
    let (near, far) = inside(&ray);
    let mut k = number(near, &ray, step);
    let mut count = 0u32;
    while distance(k, &ray, step) < far {
        let seen = visit(&ray, words, cells, step, k);
        if seen.occupied {
            count += 1;
        }
        k = seen.next;
    }
    counts[index] = count;
}

/// Writes each ray's samples from where they start.
#[cube(launch)]
fn write_kernel<I: Int>(
    rays: &[f32],
    words: &[I],
    starts: &[I],
    positions: &mut [f32],
    distances: &mut [f32],
    cells: u32,
    step: f32,
    #[define(I)] _ints: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index + 1 >= starts.len() {
        terminate!();
    }
    let ray = load(rays, index);
    let (near, far) = inside(&ray);
    let mut k = number(near, &ray, step);
    let mut n = usize::cast_from(starts[index]);
    while distance(k, &ray, step) < far {
        let seen = visit(&ray, words, cells, step, k);
        if seen.occupied {
            let at = distance(k, &ray, step);
            distances[n] = at;
            positions[3 * n] = ray.x + at * ray.dx;
            positions[3 * n + 1] = ray.y + at * ray.dy;
            positions[3 * n + 2] = ray.z + at * ray.dz;
            n += 1;
        }
        k = seen.next;
    }
}

pub(super) fn march(
    rays: CubeTensor,
    words: CubeTensor,
    cells: usize,
    step: f32,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let (rays, words) = (contiguous(rays), contiguous(words));
    let [count, _] = shape_of(&rays);
    let ints = dtype_to_elem_type(words.dtype);
    let counts = empty_device_dtype(
        rays.client.clone(),
        rays.device.clone(),
        [count].into(),
        DType::U32,
    );
    let (cubes, dim) = units(&rays, count);
    count_kernel::launch(
        &rays.client,
        cubes.clone(),
        dim,
        rays.clone().into_buffer_arg(),
        words.clone().into_buffer_arg(),
        counts.clone().into_buffer_arg(),
        cells as u32,
        step,
        ints,
    );
    let starts = starts(into_data_sync(counts));
    let total = *starts.last().expect("there is one more than rays") as usize;
    let starts = B::int_from_data(TensorData::new(starts, [count + 1]), &rays.device);
    let starts = B::int_cast(starts, words.dtype.into());
    let (positions, distances) = (empty(&rays, [total, 3]), empty(&rays, [total]));
    if total > 0 {
        write_kernel::launch(
            &rays.client,
            cubes,
            dim,
            rays.clone().into_buffer_arg(),
            words.into_buffer_arg(),
            starts.clone().into_buffer_arg(),
            positions.clone().into_buffer_arg(),
            distances.clone().into_buffer_arg(),
            cells as u32,
            step,
            ints,
        );
    }
    (positions, distances, starts)
}

/// The sums of the counts before each ray, and of all.
fn starts(counts: TensorData) -> Vec<i32> {
    let counts = counts.try_to_vec::<u32>().expect("counts are u32");
    let mut sum = 0;
    let mut starts = vec![0];
    starts.extend(counts.into_iter().map(|count| {
        sum += count.cast_signed();
        sum
    }));
    starts
}
