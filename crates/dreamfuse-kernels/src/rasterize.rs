//! Images of a textured mesh, differentiable in its vertices and its texture (Laine et al. 2020, "Modular Primitives for
//! High-Performance Differentiable Rendering"). What a pixel shows has gradients by way of the texture. Where a silhouette passes
//! between two pixels, they are blended by its place: that is where shapes have gradients. On a CPU alone.

mod cpu;
pub mod reference;

use crate::cpu::{contiguous, shape_of, slice_of, tensor_from};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use std::collections::HashMap;
use std::sync::Arc;

/// Values of a pixel: red, green, blue, coverage.
pub const CHANNELS: usize = 4;
/// Values of a vertex in a view: its place in the image and its depth.
pub const PLACE: usize = 3;
/// Vertices that are nearer to the camera's plane, or behind it, take their triangles away.
const NEAREST: f32 = 1e-3;

/// What of a mesh does not move.
#[derive(Debug)]
pub struct Faces {
    triangles: Vec<[u32; 3]>,
    /// Of a triangle's corners, in `[0, 1]`, v downwards.
    uvs: Vec<[[f32; 2]; 3]>,
    /// Beyond the edge from corner k to the next one: the third corner of the triangle there.
    across: Vec<[Option<u32>; 3]>,
}

impl Faces {
    /// Of triangles with the texture coordinates of their corners.
    ///
    /// # Panics
    /// When there are not as many of both.
    pub fn new(triangles: Vec<[u32; 3]>, uvs: Vec<[[f32; 2]; 3]>) -> Self {
        assert_eq!(triangles.len(), uvs.len(), "each triangle has coordinates");
        let mut third = HashMap::new();
        for [a, b, c] in &triangles {
            third.extend([((*a, *b), *c), ((*b, *c), *a), ((*c, *a), *b)]);
        }
        let across = triangles.iter().map(|[a, b, c]| {
            [(b, a), (c, b), (a, c)].map(|(from, to)| third.get(&(*from, *to)).copied())
        });
        Self {
            across: across.collect(),
            triangles,
            uvs,
        }
    }
}

/// Draws the triangles over nothing.
///
/// # Shapes
/// - `places`: `[views, vertices, PLACE]`, x and y in `[0, 1]` with y downwards, depth along the view
/// - `texture`: `[side, side, 3]`
/// - output: `[views, CHANNELS, size, size]`, colours times coverage, and coverage
///
/// Differentiable in places and texture; depth counts in the perspective of the texture alone.
///
/// # Panics
/// When the shapes do not fit, or a triangle has a vertex that is not there.
pub fn rasterize(
    places: Tensor<3>,
    texture: Tensor<3>,
    faces: &Arc<Faces>,
    size: usize,
) -> Tensor<4> {
    let ([_, vertices, width], [high, wide, colors]) = (places.dims(), texture.dims());
    let most = faces.triangles.iter().flatten().max();
    assert!(
        width == PLACE
            && high == wide
            && colors == 3
            && most.is_none_or(|m| (*m as usize) < vertices),
        "rasterize: places of {width} values, texture [{high}, {wide}, {colors}], vertex {most:?} of {vertices}"
    );
    let (places, texture) = (places.into_dispatch(), texture.into_dispatch());
    Tensor::from_dispatch(Dispatch::rasterize_op(places, texture, faces.clone(), size))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex)]
pub trait RasterizeBackend: Backend {
    /// See [`rasterize`].
    fn rasterize_op(
        places: FloatTensor<Self>,
        texture: FloatTensor<Self>,
        faces: Arc<Faces>,
        size: usize,
    ) -> FloatTensor<Self>;

    /// Gradients with respect to places and texture; zeros for a texture that is not tracked.
    fn rasterize_grad(
        grad: FloatTensor<Self>,
        places: FloatTensor<Self>,
        texture: FloatTensor<Self>,
        faces: Arc<Faces>,
        is_texture_tracked: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl RasterizeBackend for Flex {
    fn rasterize_op(
        places: FloatTensor<Self>,
        texture: FloatTensor<Self>,
        faces: Arc<Faces>,
        size: usize,
    ) -> FloatTensor<Self> {
        let [places, texture] = [places, texture].map(contiguous);
        let ([views, ..], [side, ..]): ([usize; 3], [usize; 3]) =
            (shape_of(&places), shape_of(&texture));
        let texture = cpu::Texture::new(slice_of(&texture), side);
        let out = cpu::forward(slice_of(&places), &texture, &faces, [views, size]);
        tensor_from(out, [views, CHANNELS, size, size])
    }

    fn rasterize_grad(
        grad: FloatTensor<Self>,
        places: FloatTensor<Self>,
        texture: FloatTensor<Self>,
        faces: Arc<Faces>,
        is_texture_tracked: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, places, texture] = [grad, places, texture].map(contiguous);
        let [views, _, size, _]: [usize; 4] = shape_of(&grad);
        let (of_places, of_texture): ([usize; 3], [usize; 3]) =
            (shape_of(&places), shape_of(&texture));
        let texture = cpu::Texture::new(slice_of(&texture), of_texture[0]);
        let (places, texture) = cpu::backward(
            slice_of(&grad),
            slice_of(&places),
            &texture,
            &faces,
            [views, size],
            is_texture_tracked,
        );
        (
            tensor_from(places, of_places),
            tensor_from(texture, of_texture),
        )
    }
}

/// The backward step of [`rasterize`].
#[derive(Debug)]
struct RasterizeBackward;

impl<B: RasterizeBackend> Backward<B, 2> for RasterizeBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, Arc<Faces>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (places, texture, faces) = ops.state;
        let is_tracked = ops.parents[1].is_some();
        let (of_places, of_texture) = B::rasterize_grad(grad, places, texture, faces, is_tracked);
        for (parent, grad) in ops.parents.into_iter().zip([of_places, of_texture]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

impl<B: RasterizeBackend, C: CheckpointStrategy> RasterizeBackend for Autodiff<B, C> {
    fn rasterize_op(
        places: FloatTensor<Self>,
        texture: FloatTensor<Self>,
        faces: Arc<Faces>,
        size: usize,
    ) -> FloatTensor<Self> {
        let nodes = [places.node(), texture.node()];
        let (places, texture) = (places.into_primitive(), texture.into_primitive());
        let out = B::rasterize_op(places.clone(), texture.clone(), faces.clone(), size);
        match RasterizeBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((places, texture, faces), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn rasterize_grad(
        grad: FloatTensor<Self>,
        places: FloatTensor<Self>,
        texture: FloatTensor<Self>,
        faces: Arc<Faces>,
        is_texture_tracked: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, places, texture] = [grad, places, texture].map(|tensor| tensor.into_primitive());
        let (places, texture) = B::rasterize_grad(grad, places, texture, faces, is_texture_tracked);
        (
            <FloatTensor<Self>>::new(places),
            <FloatTensor<Self>>::new(texture),
        )
    }
}

#[cfg(test)]
mod tests;
