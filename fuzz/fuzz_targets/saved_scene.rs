//! A checkpoint and a refined mesh whose checksums are right.
#![no_main]

use dreamfuse_core::files::write_checked;
use dreamfuse_engine::{Exported, RunConfig, RunFolder, Snapshot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let path = dreamfuse_fuzz::file("run/checkpoints/00000010.checkpoint", &[]);
    write_checked(&path, rest).expect("memory is not full");
    if first % 2 == 0 {
        let _ = Exported::load(&path);
        return;
    }
    let config: RunConfig = toml::from_str(
        "prompt = \"a car\"\n[scene]\nlevels = 1\nbase = 4\nfinest = 4\nlog2_table = 4\nhidden = 16\noccupancy_cells = 4\n",
    )
    .expect("the settings are good");
    let root = dreamfuse_fuzz::folder().join("run");
    dreamfuse_fuzz::file("run/config.toml", config.to_toml().as_bytes());
    let (folder, config) = RunFolder::open(&root).expect("the folder is whole");
    let _ = Snapshot::load(&folder, &config, &mut |_| {});
});
