//! A folder of runs that somebody edited: its plan, and the attempts of its first item.
#![no_main]

use dreamfuse_batch::{Plan, Status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut texts = dreamfuse_fuzz::texts(bytes);
    let plan = texts.next().unwrap_or_default();
    dreamfuse_fuzz::file("runs/plan.jsonl", plan.as_bytes());
    let root = dreamfuse_fuzz::folder().join("runs");
    if let Ok(plan) = Plan::load(&root) {
        let attempts = texts.next().unwrap_or_default();
        let folder = plan.folder(&plan.items[0]);
        if folder.starts_with(&root) && std::fs::create_dir_all(&folder).is_ok() {
            let _ = std::fs::write(folder.join("attempts.jsonl"), attempts);
        }
        let _ = Status::read(&plan);
    }
    let _ = std::fs::remove_dir_all(root);
});
