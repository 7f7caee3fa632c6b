//! 3 × 3 convolution with stride 1 by Winograd's minimal filtering F(4 × 4, 3 × 3) (Lavin and Gray 2015,
//! arXiv:1509.09308): 36 products a tile and pair of channels instead of 144.
//!
//! A tile is 6 × 6 input pixels that give 4 × 4 output pixels. Input and weights are transformed; at each of
//! the 36 points of the transform stands one matrix product over the channels; its result is transformed back.
//! All passes are linear, so the gradient of the weights is the same chain with every transform replaced by
//! its transpose, and the gradient of the input is a convolution with the turned weights.

mod strip;
mod transforms;

use super::Geometry;
use crate::cpu::{Matrix, SharedMut, multiply, vectorized};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;
use strip::Window;
use transforms::{LANES, Lanes, both};

/// Output pixels along a tile's side.
const STEP: usize = 4;
/// Input pixels along a tile's side.
const SIDE: usize = STEP + 2;
/// Points of the transform.
const POINTS: usize = SIDE * SIDE;

/// Transformed numbers that are held at once: small enough to stay near a core, large enough for long products.
const CHUNK_NUMBERS: usize = 1 << 19;

/// Whether the convolution has the form that is computed here, and enough channels to gain by it.
pub(super) fn fits(g: &Geometry) -> bool {
    let wide = |channels: usize| channels.is_multiple_of(LANES) && channels >= 2 * LANES;
    (g.kernel, g.stride) == (3, 1)
        && g.padding <= 2
        && wide(g.channels_in)
        && wide(g.channels_out)
        && g.height.min(g.width) >= STEP
}

/// One side of a convolution: planes `[batch, channels, height, width]` under the common grid of tiles.
#[derive(Clone, Copy)]
struct Planes {
    channels: usize,
    height: usize,
    width: usize,
}

impl Planes {
    fn image(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn groups(&self) -> usize {
        self.channels / LANES
    }
}

/// A convolution from one side to the other, cut into tiles.
#[derive(Clone, Copy)]
struct Pass {
    batch: usize,
    from: Planes,
    to: Planes,
    padding: usize,
}

impl Pass {
    fn new(g: &Geometry) -> Self {
        Self {
            batch: g.batch,
            from: Planes {
                channels: g.channels_in,
                height: g.height,
                width: g.width,
            },
            to: Planes {
                channels: g.channels_out,
                height: g.out_height(),
                width: g.out_width(),
            },
            padding: g.padding,
        }
    }

    /// The pass that takes the gradient of the result to the gradient of the input.
    fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
            padding: 2 - self.padding,
            ..self
        }
    }

    /// Tiles of a row of tiles.
    fn columns(&self) -> usize {
        self.to.width.div_ceil(STEP)
    }

    /// Rows of tiles of one image.
    fn rows(&self) -> usize {
        self.to.height.div_ceil(STEP)
    }

    /// The rows of tiles of all images, in the chunks that are worked on together.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let numbers = self.columns() * POINTS * (self.from.channels + self.to.channels);
        let (rows, all) = ((CHUNK_NUMBERS / numbers).max(1), self.batch * self.rows());
        (0..all)
            .step_by(rows)
            .map(move |first| first..(first + rows).min(all))
    }

    /// Calls `work(row of tiles within the chunk, its image and first output row, group of channels)` for
    /// all of them, on all threads.
    fn for_each_strip(
        &self,
        chunk: Range<usize>,
        groups: usize,
        work: impl Fn(usize, (usize, usize), usize) + Sync,
    ) {
        let at_once = 64usize.div_ceil(self.columns());
        (0..chunk.len() * groups)
            .into_par_iter()
            .with_min_len(at_once)
            .for_each(|index| {
                let (line, group) = (index / groups, index % groups);
                let row = chunk.start + line;
                vectorized(
                    #[inline(always)]
                    || work(line, (row / self.rows(), row % self.rows() * STEP), group),
                );
            });
    }
}

/// Numbers from one point's matrix to the next one's. The points of a tile are written together: a bit more
/// than the matrix keeps them from falling on the same lines of the caches.
fn spacing(rows: usize, channels: usize) -> usize {
    rows * channels + 3 * LANES
}

thread_local! {
    static BUFFERS: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Lends two buffers that outlive the call. They are taken out meanwhile: a thread that waits for others may
/// start another convolution.
fn with_buffers(lengths: [usize; 2], body: impl FnOnce(&mut [f32], &mut [f32])) {
    let mut buffers = BUFFERS.take();
    for (buffer, length) in buffers.iter_mut().zip(lengths) {
        if buffer.len() < length {
            buffer.resize(length, 0.0);
        }
    }
    let [a, b] = &mut buffers;
    body(&mut a[..lengths[0]], &mut b[..lengths[1]]);
    BUFFERS.set(buffers);
}

/// The result, `[batch, channels_out, out_height, out_width]`, from [`transform_weights`].
pub(super) fn forward(g: &Geometry, input: &[f32], transformed: &[f32], bias: &[f32]) -> Vec<f32> {
    let shape = Matrix::rows(g.channels_in, g.channels_out, g.channels_out);
    convolve(&Pass::new(g), input, (transformed, shape), bias)
}

/// The gradient of the input.
pub(super) fn input_grad(g: &Geometry, grad: &[f32], weight: &[f32]) -> Vec<f32> {
    let shape = Matrix::rows(g.channels_in, g.channels_out, g.channels_out).transposed();
    let no_bias = vec![0.0; g.channels_in];
    convolve(
        &Pass::new(g).reversed(),
        grad,
        (&transform_weights(g, weight, true), shape),
        &no_bias,
    )
}

/// The gradient of the weights, `[channels_out, channels_in, 3, 3]`.
pub(super) fn weight_grad(g: &Geometry, grad: &[f32], input: &[f32]) -> Vec<f32> {
    let pass = Pass::new(g);
    let (from, to) = (g.channels_in, g.channels_out);
    let mut sums = vec![0.0; POINTS * from * to];
    for (index, chunk) in pass.chunks().enumerate() {
        let tiles = chunk.len() * pass.columns();
        with_buffers(
            [POINTS * spacing(tiles, from), POINTS * spacing(tiles, to)],
            |inputs, grads| {
                transform_input(&pass, chunk.clone(), input, inputs);
                transform_grad(&pass, chunk, grad, grads);
                let points = inputs
                    .par_chunks(spacing(tiles, from))
                    .zip(grads.par_chunks(spacing(tiles, to)));
                sums.par_chunks_mut(from * to)
                    .zip(points)
                    .for_each(|(sum, (input, grad))| {
                        let input = (input, Matrix::rows(tiles, from, from).transposed());
                        multiply(
                            sum,
                            Matrix::rows(from, to, to),
                            input,
                            (grad, Matrix::rows(tiles, to, to)),
                            index > 0,
                        );
                    });
            },
        );
    }
    weights_from_transformed(g, &sums)
}

/// `weights`: a matrix `[channels from, channels to]` for each point.
fn convolve(p: &Pass, input: &[f32], (weights, shape): (&[f32], Matrix), bias: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; p.batch * p.to.image()];
    let (from, to) = (p.from.channels, p.to.channels);
    for chunk in p.chunks() {
        let tiles = chunk.len() * p.columns();
        with_buffers(
            [POINTS * spacing(tiles, from), POINTS * spacing(tiles, to)],
            |inputs, products| {
                transform_input(p, chunk.clone(), input, inputs);
                let points = inputs
                    .par_chunks(spacing(tiles, from))
                    .zip(weights.par_chunks(from * to));
                products
                    .par_chunks_mut(spacing(tiles, to))
                    .zip(points)
                    .for_each(|(product, (input, weight))| {
                        let input = (input, Matrix::rows(tiles, from, from));
                        multiply(
                            product,
                            Matrix::rows(tiles, to, to),
                            input,
                            (weight, shape),
                            false,
                        );
                    });
                transform_back(p, chunk, products, bias, &mut out);
            },
        );
    }
    out
}

/// Fills `[POINTS, tiles of the chunk, channels]` from the input.
fn transform_input(p: &Pass, chunk: Range<usize>, input: &[f32], out: &mut [f32]) {
    transform_tiles::<SIDE>(
        p,
        chunk,
        (p.from, input, p.padding as isize),
        transforms::input,
        out,
    );
}

/// Fills `[POINTS, tiles of the chunk, channels]` from the gradient of the result.
fn transform_grad(p: &Pass, chunk: Range<usize>, grad: &[f32], out: &mut [f32]) {
    transform_tiles::<STEP>(
        p,
        chunk,
        (p.to, grad, 0),
        transforms::output_transposed,
        out,
    );
}

/// Transforms tiles of `N × N` pixels, [`STEP`] apart; those of an image start at `−padding`.
fn transform_tiles<const N: usize>(
    p: &Pass,
    chunk: Range<usize>,
    (planes, source, padding): (Planes, &[f32], isize),
    transform: impl Fn([Lanes; N]) -> [Lanes; SIDE] + Sync,
    out: &mut [f32],
) {
    let columns = p.columns();
    let width = (columns - 1) * STEP + N;
    let a_point = spacing(chunk.len() * columns, planes.channels);
    let shared = SharedMut::new(out);
    p.for_each_strip(
        chunk,
        planes.groups(),
        #[inline(always)]
        |line, (image, row), group| {
            with_strip(
                N * width,
                #[inline(always)]
                |pixels| {
                    let at = window(planes, row as isize - padding, -padding);
                    strip::load(&source[offset(planes, image, group)..], at, width, pixels);
                    for column in 0..columns {
                        let points = both(
                            #[inline(always)]
                            |i, j| pixels[i * width + column * STEP + j],
                            &transform,
                        );
                        let place = (line * columns + column) * planes.channels + group * LANES;
                        // SAFETY: the pair of tile and group of channels owns these elements of each point.
                        unsafe { scatter(&shared, &points, place, a_point) };
                    }
                },
            );
        },
    );
}

/// Takes `[POINTS, tiles of the chunk, channels]` to the pixels of the chunk's rows.
fn transform_back(p: &Pass, chunk: Range<usize>, products: &[f32], bias: &[f32], out: &mut [f32]) {
    let (planes, columns) = (p.to, p.columns());
    let width = columns * STEP;
    let a_point = spacing(chunk.len() * columns, planes.channels);
    let shared = SharedMut::new(out);
    p.for_each_strip(
        chunk,
        planes.groups(),
        #[inline(always)]
        |line, (image, row), group| {
            with_strip(
                STEP * width,
                #[inline(always)]
                |pixels| {
                    for column in 0..columns {
                        let place = (line * columns + column) * planes.channels + group * LANES;
                        let tile = both(
                            #[inline(always)]
                            |i, j| gather(products, place, a_point, i, j),
                            transforms::output,
                        );
                        for (i, line) in tile.into_iter().enumerate() {
                            *pixels[i * width + column * STEP..]
                                .first_chunk_mut()
                                .expect("inside the strip") = line;
                        }
                    }
                    let start = offset(planes, image, group);
                    let plus = Lanes::load(&bias[group * LANES..]);
                    strip::store(
                        pixels,
                        width,
                        window(planes, row as isize, 0),
                        plus,
                        #[inline(always)]
                        |channel, row| {
                            let from = start + (channel * planes.height + row) * planes.width;
                            // SAFETY: the pair of rows of tiles and group of channels owns these rows of the result.
                            unsafe { shared.part(from, planes.width) }
                        },
                    );
                },
            );
        },
    );
}

/// `[POINTS, channels_in, channels_out]`; with `turned`, of the weights turned by half a turn.
pub(super) fn transform_weights(g: &Geometry, weight: &[f32], turned: bool) -> Vec<f32> {
    let mut out = vec![0.0; POINTS * g.channels_in * g.channels_out];
    let shared = SharedMut::new(&mut out);
    for_each_lanes_of_weights(
        g,
        #[inline(always)]
        |c, o| {
            let points = both(
                #[inline(always)]
                |i, j| {
                    let index = if turned { 8 - (3 * i + j) } else { 3 * i + j };
                    let mut lanes = Lanes::default();
                    for (k, value) in lanes.0.iter_mut().enumerate() {
                        *value = weight[((o + k) * g.channels_in + c) * 9 + index];
                    }
                    lanes
                },
                transforms::weight,
            );
            let place = c * g.channels_out + o;
            // SAFETY: the pair of input channel and group of output channels owns these elements of each point.
            unsafe { scatter(&shared, &points, place, g.channels_in * g.channels_out) };
        },
    );
    out
}

/// The transpose of [`transform_weights`].
fn weights_from_transformed(g: &Geometry, transformed: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; 9 * g.channels_in * g.channels_out];
    let shared = SharedMut::new(&mut out);
    for_each_lanes_of_weights(
        g,
        #[inline(always)]
        |c, o| {
            let place = c * g.channels_out + o;
            let kernel = both(
                #[inline(always)]
                |i, j| gather(transformed, place, g.channels_in * g.channels_out, i, j),
                transforms::weight_transposed,
            );
            for k in 0..LANES {
                // SAFETY: the pair of channels owns its kernel.
                let target = unsafe { shared.part(((o + k) * g.channels_in + c) * 9, 9) };
                for (value, lanes) in target.iter_mut().zip(kernel.iter().flatten()) {
                    *value = lanes.0[k];
                }
            }
        },
    );
    out
}

/// Calls `work(input channel, first output channel)` for each [`LANES`] output channels, on all threads.
fn for_each_lanes_of_weights(g: &Geometry, work: impl Fn(usize, usize) + Sync) {
    (0..g.channels_in)
        .into_par_iter()
        .with_min_len(8)
        .for_each(|c| {
            vectorized(
                #[inline(always)]
                || {
                    for group in 0..g.channels_out / LANES {
                        work(c, group * LANES);
                    }
                },
            );
        });
}

/// Where the planes of an image's group of channels start.
fn offset(planes: Planes, image: usize, group: usize) -> usize {
    image * planes.image() + group * LANES * planes.height * planes.width
}

fn window(planes: Planes, top: isize, left: isize) -> Window {
    Window {
        height: planes.height,
        width: planes.width,
        top,
        left,
    }
}

thread_local! {
    static STRIP: Cell<Vec<Lanes>> = const { Cell::new(Vec::new()) };
}

#[inline(always)]
fn with_strip(length: usize, body: impl FnOnce(&mut [Lanes])) {
    let mut strip = STRIP.take();
    if strip.len() < length {
        strip.resize(length, Lanes::default());
    }
    body(&mut strip[..length]);
    STRIP.set(strip);
}

/// Writes the points of a transform `a_point` numbers apart, from `place` on.
///
/// # Safety
/// No other thread reads or writes these elements at the same time.
#[inline(always)]
unsafe fn scatter(out: &SharedMut, points: &[[Lanes; SIDE]; SIDE], place: usize, a_point: usize) {
    for (index, point) in points.iter().flatten().enumerate() {
        // SAFETY: the contract of this function.
        let target = unsafe { out.part(index * a_point + place, LANES) };
        *target.first_chunk_mut().expect("a lane of numbers") = point.0;
    }
}

/// Reads what [`scatter`] wrote.
#[inline(always)]
fn gather(from: &[f32], place: usize, a_point: usize, i: usize, j: usize) -> Lanes {
    Lanes::load(&from[(i * SIDE + j) * a_point + place..])
}
