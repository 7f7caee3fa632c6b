//! A LoRA's file, on a small Stable Diffusion.
#![no_main]

use burn::tensor::Device;
use dreamfuse_diffusion::{Additions, LoraSource, Pipeline};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

const MODEL: &str = "../crates/dreamfuse-diffusion/tests/reference/sd15";

fuzz_target!(|bytes: &[u8]| {
    let path = dreamfuse_fuzz::file("lora.safetensors", bytes);
    let loras = [LoraSource { path, scale: 0.7 }];
    let additions = Additions {
        loras: &loras,
        ..Additions::default()
    };
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL);
    let _ = Pipeline::load_with(&model, &additions, &Device::flex());
});
