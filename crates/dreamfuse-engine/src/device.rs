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

/// Whether all devices of a list are the CPU. A panic there is a defect of ours, not of a driver.
pub(crate) fn is_cpu(list: &str) -> bool {
    names(list).all(|name| name == DEVICES[0])
}

/// How many GPUs a process has to see for a list: one more than the highest number.
pub fn gpus(list: &str) -> usize {
    let numbers = names(list).filter_map(|name| parse(name).ok());
    let of_gpus = numbers.filter(|(kind, _)| *kind != DEVICES[0]);
    of_gpus.map(|(_, number)| number + 1).max().unwrap_or(0)
}

/// The device of a name, or the first of a list, for a network of this dtype.
///
/// # Errors
/// When the binary was built without it, the machine has none of the kind, or it lacks the dtype.
pub fn device(list: &str, precision: Precision) -> Result<Device, EngineError> {
    named(names(list).next().unwrap_or_default(), precision)
}

/// The devices of a list such as `cuda:0,cuda:1`. A device may come twice.
///
/// # Errors
/// As [`device`].
pub fn devices(list: &str, precision: Precision) -> Result<Vec<Device>, EngineError> {
    names(list).map(|name| named(name, precision)).collect()
}

/// Whether the binary has every device of a list.
///
/// # Errors
/// Names the first that it has not.
pub(crate) fn check(list: &str) -> Result<(), EngineError> {
    for name in names(list) {
        let (kind, _) = parse(name)?;
        if !DEVICES.contains(&kind) {
            return Err(EngineError::Device(name.to_owned()));
        }
    }
    Ok(())
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// The kind, and which of the machine's.
fn parse(name: &str) -> Result<(&str, usize), EngineError> {
    let Some((kind, number)) = name.split_once(':') else {
        return Ok((name, 0));
    };
    match number.parse() {
        Ok(number) if kind != DEVICES[0] => Ok((kind, number)),
        _ => Err(EngineError::Device(name.to_owned())),
    }
}

fn named(name: &str, precision: Precision) -> Result<Device, EngineError> {
    let (kind, number) = parse(name)?;
    let device = find(kind, number).ok_or_else(|| EngineError::Device(name.to_owned()))?;
    let device = device.ok_or_else(|| EngineError::NoDevice(name.to_owned()))?;
    if device.supports_dtype(precision.dtype()) {
        Ok(device)
    } else {
        Err(EngineError::Config(format!(
            "precision = {precision}: the device {name} has no such numbers; f32 works"
        )))
    }
}

/// Device number `number` of a kind: none where the binary lacks the kind, `Some(None)` where the machine lacks the device.
#[cfg_attr(
    not(any(feature = "wgpu", feature = "cuda")),
    expect(unused_variables, reason = "the CPU is one device")
)]
fn find(kind: &str, number: usize) -> Option<Option<Device>> {
    match kind {
        "cpu" => Some(Some(Device::flex())),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(wgpu(number)),
        #[cfg(feature = "cuda")]
        "cuda" => Some(cuda(number)),
        _ => None,
    }
}

/// One of the fastest kind of adapter that is there. One in software has to be asked for by `DREAMFUSE_SOFTWARE_GPU`: it is
/// slower than the CPU, and Vulkan's crashes.
#[cfg(feature = "wgpu")]
fn wgpu(number: usize) -> Option<Device> {
    use burn::tensor::{DeviceKind, DeviceType};
    if std::env::var_os("DREAMFUSE_SOFTWARE_GPU").is_some() {
        return (number == 0).then(|| Device::wgpu(DeviceKind::DefaultDevice));
    }
    let found = Device::enumerate(DeviceType::Wgpu).into_vec();
    let kinds = [
        DeviceKind::DiscreteGpu,
        DeviceKind::IntegratedGpu,
        DeviceKind::VirtualGpu,
    ];
    let kind = kinds
        .into_iter()
        .find(|kind| found.contains(&Device::wgpu(kind(0))))?;
    Some(Device::wgpu(kind(number))).filter(|device| found.contains(device))
}

/// Asked for before anything is computed: a missing driver shows itself as a panic at the first operation.
#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Option<Device> {
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    found.into_iter().nth(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_devices_by_kind_and_number() {
        assert_eq!(devices("cpu, cpu", Precision::F32).unwrap().len(), 2);
        assert!(is_cpu("cpu,cpu") && !is_cpu("cpu,cuda:1"));
        assert_eq!(
            ["cpu,cpu", "cuda,cuda:0", "cuda:1", "cuda:0,cuda:2"].map(gpus),
            [0, 1, 2, 3]
        );
        for bad in [
            "",
            "cpu,",
            "cpu:1",
            "abacus",
            "cpu,abacus:0",
            "wgpu:x",
            "wgpu:-1",
        ] {
            let line = check(bad).unwrap_err().to_string();
            assert!(line.contains("is not in this binary"), "{bad:?}: {line}");
        }
    }
}
