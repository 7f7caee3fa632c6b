//! Whether a device does what a run asks of it, and how fast.

use crate::config::RunConfig;
use crate::device::device;
use crate::prior_source::load_prior;
use crate::run::Run;
use crate::session::survive;
use crate::{DEVICES, EngineError};
use burn::tensor::Device;
use dreamfuse_diffusion::Precision;
use dreamfuse_kernels::selftest::{Parity, parity};
use std::time::Instant;

/// Steps that are not timed: kernels are compiled and chosen in them.
const WARM_UP: usize = 3;
/// Steps that are timed.
const STEPS: usize = 8;

/// What [`selftest`] found.
#[derive(Clone, Debug)]
pub struct SelfTest {
    /// Of each operation.
    pub parity: Vec<Parity>,
    /// Dtypes that the prior can compute with there.
    pub dtypes: Vec<Precision>,
    /// Seconds of a step with the built-in prior at the default settings: the median.
    pub step_seconds: f64,
    /// Bytes that the device's allocator holds after those steps; nothing on a CPU.
    pub device_bytes: Option<u64>,
    /// Every loss was finite.
    pub is_finite: bool,
}

impl SelfTest {
    /// Whether a run can be trusted to this device.
    pub fn passes(&self) -> bool {
        self.is_finite && self.parity.iter().all(Parity::holds)
    }
}

/// Tests every operation on the device of a name, then takes a few steps of a default run.
///
/// # Errors
/// When the device is not there or goes away.
pub fn selftest(name: &str) -> Result<SelfTest, EngineError> {
    let tested = device(name, Precision::F32)?;
    let test = || on(&tested, name);
    if name == DEVICES[0] {
        test() // a panic on a CPU is a defect of ours
    } else {
        survive(name.to_owned(), test)
    }
}

fn on(tested: &Device, name: &str) -> Result<SelfTest, EngineError> {
    let all = [Precision::F32, Precision::F16, Precision::Bf16];
    let dtypes = all
        .into_iter()
        .filter(|dtype| device(name, *dtype).is_ok())
        .collect();
    let parity = parity(tested);
    let config = RunConfig {
        prompt: "a red apple".into(),
        device: name.into(),
        ..RunConfig::default()
    };
    let prior = load_prior(&config)?;
    let mut run = Run::new(config, &prior)?;
    let (mut seconds, mut is_finite) = (Vec::new(), true);
    for step in 0..WARM_UP + STEPS {
        let start = Instant::now();
        let report = match run.step(&prior) {
            Err(EngineError::NotFinite(_)) => {
                is_finite = false;
                seconds.push(f64::INFINITY);
                break;
            }
            other => other?,
        };
        if step >= WARM_UP {
            seconds.push(start.elapsed().as_secs_f64());
        }
        is_finite &= report.gradient_norm.is_finite() && report.opacity.is_finite();
    }
    seconds.sort_by(f64::total_cmp);
    let device_bytes = tested.memory_pool_usage().map(|usage| usage.bytes_reserved);
    drop((run, prior));
    // A process that ends while a software driver still works may crash in it.
    tested.sync().map_err(|error| EngineError::DeviceLost {
        device: name.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(SelfTest {
        parity,
        dtypes,
        step_seconds: seconds[seconds.len() / 2],
        device_bytes,
        is_finite,
    })
}
