//! Starting the real binary.

use std::path::Path;
use std::process::{Command, Output};

/// The command with arguments.
pub fn dreamfuse(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dreamfuse"));
    command.args(arguments);
    command
}

/// Runs to the end.
pub fn run(arguments: &[&str]) -> Output {
    dreamfuse(arguments).output().expect("the binary starts")
}

/// Standard error as text.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The line that a failed command prints.
#[allow(dead_code, reason = "not every test file makes mistakes")]
pub fn error_of(output: &Output) -> String {
    let complaint = complaint(output);
    assert!(!output.status.success(), "it succeeded");
    assert!(!complaint.contains("panicked"), "{complaint}");
    let errors: Vec<_> = complaint
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{complaint}");
    errors[0].to_owned()
}

/// A configuration for runs of seconds.
#[allow(dead_code, reason = "not every test file starts runs")]
pub fn small_config(folder: &Path) -> String {
    let path = folder.join("small.toml");
    let text = "views = 2\nmesh_cells = 24\nmesh_faces = 2000\ntexture_size = 128\ncheckpoint_every = 4\npreview_every = 6\noccupancy_every = 4\nalbedo_only = 0.25\n\
                lit = 1.0\n[losses]\nopacity = 0.0\n[scene]\nlevels = 4\nfinest = 32\nlog2_table = 12\nhidden = 16\noccupancy_cells = 16\n";
    std::fs::write(&path, text).expect("a temporary folder can be written");
    path.to_string_lossy().into_owned()
}

/// A path as an argument.
#[allow(dead_code, reason = "not every test file names files")]
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
