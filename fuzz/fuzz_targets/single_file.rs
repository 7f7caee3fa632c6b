//! A model in one safetensors file: its header decides what the model is.
#![no_main]

use dreamfuse_diffusion::Additions;
use dreamfuse_diffusion::pipeline::{Plan, open};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = dreamfuse_fuzz::file("model.safetensors", bytes);
    if let Ok(files) = open(&path) {
        let _ = Plan::open(&*files, &Additions::default());
    }
});
