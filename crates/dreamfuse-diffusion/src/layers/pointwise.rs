//! Linear layers and 1 × 1 convolutions are the same thing in two shapes; files have either.

use burn::store::bridge::map_data;
use burn::store::burn_pack::Tensor as Packed;
use burn::store::{ModuleAdapter, ModuleContext};
use burn::tensor::{Shape, TensorData};

/// Gives a weight the shape that the module takes: `[out, in]` in a linear layer, `[out, in, 1, 1]` in a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PointwiseShapes;

impl ModuleAdapter for PointwiseShapes {
    fn adapt(&self, tensor: Packed, context: ModuleContext<'_>) -> Packed {
        let dims = tensor.shape.as_slice();
        let wanted = match (context.module_type(), dims) {
            (Some("Struct:Convolution"), &[out, from]) => Shape::new([out, from, 1, 1]),
            (Some("Struct:Linear"), &[out, from, 1, 1]) => Shape::new([out, from]),
            _ => return tensor,
        };
        let (name, dtype, shape) = (tensor.name.clone(), tensor.dtype, wanted.clone());
        map_data(tensor, name, dtype, wanted, move |data| {
            let (bytes, _, dtype) = data.into_parts();
            TensorData::from_bytes(bytes, shape.clone(), dtype)
        })
    }

    fn clone_box(&self) -> Box<dyn ModuleAdapter> {
        Box::new(*self)
    }
}
