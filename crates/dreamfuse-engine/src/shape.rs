//! A shape that is fitted to images: vertices move down the gradient of the squared error, through the rasterizer. Images of the
//! volume have the silhouettes that a mesh should have, those of the prior in the second stage have more.

use burn::tensor::{Device, Int, Tensor, TensorData};
use dreamfuse_core::{Camera, Image};
use dreamfuse_kernels::adam::{Adam, Parameters};
use dreamfuse_kernels::rasterize::{CHANNELS, Faces, rasterize};
use dreamfuse_mesh::{Mesh, Skin, moved};
use dreamfuse_prior::batch_of;
use dreamfuse_scene::ViewSettings;
use std::collections::HashMap;
use std::sync::Arc;

/// How a shape is drawn and held while it moves.
#[derive(Clone, Copy)]
pub(crate) struct Hold {
    /// Side of the images that are drawn, at least: a triangle should be wider than a pixel.
    pub least_side: usize,
    /// Weight beside the mean squared error of the images: neighbours move alike (threestudio's `lambda_laplacian`).
    pub laplacian: f32,
    /// The same: neighbouring triangles face alike (threestudio's `lambda_normal_consistency`).
    pub normals: f32,
}

const ADAM: Adam = Adam {
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    weight_decay: 0.0,
};

/// The vertices while they move.
pub(crate) struct Shape {
    start: Mesh,
    faces: Arc<Faces>,
    /// `[vertices, 3]`, as they were.
    origin: Tensor<2>,
    /// By how much they moved, in a row.
    moves: Parameters,
    /// The vertices of each edge, and its triangles.
    ends: [Tensor<1, Int>; 2],
    sides: [Tensor<1, Int>; 2],
    /// Corners of the triangles.
    corners: [Tensor<1, Int>; 3],
    texture: Tensor<3>,
    hold: Hold,
    step: u64,
}

impl Shape {
    /// Of a model's mesh, white where it has no texture.
    pub(crate) fn of(mesh: &Mesh, skin: Option<&Skin>, hold: Hold) -> Self {
        let device = Device::flex();
        let positions = mesh.positions.as_flattened().to_vec();
        let count = mesh.positions.len();
        let origin = Tensor::from_data(TensorData::new(positions, [count, 3]), &device);
        let ints = |values: Vec<i64>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), &device)
        };
        let triangles = &mesh.triangles;
        let white = || vec![[[0.5; 2]; 3]; triangles.len()];
        let uvs = skin.map_or_else(white, corner_uvs);
        let [from, to, left, right] = edges(triangles).map(ints);
        Self {
            start: mesh.clone(),
            faces: Arc::new(Faces::new(triangles.clone(), uvs)),
            origin,
            moves: Parameters::new(Tensor::zeros([3 * count], &device)),
            ends: [from, to],
            sides: [left, right],
            corners: [0, 1, 2]
                .map(|corner| ints(triangles.iter().map(|t| i64::from(t[corner])).collect())),
            texture: skin.map_or_else(|| Tensor::ones([1, 1, 3], &device), |s| texture(&s.albedo)),
            hold,
            step: 0,
        }
    }

    /// Moves the vertices once, by at most about `rate`, towards where the views show what is `wanted`.
    pub(crate) fn step(&mut self, views: &[ViewSettings], wanted: &[Image], rate: f32) {
        let [count, _] = self.origin.dims();
        let moves = self.moves.values.clone().autodiff().require_grad();
        let by = moves.clone().reshape([count, 3]);
        let positions = self.origin.clone().autodiff() + by.clone();
        let loss = self.image_error(&positions, views, wanted)
            + self.unevenness(by) * self.hold.laplacian
            + self.bending(&positions) * self.hold.normals;
        let grad = moves
            .grad(&loss.backward())
            .expect("the loss depends on them");
        self.step += 1;
        self.moves.sparse_step(ADAM, self.step, rate, grad);
    }

    /// Where the vertices are now.
    pub(crate) fn positions(&self) -> Vec<[f32; 3]> {
        let [count, _] = self.origin.dims();
        let positions = self.origin.clone() + self.moves.values.clone().reshape([count, 3]);
        let positions = positions.into_data().try_to_vec::<f32>();
        let positions = positions.expect("they are f32");
        positions.as_chunks().0.to_vec()
    }

    /// The mesh as it is now, but for triangles that would cross.
    pub(crate) fn into_mesh(self) -> Mesh {
        moved(&self.start, &self.positions())
    }

    /// The texture has changed.
    pub(crate) fn repaint(&mut self, skin: &Skin) {
        self.texture = texture(&skin.albedo);
    }

    /// Mean squared error of the images.
    fn image_error(
        &self,
        positions: &Tensor<2>,
        views: &[ViewSettings],
        wanted: &[Image],
    ) -> Tensor<1> {
        let device = self.origin.device();
        let size = wanted[0].width;
        let part = self.hold.least_side.div_ceil(size);
        let places = views.iter().map(|view| places(positions, &view.camera));
        let places = Tensor::cat(places.collect(), 0);
        let texture = self.texture.clone().autodiff();
        let drawn = rasterize(places, texture, &self.faces, part * size);
        let blocks = drawn.reshape([views.len() * CHANNELS * size, part, size, part]);
        let means = blocks.mean_dim(3).mean_dim(1);
        let drawn = means.reshape([views.len(), CHANNELS, size, size]);
        let color = drawn.clone().slice_dim(1, 0..3);
        let opacity = drawn.slice_dim(1, 3..CHANNELS);
        let backgrounds: Vec<f32> = views.iter().flat_map(|view| view.background).collect();
        let backgrounds = TensorData::new(backgrounds, [views.len(), 3, 1, 1]);
        let backgrounds = Tensor::<4>::from_data(backgrounds, &device).autodiff();
        let wanted = batch_of(wanted, &device).autodiff();
        let image = color + (opacity * -1.0 + 1.0) * backgrounds;
        (image - wanted).powi_scalar(2).mean()
    }

    /// Mean square of what neighbours move apart: the quadratic form of the graph's Laplacian.
    fn unevenness(&self, by: Tensor<2>) -> Tensor<1> {
        let [from, to] = self.ends.clone().map(|index| by.clone().select(0, index));
        (from - to).powi_scalar(2).sum_dim(1).mean()
    }

    /// Mean of one less the cosine between neighbouring triangles' normals.
    fn bending(&self, positions: &Tensor<2>) -> Tensor<1> {
        let corners = self.corners.clone();
        let [a, b, c] = corners.map(|index| positions.clone().select(0, index));
        let normal = cross(b - a.clone(), c - a);
        let length = (normal.clone().powi_scalar(2).sum_dim(1) + 1e-20).sqrt();
        let normal = normal / length;
        let [left, right] = self
            .sides
            .clone()
            .map(|index| normal.clone().select(0, index));
        ((left * right).sum_dim(1) * -1.0 + 1.0).mean()
    }
}

/// Rows' cross products.
fn cross(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let column = |rows: &Tensor<2>, axis: usize| rows.clone().slice_dim(1, axis..axis + 1);
    let of = |i: usize, j: usize| column(&a, i) * column(&b, j) - column(&a, j) * column(&b, i);
    Tensor::cat(vec![of(1, 2), of(2, 0), of(0, 1)], 1)
}

/// `[1, vertices, 3]` as [`Camera::project`] has them: x, y in `[0, 1]`, and depth.
fn places(positions: &Tensor<2>, camera: &Camera) -> Tensor<3> {
    let device = positions.device();
    let row = |values: [f32; 3]| Tensor::<2>::from_data([values], &device);
    let [right, up, forward] = camera.axes();
    let columns = [0, 1, 2].map(|axis| [right[axis], -up[axis], forward[axis]]);
    let from = positions.clone() - row(camera.position().into());
    let local = from.matmul(Tensor::from_data(columns, &device));
    let depth = local.clone().slice_dim(1, 2..3);
    let half = depth.clone() * (0.5 * camera.fov).tan();
    let [x, y] = camera.crop.center;
    let center = Tensor::<2>::from_data([[x, y]], &device);
    let plane = local.slice_dim(1, 0..2) / half - center;
    let places = (plane / camera.crop.scale + 1.0) * 0.5;
    Tensor::cat(vec![places, depth], 1).unsqueeze_dim(0)
}

fn corner_uvs(skin: &Skin) -> Vec<[[f32; 2]; 3]> {
    let triangles = skin.triangles.iter();
    triangles
        .map(|corners| corners.map(|corner| skin.uvs[corner as usize]))
        .collect()
}

fn texture(image: &Image) -> Tensor<3> {
    let values = image.pixels.as_flattened().to_vec();
    let data = TensorData::new(values, [image.height, image.width, 3]);
    Tensor::from_data(data, &Device::flex())
}

/// Both vertices and both triangles of each edge of a closed surface, in the order of the triangles.
fn edges(triangles: &[[u32; 3]]) -> [Vec<i64>; 4] {
    let mut others = HashMap::new();
    for (index, [a, b, c]) in (0i64..).zip(triangles) {
        others.extend([((*a, *b), index), ((*b, *c), index), ((*c, *a), index)]);
    }
    let mut edges: [Vec<i64>; 4] = Default::default();
    for (index, [a, b, c]) in (0i64..).zip(triangles) {
        for (from, to) in [(a, b), (b, c), (c, a)] {
            if let Some(other) = others.get(&(*to, *from))
                && from < to
            {
                let edge = [i64::from(*from), i64::from(*to), index, *other];
                edges
                    .iter_mut()
                    .zip(edge)
                    .for_each(|(list, value)| list.push(value));
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_core::Vec3;

    #[test]
    fn places_are_those_of_the_camera() {
        let camera = Camera {
            roll: 0.2,
            look_at: [0.1, -0.2, 0.05],
            crop: dreamfuse_core::Crop {
                center: [0.1, -0.3],
                scale: 0.6,
            },
            ..Camera::orbit(0.7, 0.4)
        };
        let points = [[0.3, -0.2, 0.5], [-0.6, 0.1, 0.0]];
        let positions = Tensor::<2>::from_data(points, &Device::flex());
        let ours = places(&positions, &camera).into_data();
        let ours = ours.try_to_vec::<f32>().unwrap();
        for (point, ours) in points.iter().zip(ours.as_chunks::<3>().0) {
            let expected = camera.project(Vec3::from(*point)).unwrap();
            for (ours, expected) in ours.iter().zip(expected) {
                assert!((ours - expected).abs() < 1e-5, "{ours:?} {expected:?}");
            }
        }
    }

    #[test]
    fn an_edge_has_two_vertices_and_two_triangles() {
        let tetrahedron = [[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]];
        let [from, to, left, right] = edges(&tetrahedron);
        assert_eq!(from.len(), 6);
        for edge in 0..6 {
            for triangle in [left[edge], right[edge]] {
                let corners = tetrahedron[triangle as usize].map(i64::from);
                assert!(corners.contains(&from[edge]) && corners.contains(&to[edge]));
            }
            assert_ne!(left[edge], right[edge]);
        }
    }
}
