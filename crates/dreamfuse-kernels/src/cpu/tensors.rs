//! Flex tensors as slices and back.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, TensorData};

/// A float tensor of the CPU backend.
pub(crate) type Primitive = FloatTensor<Flex>;

/// The tensor in f32, in which the CPU's operations compute whatever goes in and out, with its elements in row-major order.
pub(crate) fn contiguous(tensor: Primitive) -> Primitive {
    let tensor = in_f32(tensor, DType::F32);
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The elements of a contiguous f32 tensor.
///
/// # Panics
/// When it is none.
pub(crate) fn slice_of(tensor: &Primitive) -> &[f32] {
    tensor
        .as_slice::<f32>()
        .expect("the CPU operations of dreamfuse take contiguous f32 tensors")
}

/// The shape, of known rank.
pub(crate) fn shape_of<const D: usize>(tensor: &Primitive) -> [usize; D] {
    tensor.shape().dims()
}

/// A tensor that takes over the elements.
pub(crate) fn tensor_from<const D: usize>(elements: Vec<f32>, shape: [usize; D]) -> Primitive {
    Primitive::from_data(TensorData::new(elements, shape))
}

/// The tensor with its elements rounded to numbers of another kind.
pub(crate) fn in_f32(tensor: Primitive, numbers: DType) -> Primitive {
    if tensor.dtype() == numbers {
        tensor
    } else {
        Flex::float_cast(tensor, numbers.into())
    }
}
