//! The field on a GPU: the table is read and its gradient added with one unit a sample and level; the network is
//! matrix products over all samples.

use super::spec::{FEATURES, FieldSpec, Level, MlpLayout, OUTPUTS, PRIMES};
use crate::gpu::{contiguous, empty, shape_of, units};
use burn::backend::TensorMetadata;
use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::tensor::Slice;
use burn_cubecl::CubeBackend as B;
use burn_cubecl::ops::numeric::zeros;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::features::AtomicUsage;
use cubecl::prelude::*;

/// One level, as the kernels are told of it.
#[derive(CubeType, CubeLaunch)]
struct LevelSizes {
    cells: u32,
    /// First row of the table.
    first: u32,
    points: u32,
    /// Number of the level.
    index: u32,
}

/// A sample's cell and how far inside the sample is.
#[derive(CubeType)]
struct Cell {
    x: u32,
    y: u32,
    z: u32,
    along_x: f32,
    along_y: f32,
    along_z: f32,
}

/// One number along each axis.
#[derive(CubeType)]
struct Weights {
    x: f32,
    y: f32,
    z: f32,
}

/// A coordinate in cells.
#[cube]
fn scaled(position: f32, cells: u32) -> f32 {
    (position + 1.0f32) * 0.5f32 * f32::cast_from(cells)
}

/// The cell's lower end.
#[cube]
fn lower(scaled: f32, cells: u32) -> f32 {
    scaled.floor().max(0.0f32).min(f32::cast_from(cells - 1))
}

#[cube]
fn locate_cell(positions: &[f32], n: usize, cells: u32) -> Cell {
    let (x, y, z) = (
        scaled(positions[3 * n], cells),
        scaled(positions[3 * n + 1], cells),
        scaled(positions[3 * n + 2], cells),
    );
    let (low_x, low_y, low_z) = (lower(x, cells), lower(y, cells), lower(z, cells));
    Cell {
        x: u32::cast_from(low_x),
        y: u32::cast_from(low_y),
        z: u32::cast_from(low_z),
        along_x: x - low_x,
        along_y: y - low_y,
        along_z: z - low_z,
    }
}

/// The table's row of a corner: its bits say on which side of the cell it is along x, y and z.
#[cube]
fn row(cell: &Cell, corner: u32, level: &LevelSizes, #[comptime] is_hashed: bool) -> usize {
    let (x, y, z) = (
        cell.x + (corner & 1),
        cell.y + (corner >> 1 & 1),
        cell.z + (corner >> 2 & 1),
    );
    let mut index = x + (level.cells + 1) * (y + (level.cells + 1) * z);
    if is_hashed {
        index = ((x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])) & (level.points - 1);
    }
    (level.first + index) as usize
}

/// −1 for the lower side, 1 for the upper one.
#[cube]
fn sign(side: u32) -> f32 {
    f32::cast_from(side) * 2.0f32 - 1.0f32
}

/// The weight of a side.
#[cube]
fn weight(fraction: f32, side: u32) -> f32 {
    let upper = f32::cast_from(side);
    upper * fraction + (1.0f32 - upper) * (1.0f32 - fraction)
}

#[cube]
fn corner_weights(cell: &Cell, corner: u32) -> Weights {
    Weights {
        x: weight(cell.along_x, corner & 1),
        y: weight(cell.along_y, corner >> 1 & 1),
        z: weight(cell.along_z, corner >> 2 & 1),
    }
}

/// The encoding `[samples, 1, encoding]`; with slopes `[samples, 4, encoding]`, its derivatives behind it.
#[cube(launch)]
fn encode_kernel(
    table: &[f32],
    positions: &[f32],
    encoded: &mut [f32],
    level: LevelSizes,
    #[comptime] width: usize,
    #[comptime] is_hashed: bool,
    #[comptime] with_slopes: bool,
) {
    let n = ABSOLUTE_POS;
    let parts = comptime!(if with_slopes { 4usize } else { 1usize });
    if n * parts * width >= encoded.len() {
        terminate!();
    }
    let cell = locate_cell(positions, n, level.cells);
    let slope = f32::cast_from(level.cells) * 0.5f32;
    #[unroll]
    for f in 0..FEATURES {
        let mut value = 0.0f32;
        let mut by_x = 0.0f32;
        let mut by_y = 0.0f32;
        let mut by_z = 0.0f32;
        #[unroll]
        for corner in 0..8u32 {
            let entry = table[row(&cell, corner, &level, is_hashed) * FEATURES + f];
            let w = corner_weights(&cell, corner);
            value += entry * w.x * w.y * w.z;
            if with_slopes {
                by_x += entry * sign(corner & 1) * w.y * w.z;
                by_y += entry * sign(corner >> 1 & 1) * w.x * w.z;
                by_z += entry * sign(corner >> 2 & 1) * w.x * w.y;
            }
        }
        let at = n * parts * width + level.index as usize * FEATURES + f;
        encoded[at] = value;
        if with_slopes {
            encoded[at + width] = slope * by_x;
            encoded[at + 2 * width] = slope * by_y;
            encoded[at + 3 * width] = slope * by_z;
        }
    }
}

/// What a sample adds to a feature of a corner of its cell. `grad` is laid out as the encoding.
#[cube]
fn contribution(
    grad: &[f32],
    at: usize,
    cell: &Cell,
    corner: u32,
    slope: f32,
    #[comptime] width: usize,
    #[comptime] with_slopes: bool,
) -> f32 {
    let w = corner_weights(cell, corner);
    let mut sum = grad[at] * w.x * w.y * w.z;
    if with_slopes {
        sum += slope * grad[at + width] * sign(corner & 1) * w.y * w.z;
        sum += slope * grad[at + 2 * width] * sign(corner >> 1 & 1) * w.x * w.z;
        sum += slope * grad[at + 3 * width] * sign(corner >> 2 & 1) * w.x * w.y;
    }
    sum
}

/// Adds the gradient of one level to the table's, where the device can add numbers atomically.
#[cube(launch)]
fn scatter_kernel(
    positions: &[f32],
    grad: &[f32],
    out: &[Atomic<f32>],
    level: LevelSizes,
    #[comptime] width: usize,
    #[comptime] is_hashed: bool,
    #[comptime] with_slopes: bool,
) {
    let n = ABSOLUTE_POS;
    let parts = comptime!(if with_slopes { 4usize } else { 1usize });
    if n * parts * width >= grad.len() {
        terminate!();
    }
    let cell = locate_cell(positions, n, level.cells);
    let slope = f32::cast_from(level.cells) * 0.5f32;
    #[unroll]
    for f in 0..FEATURES {
        let at = n * parts * width + level.index as usize * FEATURES + f;
        #[unroll]
        for corner in 0..8u32 {
            let place = row(&cell, corner, &level, is_hashed) * FEATURES + f;
            out[place].fetch_add(contribution(
                grad,
                at,
                &cell,
                corner,
                slope,
                width,
                with_slopes,
            ));
        }
    }
}

/// The same where it can only exchange words. An exchange that fails although the word was the expected one, as a
/// weak one may, would lose a number: no device that it runs on is known to do that.
#[cube(launch)]
fn exchange_kernel(
    positions: &[f32],
    grad: &[f32],
    out: &[Atomic<u32>],
    level: LevelSizes,
    #[comptime] width: usize,
    #[comptime] is_hashed: bool,
    #[comptime] with_slopes: bool,
) {
    let n = ABSOLUTE_POS;
    let parts = comptime!(if with_slopes { 4usize } else { 1usize });
    if n * parts * width >= grad.len() {
        terminate!();
    }
    let cell = locate_cell(positions, n, level.cells);
    let slope = f32::cast_from(level.cells) * 0.5f32;
    #[unroll]
    for f in 0..FEATURES {
        let at = n * parts * width + level.index as usize * FEATURES + f;
        #[unroll]
        for corner in 0..8u32 {
            let place = row(&cell, corner, &level, is_hashed) * FEATURES + f;
            let plus = contribution(grad, at, &cell, corner, slope, width, with_slopes);
            let mut old = out[place].load();
            loop {
                let seen = old;
                old =
                    out[place].compare_exchange_weak(seen, (f32::from_bits(seen) + plus).to_bits());
                if old == seen {
                    break;
                }
            }
        }
    }
}

fn sizes((index, level): (usize, &Level)) -> LevelSizesLaunch {
    LevelSizesLaunch::new(
        level.cells as u32,
        level.first as u32,
        level.points as u32,
        index as u32,
    )
}

/// The encodings of all positions, `[samples, 1 or 4, encoding]`.
fn encode(
    spec: &FieldSpec,
    table: &CubeTensor,
    positions: &CubeTensor,
    with_slopes: bool,
) -> CubeTensor {
    let ([samples, _], parts) = (shape_of(positions), if with_slopes { 4 } else { 1 });
    let encoded = empty(positions, [samples, parts, spec.encoding()]);
    for level in spec.layout().iter().enumerate() {
        let (count, dim) = units(&encoded, samples);
        encode_kernel::launch(
            &encoded.client,
            count,
            dim,
            table.clone().into_buffer_arg(),
            positions.clone().into_buffer_arg(),
            encoded.clone().into_buffer_arg(),
            sizes(level),
            spec.encoding(),
            level.1.is_hashed,
            with_slopes,
        );
    }
    encoded
}

/// The table's gradient from that of the encodings.
fn scatter(
    spec: &FieldSpec,
    positions: &CubeTensor,
    grad: &CubeTensor,
    with_slopes: bool,
) -> CubeTensor {
    let [samples, _] = shape_of(positions);
    let out = zeros(
        grad.device.clone(),
        [spec.table_points(), FEATURES].into(),
        grad.dtype,
    );
    let atomics = out
        .client
        .properties()
        .atomic_type_usage(Type::atomic(f32::elem_type_native()));
    let launch = if atomics.contains(AtomicUsage::Add) {
        scatter_kernel::launch
    } else {
        exchange_kernel::launch
    };
    for level in spec.layout().iter().enumerate() {
        let (count, dim) = units(&out, samples);
        launch(
            &out.client,
            count,
            dim,
            positions.clone().into_buffer_arg(),
            grad.clone().into_buffer_arg(),
            out.clone().into_buffer_arg(),
            sizes(level),
            spec.encoding(),
            level.1.is_hashed,
            with_slopes,
        );
    }
    out
}

/// The network's layers as matrices.
struct Layers {
    /// `[encoding, hidden]`.
    w1: CubeTensor,
    /// `[1, hidden]`.
    b1: CubeTensor,
    /// `[hidden, OUTPUTS]`.
    w2: CubeTensor,
    /// `[1, OUTPUTS]`.
    b2: CubeTensor,
}

impl Layers {
    fn new(spec: &FieldSpec, mlp: &CubeTensor) -> Self {
        let MlpLayout { w1, b1, w2, b2 } = spec.mlp_layout();
        let layer = |range: std::ops::Range<usize>, columns: usize| {
            let shape = [range.len() / columns, columns];
            B::float_reshape(B::float_slice(mlp.clone(), &[range.into()]), shape.into())
        };
        Self {
            w1: layer(w1, spec.hidden),
            b1: layer(b1, spec.hidden),
            w2: layer(w2, OUTPUTS),
            b2: layer(b2, OUTPUTS),
        }
    }

    /// The density's weights `[1, hidden]`.
    fn density(&self) -> CubeTensor {
        turned(part(&self.w2, 1, 0..1))
    }
}

fn turned(x: CubeTensor) -> CubeTensor {
    B::float_swap_dims(x, 0, 1)
}

/// A range of one dimension.
fn part(x: &CubeTensor, dim: usize, range: std::ops::Range<usize>) -> CubeTensor {
    let whole = x.shape();
    let slices: Vec<Slice> = (0..whole.num_dims())
        .map(|d| {
            if d == dim {
                range.clone().into()
            } else {
                (0..whole[d]).into()
            }
        })
        .collect();
    B::float_slice(x.clone(), &slices)
}

/// Part `index` of the encodings, `[samples, encoding]`.
fn plane(encoded: &CubeTensor, index: usize) -> CubeTensor {
    let [samples, _, width] = shape_of(encoded);
    B::float_reshape(part(encoded, 1, index..index + 1), [samples, width].into())
}

/// The hidden layer after the ReLU, and 1 where it is above 0.
fn hidden(layers: &Layers, encoding: CubeTensor) -> (CubeTensor, CubeTensor) {
    let before = B::float_add(
        B::float_matmul(encoding, layers.w1.clone()),
        layers.b1.clone(),
    );
    let active = <B as ActivationOps<B>>::relu(before);
    (active.clone(), B::float_sign(active))
}

pub(super) fn forward(
    spec: &FieldSpec,
    table: CubeTensor,
    mlp: CubeTensor,
    positions: CubeTensor,
    with_gradient: bool,
) -> (CubeTensor, CubeTensor) {
    let [table, mlp, positions] = [table, mlp, positions].map(contiguous);
    let encoded = encode(spec, &table, &positions, with_gradient);
    let layers = Layers::new(spec, &mlp);
    let (active, step) = hidden(&layers, plane(&encoded, 0));
    let out = B::float_add(
        B::float_matmul(active, layers.w2.clone()),
        layers.b2.clone(),
    );
    if !with_gradient {
        return (out, encoded);
    }
    let adjoint = adjoint(&layers, step);
    let by_axis =
        |d: usize| B::float_sum_dim(B::float_mul(adjoint.clone(), plane(&encoded, 1 + d)), 1);
    (
        B::float_cat(vec![out, by_axis(0), by_axis(1), by_axis(2)], 1),
        encoded,
    )
}

/// ∂density/∂encoding, `[samples, encoding]`.
fn adjoint(layers: &Layers, step: CubeTensor) -> CubeTensor {
    B::float_matmul(
        B::float_mul(step, layers.density()),
        turned(layers.w1.clone()),
    )
}

/// Gradients of table and network; see the CPU's body for the part that comes from the density's gradient.
pub(super) fn backward(
    spec: &FieldSpec,
    grad: CubeTensor,
    mlp: CubeTensor,
    positions: CubeTensor,
    encoded: CubeTensor,
    with_gradient: bool,
) -> (CubeTensor, CubeTensor) {
    let [grad, mlp, positions] = [grad, mlp, positions].map(contiguous);
    let layers = Layers::new(spec, &mlp);
    let encoding = plane(&encoded, 0);
    let (active, step) = hidden(&layers, encoding.clone());
    let of_out = part(&grad, 1, 0..OUTPUTS);
    let mut of_w2 = B::float_matmul(turned(active), of_out.clone());
    let of_b2 = B::float_sum_dim(of_out.clone(), 0);
    let of_hidden = B::float_mul(
        B::float_matmul(of_out, turned(layers.w2.clone())),
        step.clone(),
    );
    let mut of_w1 = B::float_matmul(turned(encoding), of_hidden.clone());
    let of_b1 = B::float_sum_dim(of_hidden.clone(), 0);
    let mut of_encoded = vec![B::float_matmul(of_hidden, turned(layers.w1.clone()))];
    if with_gradient {
        let by_axis = |d: usize| part(&grad, 1, OUTPUTS + d..OUTPUTS + d + 1);
        let along = (0..3).map(|d| B::float_mul(by_axis(d), plane(&encoded, 1 + d)));
        let along = along.reduce(B::float_add).expect("three axes");
        let tangent = B::float_mul(
            B::float_matmul(along.clone(), layers.w1.clone()),
            step.clone(),
        );
        let of_density = turned(B::float_sum_dim(tangent, 0));
        let others = part(&of_w2, 1, 1..OUTPUTS);
        of_w2 = B::float_cat(
            vec![B::float_add(part(&of_w2, 1, 0..1), of_density), others],
            1,
        );
        let density = B::float_mul(step.clone(), layers.density());
        of_w1 = B::float_add(of_w1, B::float_matmul(turned(along), density));
        let adjoint = adjoint(&layers, step);
        of_encoded.extend((0..3).map(|d| B::float_mul(adjoint.clone(), by_axis(d))));
    }
    let flat = |x: CubeTensor| {
        let [rows, columns] = shape_of(&x);
        B::float_reshape(x, [rows * columns].into())
    };
    let of_mlp = B::float_cat([of_w1, of_b1, of_w2, of_b2].map(flat).to_vec(), 0);
    // One part after the other in each sample's row: the layout of the encodings.
    let of_encoded = contiguous(B::float_cat(of_encoded, 1));
    (
        scatter(spec, &positions, &of_encoded, with_gradient),
        of_mlp,
    )
}
