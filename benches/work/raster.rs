//! A textured ball through the rasterizer, with the gradients of its vertices and its texture.

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use dreamfuse_kernels::rasterize::{CHANNELS, Faces, PLACE, rasterize};
use std::f32::consts::{PI, TAU};
use std::sync::Arc;

/// Cells of the ball around and from pole to pole: 1,984 triangles.
const AROUND: usize = 32;
const ROWS: usize = 32;
const SIZE: usize = 128;
const SIDE: usize = 256;

pub struct Raster {
    faces: Arc<Faces>,
    places: Tensor<3>,
    texture: Tensor<3>,
    gradient: Tensor<4>,
}

impl Raster {
    pub fn new() -> Self {
        let device = Device::flex().autodiff();
        let corner =
            |row: usize, column: usize| [column as f32 / AROUND as f32, row as f32 / ROWS as f32];
        let place = |[u, v]: [f32; 2]| {
            let (angle, height) = (TAU * u, PI * v);
            let [x, y, z] = [
                height.sin() * angle.cos(),
                height.cos(),
                height.sin() * angle.sin(),
            ];
            [0.5 + 0.35 * x, 0.5 + 0.35 * y, 2.0 + 0.5 * z]
        };
        let vertex = |row: usize, column: usize| (row * AROUND + column % AROUND) as u32;
        let (mut triangles, mut uvs) = (Vec::new(), Vec::new());
        for (row, column) in (0..ROWS).flat_map(|row| (0..AROUND).map(move |column| (row, column)))
        {
            let cell = [
                (row, column),
                (row, column + 1),
                (row + 1, column + 1),
                (row + 1, column),
            ];
            for corners in [[0, 1, 2], [0, 2, 3]] {
                let corners = corners.map(|corner| cell[corner]);
                let is_pole =
                    |end: usize| corners.iter().filter(|(row, _)| *row == end).count() == 2;
                if !is_pole(0) && !is_pole(ROWS) {
                    triangles.push(corners.map(|(row, column)| vertex(row, column)));
                    uvs.push(corners.map(|(row, column)| corner(row, column)));
                }
            }
        }
        let rows = (0..=ROWS).flat_map(|row| (0..AROUND).map(move |column| corner(row, column)));
        let places: Vec<f32> = rows.flat_map(place).collect();
        let shape = [1, places.len() / PLACE, PLACE];
        Self {
            faces: Arc::new(Faces::new(triangles, uvs)),
            places: Tensor::from_data(TensorData::new(places, shape), &device).require_grad(),
            texture: Tensor::random([SIDE, SIDE, 3], Distribution::Default, &device).require_grad(),
            gradient: Tensor::random([1, CHANNELS, SIZE, SIZE], Distribution::Default, &device),
        }
    }

    /// The image and both gradients; returns the number of pixels.
    pub fn step(&self) -> usize {
        let image = rasterize(self.places.clone(), self.texture.clone(), &self.faces, SIZE);
        let grads = (image * self.gradient.clone()).sum().backward();
        assert!(self.places.grad(&grads).is_some() && self.texture.grad(&grads).is_some());
        SIZE * SIZE
    }
}
