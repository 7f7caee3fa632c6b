//! `dreamfuse doctor`.

use dreamfuse_diffusion::{Precision, embedded};
use dreamfuse_engine::{DEVICES, device};
use dreamfuse_prior::Prior;
use std::process::ExitCode;

/// Says what this binary can use here.
pub fn report() -> anyhow::Result<ExitCode> {
    let prior = embedded::load(&burn::tensor::Device::flex())?;
    tell!("dreamfuse        {}", env!("CARGO_PKG_VERSION"));
    let devices: Vec<&str> = DEVICES
        .iter()
        .copied()
        .filter(|name| device(name, Precision::F32).is_ok())
        .collect();
    tell!("devices          {}", devices.join(", "));
    tell!("threads          {}", rayon::current_num_threads());
    tell!(
        "instruction set  {}",
        dreamfuse_kernels::cpu::instruction_set()
    );
    tell!(
        "built-in prior   {0} x {0} pixels, {1} words, camera-aware: {2}",
        prior.spec().resolution,
        prior.words.len(),
        if prior.spec().takes_camera {
            "yes"
        } else {
            "no"
        }
    );
    tell!("                 {}", prior.summary);
    Ok(ExitCode::SUCCESS)
}
