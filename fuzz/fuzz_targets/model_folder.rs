//! The configurations of a folder in diffusers' layout.
#![no_main]

use dreamfuse_diffusion::Additions;
use dreamfuse_diffusion::pipeline::{Plan, open};
use libfuzzer_sys::fuzz_target;

const FILES: [&str; 6] = [
    "unet/config.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "vae/config.json",
    "tokenizer/tokenizer_config.json",
    "model_index.json",
];

fuzz_target!(|bytes: &[u8]| {
    for (name, text) in FILES.iter().zip(dreamfuse_fuzz::texts(bytes)) {
        dreamfuse_fuzz::file(&format!("model/{name}"), text.as_bytes());
    }
    let folder = dreamfuse_fuzz::folder().join("model");
    if let Ok(files) = open(&folder) {
        let _ = Plan::open(&*files, &Additions::default());
    }
    let _ = std::fs::remove_dir_all(folder);
});
