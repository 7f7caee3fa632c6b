//! A file of prompts: text, CSV, JSON lines.
#![no_main]

use libfuzzer_sys::fuzz_target;

const ENDINGS: [&str; 3] = ["txt", "csv", "jsonl"];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let ending = ENDINGS[usize::from(*first) % ENDINGS.len()];
    let path = dreamfuse_fuzz::file(&format!("prompts.{ending}"), rest);
    let _ = dreamfuse_batch::read_prompts(&path);
});
