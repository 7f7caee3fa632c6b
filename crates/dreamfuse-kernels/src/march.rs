//! Marching rays through an occupancy grid: which points of a ray are worth evaluating.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
mod ray;
pub mod reference;

use crate::cpu::{contiguous, slice_of, tensor_from};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, TensorData};

/// Which cells of the world's box `[−1, 1]³` may hold something: `cells³` of them, x fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupancy {
    cells: usize,
    /// A bit for each cell, the lowest first: a grid of 48³ fits the fastest cache.
    words: Vec<u32>,
}

/// Cells of a word.
const WORD: usize = u32::BITS as usize;

impl Occupancy {
    /// A grid whose cell number `i` is occupied where `is_occupied(i)` says so.
    pub fn new(cells: usize, mut is_occupied: impl FnMut(usize) -> bool) -> Self {
        let mut words = vec![0; cells.pow(3).div_ceil(WORD)];
        (0..cells.pow(3)).for_each(|i| words[i / WORD] |= u32::from(is_occupied(i)) << (i % WORD));
        Self { cells, words }
    }

    /// Cells along a side.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Whether each cell is occupied.
    pub fn iter(&self) -> impl Iterator<Item = bool> {
        (0..self.cells.pow(3)).map(|i| is_set(&self.words, i))
    }

    /// Share of the cells that are occupied.
    pub fn occupied_part(&self) -> f32 {
        let occupied: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        occupied as f32 / self.cells.pow(3) as f32
    }
}

fn is_set(words: &[u32], cell: usize) -> bool {
    words[cell / WORD] >> (cell % WORD) & 1 == 1
}

/// Numbers of a ray: origin, unit direction, and the fraction of a step by which its samples are shifted.
pub const RAY: usize = 7;

/// Points along rays, packed ray after ray.
#[derive(Clone, Debug)]
pub struct Samples {
    /// `[samples, 3]`.
    pub positions: Tensor<2>,
    /// Distance of each sample from its ray's origin, `[samples]`.
    pub distances: Tensor<1>,
    /// `[rays + 1]`: a ray's samples are `starts[r]..starts[r + 1]`.
    pub starts: Tensor<1, Int>,
}

/// Samples of the rays `[rays, RAY]` at distances `(k + jitter) · step`, `k = 0, 1, …`, that lie in occupied cells of the
/// grid. No gradient passes.
pub fn march(rays: Tensor<2>, grid: &Occupancy, step: f32) -> Samples {
    let device = rays.device();
    let words: Vec<i32> = grid.words.iter().map(|word| word.cast_signed()).collect();
    let words = Tensor::<1, Int>::from_data(
        TensorData::new(words, [grid.words.len()]),
        &device.clone().inner(),
    );
    let rays = rays.without_autodiff().into_dispatch();
    let (positions, distances, starts) =
        Dispatch::march_op(rays, words.into_dispatch(), grid.cells, step);
    let (positions, distances) = (
        Tensor::from_dispatch(positions),
        Tensor::from_dispatch(distances),
    );
    Samples {
        positions,
        distances,
        starts: Tensor::from_dispatch(starts),
    }
}

/// The backends that have the operation.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"))]
pub trait MarchBackend: Backend {
    /// See [`march`]: positions, distances and starts.
    fn march_op(
        rays: FloatTensor<Self>,
        words: IntTensor<Self>,
        cells: usize,
        step: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, IntTensor<Self>);
}

impl MarchBackend for Flex {
    fn march_op(
        rays: FloatTensor<Self>,
        words: IntTensor<Self>,
        cells: usize,
        step: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, IntTensor<Self>) {
        let rays = contiguous(rays);
        let wide = |words: &[i64]| words.iter().map(|word| *word as u32).collect();
        let narrow = |words: &[i32]| words.iter().map(|word| word.cast_unsigned()).collect();
        let words: Option<Vec<u32>> = words
            .as_slice()
            .map(wide)
            .or_else(|| words.as_slice().map(narrow));
        let grid = Occupancy {
            cells,
            words: words.expect("words are contiguous integers"),
        };
        let packed = cpu::march(slice_of(&rays).as_chunks().0, &grid, step);
        let (count, ends) = (packed.distances.len(), packed.starts.len());
        let starts = IntTensor::<Self>::from_data(TensorData::new(packed.starts, [ends]));
        (
            tensor_from(packed.positions, [count, 3]),
            tensor_from(packed.distances, [count]),
            starts,
        )
    }
}

#[cfg(feature = "gpu")]
impl MarchBackend for burn_cubecl::CubeBackend {
    fn march_op(
        rays: FloatTensor<Self>,
        words: IntTensor<Self>,
        cells: usize,
        step: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, IntTensor<Self>) {
        gpu::march(rays, words, cells, step)
    }
}

#[cfg(test)]
mod tests;
