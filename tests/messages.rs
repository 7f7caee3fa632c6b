//! What users read: help, reports and errors, as snapshots. `INSTA_UPDATE=always` writes them anew.

mod common;

use common::{dreamfuse, error_of, run};

/// Numbers that depend on the machine.
fn masked(text: &str, labels: &[&str]) -> String {
    let line = |line: &str| {
        let label = labels.iter().find(|label| line.starts_with(**label));
        label.map_or(line.to_owned(), |label| format!("{label} …"))
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn told(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("it tells text")
}

#[test]
fn help_and_reports() {
    insta::assert_snapshot!("help", told(&["--help"]));
    insta::assert_snapshot!(
        "plan",
        masked(
            &told(&["plan", "a red mushroom", "--vram", "8"]),
            &["memory", "time"]
        )
    );
    insta::assert_snapshot!(
        "doctor",
        masked(
            &told(&["doctor"]),
            &["devices", "threads", "instruction set", "bf16 products"]
        )
    );
}

#[test]
fn errors() {
    let mistakes: [&[&str]; 22] = [
        &[""],
        &["a samurai riding a motorcycle"],
        &["a car", "--steps", "0"],
        &["a car", "--steps", "many"],
        &["a car", "--stepz", "3"],
        &["a car", "--views", "100"],
        &["a car", "--guidance-scale", "-1"],
        &["a car", "--set", "scene.finezt=3"],
        &["a car", "--set", "views"],
        &["a car", "--device", "abacus"],
        &["a car", "--precision", "f8"],
        &["a car", "--preset", "dreamfusion-sd"],
        &["a car", "--prior", "nowhere/at/all"],
        &["a car", "--config", "missing.toml"],
        &["a car", "--negative-prompt", &"very ".repeat(200)],
        &["viewer", "corgi"],
        &["resume", "missing-run"],
        &["export", "missing-run"],
        &["check-mesh", "missing.glb"],
        &["batch", "run", "missing-runs", "--index", "0"],
        &["plan", "a car", "--vram", "nan"],
        &["doctor", "--device", "cpu"],
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = |arguments: &&[&str]| {
        let shown: Vec<String> = arguments
            .iter()
            .map(|argument| argument.chars().take(40).collect())
            .collect();
        let started = dreamfuse(arguments).current_dir(folder.path()).output();
        let output = started.expect("the binary starts");
        let code = output.status.code().expect("it ended by itself");
        format!("{shown:?}\n  {code}: {}", error_of(&output))
    };
    let text = mistakes.iter().map(line).collect::<Vec<_>>().join("\n");
    let text = text.replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!("errors", text);
}
