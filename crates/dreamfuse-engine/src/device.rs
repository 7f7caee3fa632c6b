//! The devices that this binary can compute on.

use crate::EngineError;
use burn::tensor::Device;

/// Their names, as `--device` takes them.
pub const DEVICES: &[&str] = &[
    "cpu",
    #[cfg(feature = "wgpu")]
    "wgpu",
    #[cfg(feature = "cuda")]
    "cuda",
];

/// The device of a name.
///
/// # Errors
/// When the binary was built without it, or the machine has none of the kind.
pub fn device(name: &str) -> Result<Device, EngineError> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => found(name, burn::tensor::DeviceType::Wgpu),
        #[cfg(feature = "cuda")]
        "cuda" => found(name, burn::tensor::DeviceType::Cuda),
        _ => Err(EngineError::Device(name.to_owned())),
    }
}

/// The first device of a type: asked for before anything is computed, because a missing driver shows itself as a panic
/// at the first operation.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn found(name: &str, kind: burn::tensor::DeviceType) -> Result<Device, EngineError> {
    Device::enumerate(kind).into_vec().into_iter().next().ok_or_else(|| EngineError::NoDevice(name.to_owned()))
}
