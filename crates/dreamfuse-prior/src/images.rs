//! Images as tensors.

use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::Image;

/// Square images of one size as a batch `[images, 3, size, size]`.
///
/// # Panics
/// When there is none.
pub fn batch_of<'a>(images: impl IntoIterator<Item = &'a Image>, device: &Device) -> Tensor<4> {
    let (mut planes, mut count, mut size) = (Vec::new(), 0, 0);
    for image in images {
        image.push_planes(&mut planes);
        (count, size) = (count + 1, image.width);
    }
    assert!(count > 0, "a batch has an image");
    Tensor::from_data(TensorData::new(planes, [count, 3, size, size]), device)
}

/// The images of a batch of f32, one by one.
pub fn images_of(batch: Tensor<4>) -> Vec<Image> {
    let [.., size] = batch.dims();
    let planes = batch.into_data().try_to_vec::<f32>();
    planes
        .expect("images are f32")
        .chunks_exact(3 * size * size)
        .map(|planes| Image::from_planes(size, planes))
        .collect()
}
