//! What the field's outputs look like: activations, the start's blob, normals and shading, in one pass.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::composite::starts_of;
use crate::cpu::{contiguous, shape_of, slice_of, tensor_from};
use crate::field::{OUTPUTS, OUTPUTS_WITH_GRADIENT};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};

/// Numbers of a view's light: position, ambient and diffuse part, and how white the surface is taken to be.
pub const LIGHT: usize = 6;
/// Columns of an unlit surface: density, red, green, blue.
pub const ALBEDO: usize = 4;
/// Columns of a lit one: as [`ALBEDO`], and `max(0, n · v)²` of normal and ray.
pub const LIT: usize = 5;

/// How raw density becomes density: `density_scale · softplus(raw + blob · (1 − |x| / blob_radius))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub blob: f32,
    pub blob_radius: f32,
    pub density_scale: f32,
}

/// Rays that samples lie on and the lights of the views that rays belong to, in order and as many a view.
#[derive(Clone, Debug)]
pub struct Lighting {
    /// `[rays + 1]`: a ray's samples are `starts[r]..starts[r + 1]`.
    pub starts: Tensor<1, Int>,
    /// `[rays, 3]`.
    pub directions: Tensor<2>,
    /// `[views, LIGHT]`.
    pub lights: Tensor<2>,
}

/// Density and albedo `[samples, ALBEDO]` of the field's raw outputs `[samples, 4]` at positions `[samples, 3]`.
/// Differentiable in the raw outputs.
///
/// # Panics
/// When the shapes do not fit.
pub fn surface(raw: Tensor<2>, positions: Tensor<2>, settings: Settings) -> Tensor<2> {
    let device = positions.device();
    let nothing = Tensor::zeros([1, LIGHT], &device);
    let starts = Tensor::zeros([1], &device);
    run(
        raw,
        positions,
        Lighting {
            starts,
            directions: nothing.clone(),
            lights: nothing,
        },
        settings,
        OUTPUTS,
    )
}

/// Density, shaded colour and orientation `[samples, LIT]` of raw outputs `[samples, 7]`, by Lambert's law
/// (DreamFusion, equation 7). Differentiable in the raw outputs.
///
/// # Panics
/// When the shapes do not fit, the starts do not divide the samples or the views the rays.
pub fn lit_surface(
    raw: Tensor<2>,
    positions: Tensor<2>,
    lighting: Lighting,
    settings: Settings,
) -> Tensor<2> {
    let (rays, [views, light]) = (lighting.starts.dims()[0] - 1, lighting.lights.dims());
    assert!(
        lighting.directions.dims() == [rays, 3]
            && light == LIGHT
            && views > 0
            && rays.is_multiple_of(views),
        "lit_surface: {rays} rays, {views} views, directions {:?}",
        lighting.directions.dims()
    );
    run(raw, positions, lighting, settings, OUTPUTS_WITH_GRADIENT)
}

fn run(
    raw: Tensor<2>,
    positions: Tensor<2>,
    l: Lighting,
    settings: Settings,
    columns: usize,
) -> Tensor<2> {
    let ([samples, width], at) = (raw.dims(), positions.dims());
    assert!(
        width == columns && at == [samples, 3],
        "surface: raw outputs [{samples}, {width}] of {columns}, positions {at:?}"
    );
    let (starts, directions, lights) = (
        l.starts.into_dispatch(),
        l.directions.into_dispatch(),
        l.lights.into_dispatch(),
    );
    let (raw, positions) = (raw.into_dispatch(), positions.into_dispatch());
    Tensor::from_dispatch(Dispatch::surface_op(
        raw, positions, starts, directions, lights, settings,
    ))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub trait SurfaceBackend: Backend {
    /// See [`surface`] and [`lit_surface`]: the columns of `raw` say which.
    fn surface_op(
        raw: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        starts: IntTensor<Self>,
        directions: FloatTensor<Self>,
        lights: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;

    /// Gradient with respect to the raw outputs.
    fn surface_grad(
        grad: FloatTensor<Self>,
        raw: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        starts: IntTensor<Self>,
        directions: FloatTensor<Self>,
        lights: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;
}

impl SurfaceBackend for Flex {
    fn surface_op(
        raw: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        starts: IntTensor<Self>,
        directions: FloatTensor<Self>,
        lights: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let [raw, positions, directions, lights] =
            [raw, positions, directions, lights].map(contiguous);
        let [samples, columns]: [usize; 2] = shape_of(&raw);
        if columns == OUTPUTS {
            return tensor_from(
                cpu::albedo(settings, slice_of(&raw), slice_of(&positions)),
                [samples, ALBEDO],
            );
        }
        let starts = starts_of(&starts, samples);
        let rays = cpu::Rays {
            starts: &starts,
            directions: slice_of(&directions),
            lights: slice_of(&lights),
        };
        tensor_from(
            cpu::lit(settings, slice_of(&raw), slice_of(&positions), rays),
            [samples, LIT],
        )
    }

    fn surface_grad(
        grad: FloatTensor<Self>,
        raw: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        starts: IntTensor<Self>,
        directions: FloatTensor<Self>,
        lights: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let [grad, raw, positions, directions, lights] =
            [grad, raw, positions, directions, lights].map(contiguous);
        let shape: [usize; 2] = shape_of(&raw);
        let (grad, raw, positions) = (slice_of(&grad), slice_of(&raw), slice_of(&positions));
        if shape[1] == OUTPUTS {
            return tensor_from(cpu::albedo_backward(settings, grad, raw, positions), shape);
        }
        let starts = starts_of(&starts, shape[0]);
        let rays = cpu::Rays {
            starts: &starts,
            directions: slice_of(&directions),
            lights: slice_of(&lights),
        };
        tensor_from(
            cpu::lit_backward(settings, grad, raw, positions, rays),
            shape,
        )
    }
}

#[cfg(feature = "gpu")]
impl SurfaceBackend for burn_cubecl::CubeBackend {
    fn surface_op(
        raw: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        starts: IntTensor<Self>,
        directions: FloatTensor<Self>,
        lights: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        gpu::forward(raw, positions, [starts, directions, lights], settings)
    }

    fn surface_grad(
        grad: FloatTensor<Self>,
        raw: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        starts: IntTensor<Self>,
        directions: FloatTensor<Self>,
        lights: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        gpu::backward(grad, raw, positions, [starts, directions, lights], settings)
    }
}

/// The backward step of [`surface`] and [`lit_surface`].
#[derive(Debug)]
struct SurfaceBackward;

impl<B: SurfaceBackend> Backward<B, 1> for SurfaceBackward {
    type State = ([FloatTensor<B>; 4], IntTensor<B>, Settings);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([raw, positions, directions, lights], starts, settings) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(
                node.id,
                B::surface_grad(grad, raw, positions, starts, directions, lights, settings),
            );
        }
    }
}

impl<B: SurfaceBackend, C: CheckpointStrategy> SurfaceBackend for Autodiff<B, C> {
    fn surface_op(
        raw: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        starts: IntTensor<Self>,
        directions: FloatTensor<Self>,
        lights: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let node = raw.node();
        let constants = [raw, positions, directions, lights].map(|tensor| tensor.into_primitive());
        let [raw, positions, directions, lights] = constants.clone();
        let out = B::surface_op(raw, positions, starts.clone(), directions, lights, settings);
        match SurfaceBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((constants, starts, settings), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn surface_grad(
        grad: FloatTensor<Self>,
        raw: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        starts: IntTensor<Self>,
        directions: FloatTensor<Self>,
        lights: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let [grad, raw, positions, directions, lights] =
            [grad, raw, positions, directions, lights].map(|tensor| tensor.into_primitive());
        <FloatTensor<Self>>::new(B::surface_grad(
            grad, raw, positions, starts, directions, lights, settings,
        ))
    }
}

#[cfg(test)]
mod tests;
