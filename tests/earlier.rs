//! What earlier versions wrote still works. The fixtures are of commit 8b691c5.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::{complaint, run, text};
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/8b691c5")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The instruction set that decides the last digits.
fn instruction_set() -> String {
    let doctor = String::from_utf8(run(&["doctor"]).stdout).unwrap();
    let line = doctor
        .lines()
        .find(|line| line.starts_with("instruction set"));
    line.unwrap().split_whitespace().last().unwrap().to_owned()
}

/// A copy of the fixture's run, with the prior where it lies here.
fn earlier_run(set: &str, folder: &Path) -> PathBuf {
    let out = folder.join("run");
    copy(&fixtures().join(format!("run-{set}")), &out);
    let prior =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../dreamfuse-diffusion/tests/reference");
    let config = out.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let prior = format!("prior = {:?}", prior.display().to_string());
    std::fs::write(&config, text.replace("prior = \"PRIOR\"", &prior)).unwrap();
    out
}

#[test]
fn a_run_of_an_earlier_version_goes_on_and_says_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let set = instruction_set();
    let known = fixtures().join(format!("run-{set}"));
    let out = earlier_run(
        if known.exists() { &set } else { "x86_64-V4" },
        folder.path(),
    );
    let output = run(&["resume", text(&out)]);
    let said = complaint(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("goes on with other random numbers"), "{said}");
    assert_eq!(
        said.contains("the bytes will differ"),
        !known.exists(),
        "{said}"
    );
    let mesh = std::fs::read(out.join("mesh.glb")).unwrap();
    assert!(mesh.starts_with(b"glTF"));
    // What it writes now is of today's format.
    std::fs::remove_file(out.join("checkpoints/step-0000004.checkpoint")).unwrap();
    let again = complaint(&run(&["resume", text(&out)]));
    assert!(!again.contains("other random numbers"), "{again}");
}

#[test]
fn a_training_state_of_an_earlier_version_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("training");
    copy(&fixtures().join("training"), &out);
    let config = out.join("config.toml");
    let arguments = ["prior", "train", "--resume", "--steps", "6"];
    let paths = ["--config", text(&config), "--out", text(&out)];
    let output = run(&[&arguments[..], &paths[..]].concat());
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(
        complaint(&output).contains("from step 4"),
        "{}",
        complaint(&output)
    );
    assert!(
        out.join("weights/unet/diffusion_pytorch_model.safetensors")
            .exists()
    );
}

/// The fixture names a prior that is nowhere.
#[test]
fn a_run_whose_prior_is_gone_is_exported_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    copy(&fixtures().join("run-x86_64-V4"), &out);
    let output = run(&["export", text(&out), "--format", "glb"]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(
        std::fs::read(out.join("mesh.glb"))
            .unwrap()
            .starts_with(b"glTF")
    );
    assert!(out.join("views.png").exists() && !out.join("mesh.ply").exists());
    let resumed = run(&["resume", text(&out)]);
    assert!(!resumed.status.success() && complaint(&resumed).contains("PRIOR"));
}
