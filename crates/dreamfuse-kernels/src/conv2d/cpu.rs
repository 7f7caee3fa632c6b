//! Convolution as matrix products over tiles of output rows: the input patches of a tile are laid
//! out as the columns of a matrix that stays in cache (im2col), and multiplied with the weights.

use crate::cpu::{Matrix, SharedMut, multiply, multiply_at, sum, vectorized};
use rayon::prelude::*;
use std::cell::RefCell;

/// Sizes of a convolution with a square kernel.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub batch: usize,
    pub channels_in: usize,
    pub channels_out: usize,
    pub height: usize,
    pub width: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

/// Elements of a patch matrix: about what a core's second-level cache holds beside the operands.
const TILE_ELEMENTS: usize = 64 * 1024;

/// Into this many partial sums the batch is folded for the gradient of the weights, whatever the
/// number of threads.
const WEIGHT_GRAD_PARTS: usize = 16;

thread_local! {
    static PATCHES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Geometry {
    /// Height of the result.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Width of the result.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Elements of a patch: rows of the patch matrix.
    fn patch(&self) -> usize {
        self.channels_in * self.kernel * self.kernel
    }

    fn out_area(&self) -> usize {
        self.out_height() * self.out_width()
    }

    fn in_image(&self) -> usize {
        self.channels_in * self.height * self.width
    }

    fn out_image(&self) -> usize {
        self.channels_out * self.out_area()
    }

    /// The input itself is the patch matrix.
    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// Output rows of a tile.
    fn tile_rows(&self) -> usize {
        (TILE_ELEMENTS / (self.patch() * self.out_width())).clamp(1, self.out_height())
    }

    /// `(first row, rows)` of each tile.
    fn tiles(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (rows, height) = (self.tile_rows(), self.out_height());
        (0..height)
            .step_by(rows)
            .map(move |first| (first, rows.min(height - first)))
    }

    /// The input row that kernel row `i` meets at output row `y`.
    fn input_row(&self, y: usize, i: usize) -> Option<usize> {
        (y * self.stride + i)
            .checked_sub(self.padding)
            .filter(|&row| row < self.height)
    }

    /// The output columns `from..to` at which kernel column `j` meets the input, at column
    /// `x · stride + j − padding`.
    fn meeting_columns(&self, j: usize) -> (usize, usize) {
        let from = self.padding.saturating_sub(j).div_ceil(self.stride);
        let past = (self.width + self.padding)
            .saturating_sub(j)
            .div_ceil(self.stride);
        let to = past.min(self.out_width());
        (from.min(to), to)
    }
}

/// The result, `[batch, channels_out, out_height, out_width]`.
pub(super) fn forward(g: &Geometry, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; g.batch * g.out_image()];
    let shared = SharedMut::new(&mut out);
    let tiles: Vec<_> = (0..g.batch)
        .flat_map(|b| g.tiles().map(move |tile| (b, tile)))
        .collect();
    tiles.into_par_iter().for_each(|(b, (first, rows))| {
        let image = &input[b * g.in_image()..][..g.in_image()];
        let (start, pixels) = (first * g.out_width(), rows * g.out_width());
        with_patches(g, image, first, rows, |patches, shape| {
            let from = b * g.out_image() + start;
            for (o, value) in bias.iter().enumerate() {
                // SAFETY: tiles of an image own different pixels of each channel.
                unsafe { shared.part(from + o * g.out_area(), pixels) }.fill(*value);
            }
            let out_shape = Matrix::rows(g.channels_out, pixels, g.out_area());
            let place = shared.place(from, (g.channels_out - 1) * g.out_area() + pixels);
            let weight = (weight, Matrix::rows(g.channels_out, g.patch(), g.patch()));
            // SAFETY: the same pixels, inside the result by the assertion of `place`.
            unsafe { multiply_at(place, out_shape, weight, (patches, shape), true) }
        });
    });
    out
}

/// The gradient of the input: patches of the gradient are `weightᵀ · grad`, added where they were taken.
pub(super) fn input_grad(g: &Geometry, grad: &[f32], weight: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; g.batch * g.in_image()];
    let weight_shape = Matrix::rows(g.channels_out, g.patch(), g.patch()).transposed();
    out.par_chunks_mut(g.in_image())
        .zip(grad.par_chunks(g.out_image()))
        .for_each(|(image, grad)| {
            if g.is_pointwise() {
                let shape = Matrix::rows(g.channels_in, g.out_area(), g.out_area());
                let grad_shape = Matrix::rows(g.channels_out, g.out_area(), g.out_area());
                multiply(
                    image,
                    shape,
                    (weight, weight_shape),
                    (grad, grad_shape),
                    false,
                );
                return;
            }
            for (first, rows) in g.tiles() {
                let pixels = rows * g.out_width();
                let grad_shape = Matrix::rows(g.channels_out, pixels, g.out_area());
                with_scratch(g.patch() * pixels, |patches| {
                    let shape = Matrix::rows(g.patch(), pixels, pixels);
                    multiply(
                        patches,
                        shape,
                        (weight, weight_shape),
                        (&grad[first * g.out_width()..], grad_shape),
                        false,
                    );
                    add_patches(g, patches, image, first, rows);
                });
            }
        });
    out
}

/// The gradient of the bias.
pub(super) fn bias_grad(g: &Geometry, grad: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0; g.channels_out];
    sums.par_iter_mut().enumerate().for_each(|(o, total)| {
        vectorized(
            #[inline(always)]
            || {
                for image in grad.chunks_exact(g.out_image()) {
                    *total += sum(&image[o * g.out_area()..][..g.out_area()], |v| v);
                }
            },
        );
    });
    sums
}

/// The gradient of the weights.
pub(super) fn weight_grad(g: &Geometry, grad: &[f32], input: &[f32]) -> Vec<f32> {
    let weights = g.channels_out * g.patch();
    sum_over_images(g, weights, grad, input, |grad, image, sums| {
        add_image_weight_grad(g, grad, image, sums);
    })
}

/// Sums `length` values over a batch. `add_image` adds those of an image, from its part of the result's gradient.
pub(super) fn sum_over_images(
    g: &Geometry,
    length: usize,
    grad: &[f32],
    input: &[f32],
    add_image: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let images_a_part = g.batch.div_ceil(WEIGHT_GRAD_PARTS).max(1);
    let partial = |first: usize| {
        let mut sums = vec![0.0; length];
        for b in first..(first + images_a_part).min(g.batch) {
            let image = &input[b * g.in_image()..][..g.in_image()];
            let grad = &grad[b * g.out_image()..][..g.out_image()];
            add_image(grad, image, &mut sums);
        }
        sums
    };
    let parts: Vec<_> = (0..g.batch)
        .into_par_iter()
        .step_by(images_a_part)
        .map(partial)
        .collect();
    let add = |mut sum: Vec<f32>, part: Vec<f32>| {
        sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
        sum
    };
    parts
        .into_iter()
        .reduce(add)
        .unwrap_or_else(|| vec![0.0; length])
}

fn add_image_weight_grad(g: &Geometry, grad: &[f32], image: &[f32], sums: &mut [f32]) {
    for (first, rows) in g.tiles() {
        let pixels = rows * g.out_width();
        let grad = &grad[first * g.out_width()..];
        with_patches(g, image, first, rows, |patches, shape| {
            let grad_shape = Matrix::rows(g.channels_out, pixels, g.out_area());
            let out_shape = Matrix::rows(g.channels_out, g.patch(), g.patch());
            multiply(
                sums,
                out_shape,
                (grad, grad_shape),
                (patches, shape.transposed()),
                true,
            );
        });
    }
}

/// Calls `body` with the patch matrix `[patch, rows · out_width]` of a tile and its layout.
fn with_patches(
    g: &Geometry,
    image: &[f32],
    first: usize,
    rows: usize,
    body: impl FnOnce(&[f32], Matrix),
) {
    let pixels = rows * g.out_width();
    if g.is_pointwise() {
        body(
            &image[first * g.width..],
            Matrix::rows(g.channels_in, pixels, g.height * g.width),
        );
        return;
    }
    with_scratch(g.patch() * pixels, |patches| {
        gather_patches(g, image, patches, first, rows);
        body(patches, Matrix::rows(g.patch(), pixels, pixels));
    });
}

fn with_scratch(length: usize, body: impl FnOnce(&mut [f32])) {
    PATCHES.with_borrow_mut(|scratch| {
        if scratch.len() < length {
            scratch.resize(length, 0.0);
        }
        body(&mut scratch[..length]);
    });
}

fn gather_patches(g: &Geometry, image: &[f32], patches: &mut [f32], first: usize, rows: usize) {
    let out_width = g.out_width();
    for (index, matrix_row) in patches.chunks_exact_mut(rows * out_width).enumerate() {
        let (c, i, j) = split(g, index);
        let (from, to) = g.meeting_columns(j);
        for (y, line) in matrix_row.chunks_exact_mut(out_width).enumerate() {
            let Some(row) = g.input_row(first + y, i) else {
                line.fill(0.0);
                continue;
            };
            let source = &image[(c * g.height + row) * g.width..][..g.width];
            line[..from].fill(0.0);
            line[to..].fill(0.0);
            let start = from * g.stride + j - g.padding;
            if g.stride == 1 {
                line[from..to].copy_from_slice(&source[start..start + to - from]);
            } else {
                for (value, from_source) in line[from..to]
                    .iter_mut()
                    .zip(source[start..].iter().step_by(g.stride))
                {
                    *value = *from_source;
                }
            }
        }
    }
}

/// The adjoint of [`gather_patches`].
fn add_patches(g: &Geometry, patches: &[f32], image: &mut [f32], first: usize, rows: usize) {
    let out_width = g.out_width();
    for (index, matrix_row) in patches.chunks_exact(rows * out_width).enumerate() {
        let (c, i, j) = split(g, index);
        let (from, to) = g.meeting_columns(j);
        for (y, line) in matrix_row.chunks_exact(out_width).enumerate() {
            let Some(row) = g.input_row(first + y, i) else {
                continue;
            };
            let target = &mut image[(c * g.height + row) * g.width..][..g.width];
            let start = from * g.stride + j - g.padding;
            if g.stride == 1 {
                target[start..start + to - from]
                    .iter_mut()
                    .zip(&line[from..to])
                    .for_each(|(t, v)| *t += v);
            } else {
                target[start..]
                    .iter_mut()
                    .step_by(g.stride)
                    .zip(&line[from..to])
                    .for_each(|(t, v)| *t += v);
            }
        }
    }
}

/// Channel and kernel row and column of a row of the patch matrix.
fn split(g: &Geometry, index: usize) -> (usize, usize, usize) {
    let area = g.kernel * g.kernel;
    (index / area, index % area / g.kernel, index % g.kernel)
}
