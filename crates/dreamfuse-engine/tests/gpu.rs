//! A step on a GPU is the CPU's step. Needs the feature `wgpu` and an adapter, which may be software.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::{assert_near, config, two_steps};
use dreamfuse_diffusion::Precision;
use dreamfuse_engine::{RunConfig, device, load_prior};

#[test]
fn a_step_on_a_gpu_is_the_step_on_the_cpu() {
    assert_near(two_steps(config("cpu")), two_steps(config("wgpu")), 1e-2);
}

#[test]
fn a_prior_in_half_precision_is_near_or_refused() {
    let half = RunConfig {
        precision: Precision::F16,
        ..config("wgpu")
    };
    let adapter = device("wgpu", Precision::F32).unwrap();
    if adapter.supports_dtype(Precision::F16.dtype()) {
        assert_near(two_steps(config("wgpu")), two_steps(half), 5e-2);
    } else {
        let line = load_prior(&half).err().unwrap().to_string();
        assert!(line.contains("precision = f16"), "{line}");
    }
}

#[test]
fn a_gpu_passes_its_selftest() {
    let test = dreamfuse_engine::selftest("wgpu").unwrap();
    assert!(test.passes(), "{test:?}");
    assert!(test.device_bytes.unwrap() > 0);
}
