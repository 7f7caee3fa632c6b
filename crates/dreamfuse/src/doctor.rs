//! `dreamfuse doctor`.

use crate::cli::DoctorArgs;
use dreamfuse_batch::Exit;
use dreamfuse_diffusion::{Precision, embedded};
use dreamfuse_engine::{DEVICES, SelfTest, device, peak_mib, selftest};
use dreamfuse_kernels::selftest::MOST_ERROR;
use dreamfuse_prior::Prior;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Says what this binary can use here, or tests a device.
pub fn doctor(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    if !args.selftest {
        return report(args.json);
    }
    anyhow::ensure!(
        !args.device.contains(','),
        "expected one device to test, got {:?}",
        args.device
    );
    let test = selftest(&args.device)?;
    if args.json {
        tell!("{:#}", json_of(&args.device, &test));
    } else {
        lines(&args.device, &test)
            .iter()
            .for_each(|line| tell!("{line}"));
    }
    if test.passes() {
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "error: {} does not compute what it has to; hint: another driver, or --device cpu",
        args.device
    );
    Ok(Exit::Unavailable.into())
}

fn report(as_json: bool) -> anyhow::Result<ExitCode> {
    let prior = embedded::load(&burn::tensor::Device::flex())?;
    let devices: Vec<&str> = DEVICES
        .iter()
        .copied()
        .filter(|name| device(name, Precision::F32).is_ok())
        .collect();
    if as_json {
        let json = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "devices": devices,
            "threads": rayon::current_num_threads(),
            "instruction_set": dreamfuse_kernels::cpu::instruction_set(),
            "bf16_products": dreamfuse_kernels::cpu::bf16_instructions(),
            "prior": prior.summary,
            "words": prior.words.len(),
        });
        tell!("{json:#}");
        return Ok(ExitCode::SUCCESS);
    }
    tell!("dreamfuse        {}", env!("CARGO_PKG_VERSION"));
    tell!("devices          {}", devices.join(", "));
    tell!("threads          {}", rayon::current_num_threads());
    tell!(
        "instruction set  {}",
        dreamfuse_kernels::cpu::instruction_set()
    );
    tell!(
        "bf16 products    {}",
        dreamfuse_kernels::cpu::bf16_instructions().unwrap_or("none")
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

/// The same for a script.
fn json_of(device: &str, test: &SelfTest) -> Value {
    let parity = test.parity.iter().map(|parity| {
        json!({
            "operation": parity.operation,
            "value": parity.value,
            "gradient": parity.gradient,
            "holds": parity.holds(),
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": device,
        "passes": test.passes(),
        "operations": parity.collect::<Vec<_>>(),
        "dtypes": test.dtypes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "steps_a_second": 1.0 / test.step_seconds,
        "device_bytes": test.device_bytes,
        "host_mib": peak_mib(),
    })
}

/// A block of Markdown that can be pasted into an issue.
fn lines(device: &str, test: &SelfTest) -> Vec<String> {
    let mut lines = vec![
        format!(
            "dreamfuse {} on {device}: {}-{}, {}, {} threads",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            std::env::consts::OS,
            dreamfuse_kernels::cpu::instruction_set(),
            rayon::current_num_threads()
        ),
        String::new(),
        format!("| operation | error of the value | of gradients | at most {MOST_ERROR:.0e} |"),
        "| --- | --- | --- | --- |".into(),
    ];
    for parity in &test.parity {
        let gradient = parity
            .gradient
            .map_or("–".into(), |error| format!("{error:.1e}"));
        let verdict = if parity.holds() { "ok" } else { "WRONG" };
        lines.push(format!(
            "| {} | {:.1e} | {gradient} | {verdict} |",
            parity.operation, parity.value
        ));
    }
    let dtypes: Vec<String> = test.dtypes.iter().map(ToString::to_string).collect();
    let verdict = if test.is_finite {
        "finite"
    } else {
        "NOT FINITE"
    };
    lines.extend([
        String::new(),
        format!("dtypes         {}", dtypes.join(", ")),
        format!(
            "default step   {:.2} steps/s, {verdict}",
            1.0 / test.step_seconds
        ),
    ]);
    if let Some(bytes) = test.device_bytes {
        lines.push(format!("device memory  {} MiB", bytes >> 20));
    }
    if let Some(peak) = peak_mib() {
        lines.push(format!("host memory    {peak:.0} MiB at most"));
    }
    lines
}
