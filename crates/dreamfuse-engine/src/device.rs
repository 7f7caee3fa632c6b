//! The devices that this binary can compute on.

use crate::EngineError;
use burn::tensor::Device;
use dreamfuse_diffusion::Precision;

/// Their names, as `--device` takes them.
pub const DEVICES: &[&str] = &[
    "cpu",
    #[cfg(feature = "wgpu")]
    "wgpu",
    #[cfg(feature = "cuda")]
    "cuda",
];

/// The device of a name, for a network that computes with these numbers.
///
/// # Errors
/// When the binary was built without it, the machine has none of the kind, or it has no such numbers.
pub fn device(name: &str, precision: Precision) -> Result<Device, EngineError> {
    let device = find(name)?;
    if device.supports_dtype(precision.dtype()) {
        Ok(device)
    } else {
        Err(EngineError::Config(format!(
            "precision = {precision}: the device {name} has no such numbers; f32 works"
        )))
    }
}

fn find(name: &str) -> Result<Device, EngineError> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => wgpu(),
        #[cfg(feature = "cuda")]
        "cuda" => cuda(),
        _ => Err(EngineError::Device(name.to_owned())),
    }
}

/// The fastest kind of adapter that is there. One in software has to be asked for by `DREAMFUSE_SOFTWARE_GPU`: it is
/// slower than the CPU, and Vulkan's crashes.
#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device, EngineError> {
    use burn::tensor::{DeviceKind, DeviceType};
    if std::env::var_os("DREAMFUSE_SOFTWARE_GPU").is_some() {
        return Ok(Device::wgpu(DeviceKind::DefaultDevice));
    }
    let found = Device::enumerate(DeviceType::Wgpu).into_vec();
    let kinds = [
        DeviceKind::DiscreteGpu(0),
        DeviceKind::IntegratedGpu(0),
        DeviceKind::VirtualGpu(0),
    ];
    let mut wanted = kinds.into_iter().map(Device::wgpu);
    wanted
        .find(|device| found.contains(device))
        .ok_or_else(|| EngineError::NoDevice("wgpu".into()))
}

/// Asked for before anything is computed: a missing driver shows itself as a panic at the first operation.
#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, EngineError> {
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    found
        .into_iter()
        .next()
        .ok_or_else(|| EngineError::NoDevice("cuda".into()))
}
