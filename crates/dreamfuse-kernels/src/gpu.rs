//! What the GPU bodies share.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

pub(crate) use burn_cubecl::kernel::into_contiguous as contiguous;

/// A tensor beside another, with contents that are still to be written.
pub(crate) fn empty<const D: usize>(beside: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    empty_device_dtype(
        beside.client.clone(),
        beside.device.clone(),
        shape.into(),
        beside.dtype,
    )
}

/// As [`empty`], of f32 whatever the other's numbers are.
pub(crate) fn empty_f32<const D: usize>(beside: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    empty_device_dtype(
        beside.client.clone(),
        beside.device.clone(),
        shape.into(),
        DType::F32,
    )
}

/// The shape, of known rank.
pub(crate) fn shape_of<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    tensor.shape().dims()
}

/// The launch of one unit for each of `count` pieces of work.
pub(crate) fn units(tensor: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&tensor.client, count);
    (
        calculate_cube_count_elemwise(&tensor.client, count, dim),
        dim,
    )
}

/// The launch of one cube of [`CUBE`] units for each of `count` pieces of work.
pub(crate) fn cubes(count: usize) -> (CubeCount, CubeDim) {
    const WIDEST: usize = 1 << 15;
    let columns = count.min(WIDEST);
    (
        CubeCount::Static(columns as u32, count.div_ceil(columns) as u32, 1),
        CubeDim::new_1d(CUBE as u32),
    )
}

/// Units of a cube that sums.
pub(crate) const CUBE: usize = 64;

/// The sum of a number of each unit of a cube, known to all of them.
#[cube]
pub(crate) fn sum_of_cube(value: f32) -> f32 {
    let mut sums = Shared::<[f32]>::new_slice(CUBE);
    let unit = UNIT_POS as usize;
    sums[unit] = value;
    sync_cube();
    #[unroll]
    for level in 0..6usize {
        let stride = comptime!((CUBE / 2) >> level);
        if unit < stride {
            let other = sums[unit + stride];
            sums[unit] += other;
        }
        sync_cube();
    }
    let total = sums[0];
    // The next sum may use the same memory.
    sync_cube();
    total
}

/// Mean and reciprocal deviation of `members` numbers from `first` on, worked out by a whole cube.
#[cube]
pub(crate) fn statistics<F: Float>(
    input: &[F],
    first: usize,
    members: usize,
    epsilon: f32,
) -> (f32, f32) {
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    for i in range_stepped(unit, members, CUBE) {
        sum += f32::cast_from(input[first + i]);
    }
    let mean = sum_of_cube(sum) / members as f32;
    let mut squares = 0.0f32;
    for i in range_stepped(unit, members, CUBE) {
        let off = f32::cast_from(input[first + i]) - mean;
        squares += off * off;
    }
    let variance = sum_of_cube(squares) / members as f32;
    (mean, 1.0f32 / (variance + epsilon).sqrt())
}

/// `1 / (1 + e^−x)`.
#[cube]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
