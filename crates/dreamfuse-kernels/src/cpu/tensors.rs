//! Flex tensors as slices and back.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::TensorData;

/// A float tensor of the CPU backend.
pub(crate) type Primitive = FloatTensor<Flex>;

/// The tensor with its elements in row-major order.
pub(crate) fn contiguous(tensor: Primitive) -> Primitive {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The elements of a contiguous f32 tensor.
///
/// # Panics
/// When the tensor is of another type: the CPU operations compute in f32.
pub(crate) fn slice_of(tensor: &Primitive) -> &[f32] {
    tensor.as_slice::<f32>().expect("the CPU operations of dreamfuse take contiguous f32 tensors")
}

/// The shape, of known rank.
pub(crate) fn shape_of<const D: usize>(tensor: &Primitive) -> [usize; D] {
    tensor.shape().dims()
}

/// A tensor that takes over the elements.
pub(crate) fn tensor_from<const D: usize>(elements: Vec<f32>, shape: [usize; D]) -> Primitive {
    Primitive::from_data(TensorData::new(elements, shape))
}
