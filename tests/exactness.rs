//! Same seed, same bytes: with one thread or two, interrupted or not.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::{complaint, dreamfuse, run, small_config, text};
use std::path::Path;
use std::time::{Duration, Instant};

const PROMPT: &str = "a squirrel at an easel";

fn arguments<'a>(out: &'a Path, config: &'a str, steps: &'a str) -> Vec<&'a str> {
    vec![
        PROMPT,
        "--seed",
        "5",
        "--steps",
        steps,
        "--config",
        config,
        "--out",
        text(out),
    ]
}

fn mesh(folder: &Path) -> Vec<u8> {
    let mesh = std::fs::read(folder.join("mesh.glb")).expect("the run wrote a mesh");
    assert!(mesh.len() > 10_000);
    mesh
}

#[test]
fn one_and_two_threads_give_the_same_mesh() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    let meshes: Vec<_> = ["1", "2"]
        .map(|threads| {
            let out = folder.path().join(threads);
            let output =
                run(&[arguments(&out, &config, "10"), vec!["--threads", threads]].concat());
            assert!(output.status.success(), "{}", complaint(&output));
            mesh(&out)
        })
        .into();
    assert!(meshes[0] == meshes[1], "the meshes differ");
}

#[test]
fn two_and_three_devices_and_one_thread_give_the_same_mesh() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    let given = [("cpu,cpu", "1"), ("cpu,cpu", "2"), ("cpu, cpu,cpu", "2")];
    let meshes = given.map(|(devices, threads)| {
        let out = folder.path().join(format!("{devices}{threads}"));
        let besides = [
            "--set",
            "views=5",
            "--device",
            devices,
            "--threads",
            threads,
        ];
        let output = run(&[&arguments(&out, &config, "10")[..], &besides[..]].concat());
        assert!(output.status.success(), "{}", complaint(&output));
        mesh(&out)
    });
    assert!(
        meshes[0] == meshes[1] && meshes[0] == meshes[2],
        "the meshes differ"
    );
}

#[test]
fn another_seed_gives_another_mesh() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    assert!(run(&arguments(&a, &config, "3")).status.success());
    let mut other = arguments(&b, &config, "3");
    other[2] = "6";
    assert!(run(&other).status.success());
    assert!(mesh(&a) != mesh(&b), "the seed changes nothing");
}

/// Sends SIGINT after the first checkpoint appeared, at whatever step that is.
fn interrupt(out: &Path, config: &str) {
    let mut child = dreamfuse(&arguments(out, config, "24"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let checkpoints = out.join("checkpoints");
    while std::fs::read_dir(&checkpoints).map_or(0, |entries| {
        entries
            .flatten()
            .filter(|e| !e.file_name().to_string_lossy().starts_with('.'))
            .count()
    }) == 0
    {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "no checkpoint appeared"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(
        child.wait().unwrap().code(),
        Some(130),
        "an interrupted run says so in its exit code"
    );
    assert!(
        !out.join("mesh.glb").exists(),
        "the run was not interrupted in time"
    );
}

#[test]
fn an_interrupted_and_resumed_run_ends_in_the_same_mesh() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    assert!(run(&arguments(&whole, &config, "24")).status.success());
    interrupt(&broken, &config);
    let output = run(&["resume", text(&broken)]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(mesh(&whole) == mesh(&broken), "the meshes differ");
}

#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint_to_the_same_mesh() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    assert!(run(&arguments(&whole, &config, "10")).status.success());
    assert!(run(&arguments(&killed, &config, "10")).status.success());
    // As a kill after step 8's checkpoint would leave the folder: what came later is gone.
    for entry in std::fs::read_dir(killed.join("checkpoints"))
        .unwrap()
        .flatten()
    {
        if entry.file_name() != "step-0000008.checkpoint" {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    std::fs::remove_file(killed.join("mesh.glb")).unwrap();
    let output = run(&["resume", text(&killed)]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(mesh(&whole) == mesh(&killed), "the meshes differ");
}

/// Sends signals after the first checkpoint appeared; the exit code, and the step that is told.
fn signalled(out: &Path, config: &str, signals: &[&str]) -> (Option<i32>, u64) {
    let child = dreamfuse(&arguments(out, config, "400"))
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !out.join("checkpoints/step-0000004.checkpoint").exists() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "no checkpoint appeared"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    for signal in signals {
        let sent = std::process::Command::new("kill")
            .args([signal, pid.as_str()])
            .status();
        assert!(sent.unwrap().success());
    }
    let output = child.wait_with_output().unwrap();
    let said = complaint(&output);
    let step = said.split_once("stopped at step ").map(|(_, rest)| rest);
    let step = step.and_then(|rest| rest.split(';').next()?.parse().ok());
    (
        output.status.code(),
        step.unwrap_or_else(|| panic!("{said}")),
    )
}

/// `timeout` and schedulers send SIGTERM more than once.
#[test]
fn a_burst_of_signals_saves_and_says_so_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    for (name, signals, code) in [
        ("twice", &["-TERM", "-TERM"][..], 75),
        ("user", &["-USR1"], 75),
        ("person", &["-INT", "-INT"], 130),
    ] {
        let out = folder.path().join(name);
        let (found, step) = signalled(&out, &config, signals);
        assert_eq!(found, Some(code), "{name}");
        let saved = out.join(format!("checkpoints/step-{step:07}.checkpoint"));
        assert!(saved.exists(), "{name}: {} is missing", saved.display());
        let output = run(&["resume", text(&out), "--steps", "100"]);
        let resumed = complaint(&output);
        assert!(output.status.success(), "{name}: {resumed}");
    }
}
