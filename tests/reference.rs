//! docs/cli.md and docs/configuration.md say what the command takes, and are not stale. To write them
//! anew: `DREAMFUSE_UPDATE_DOCS=1 cargo test --release --workspace --test reference`.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::run;
use dreamfuse_engine::RunConfig;
use std::fmt::Write;
use std::path::Path;

/// Compares a page with what it has to be, or writes it.
fn assert_page(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("DREAMFUSE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == expected,
        "docs/{name} is stale: run DREAMFUSE_UPDATE_DOCS=1 cargo test --release --workspace --test reference"
    );
}

/// The help of a command, and the commands under it.
fn help(command: &[&str]) -> (String, Vec<String>) {
    let output = run(&[command, &["--help"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(String::from)
        .collect();
    (text, names)
}

fn write_command(command: &[&str], page: &mut String) {
    let (text, names) = help(command);
    let name = [&["dreamfuse"], command].concat().join(" ");
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", text.trim_end()).unwrap();
    for name in &names {
        write_command(&[command, &[name]].concat(), page);
    }
}

#[test]
fn every_command_and_flag_is_documented() {
    let mut page = String::from(
        "# The command line\n\nWhat `--help` prints for each command. tests/reference.rs checks this page and writes it anew.\n",
    );
    write_command(&[], &mut page);
    for part in [
        "--set <KEY=VALUE>",
        "## dreamfuse prior score",
        "--guidance-scale",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_page("cli.md", &page);
}

/// The documented fields of a struct in a source file: name and documentation.
fn fields(source: &str, name: &str) -> Vec<(String, String)> {
    let start = format!("pub struct {name} {{");
    let body = source.split_once(&start).unwrap().1;
    let mut fields = Vec::new();
    let mut docs: Vec<&str> = Vec::new();
    for line in body.lines().take_while(|line| *line != "}") {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim());
        } else if let Some(field) = line.strip_prefix("pub ") {
            let (name, _) = field.split_once(':').unwrap();
            fields.push((name.to_owned(), docs.join(" ")));
            docs.clear();
        }
    }
    assert!(!fields.is_empty(), "{name} has no fields");
    fields
}

fn write_table(page: &mut String, table: &toml::Table, fields: &[(String, String)]) {
    page.push_str("| key | default | meaning |\n| --- | --- | --- |\n");
    for (key, docs) in fields {
        let default = match table.get(key) {
            Some(toml::Value::Table(_)) => continue,
            Some(value) => format!("`{value}`"),
            None => "not set".into(),
        };
        assert!(!docs.is_empty(), "{key} has no documentation");
        let docs = docs
            .replace("[`", "`")
            .replace("`]", "`")
            .replace('|', "\\|");
        writeln!(page, "| `{key}` | {default} | {docs} |").unwrap();
    }
}

#[test]
fn every_key_of_the_configuration_is_documented() {
    let defaults: toml::Table = toml::from_str(&RunConfig::default().to_toml()).unwrap();
    let source = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        std::fs::read_to_string(path).unwrap()
    };
    let mut page = String::from(
        "# The configuration of a run\n\n\
         The keys of `config.toml`, `--config FILE` and `--set KEY=VALUE`. tests/reference.rs checks\n\
         this page against the doc comments of the code. Angles are in degrees, lengths in units of the world, whose scene\n\
         lies in [−1, 1]³.\n\n",
    );
    let top = fields(&source("dreamfuse-engine/src/config.rs"), "RunConfig");
    write_table(&mut page, &defaults, &top);
    let sections = [
        (
            "losses",
            "dreamfuse-engine/src/regularizers.rs",
            "LossWeights",
        ),
        (
            "guidance",
            "dreamfuse-distill/src/guidance.rs",
            "GuidanceConfig",
        ),
        ("time", "dreamfuse-distill/src/time.rs", "TimeSchedule"),
        ("scene", "dreamfuse-scene/src/config.rs", "SceneConfig"),
        ("cameras", "dreamfuse-core/src/camera.rs", "CameraRange"),
        ("lights", "dreamfuse-core/src/shading.rs", "LightRange"),
        (
            "reference",
            "dreamfuse-engine/src/reference.rs",
            "ReferenceConfig",
        ),
        ("refine", "dreamfuse-engine/src/refine.rs", "RefineConfig"),
    ];
    for (key, path, name) in sections {
        write!(page, "\n## [{key}]\n\n").unwrap();
        let table = defaults[key].as_table().unwrap();
        let fields = fields(&source(path), name);
        // Nothing of the saved configuration is missing on the page.
        for saved in table.keys() {
            assert!(
                fields.iter().any(|(field, _)| field == saved),
                "{key}.{saved}"
            );
        }
        write_table(&mut page, table, &fields);
    }
    for key in defaults.keys() {
        let is_there = top.iter().any(|(field, _)| field == key);
        assert!(is_there, "{key}");
        let is_section = defaults[key].is_table();
        assert!(
            !is_section || sections.iter().any(|(section, ..)| section == key),
            "{key}"
        );
    }
    assert_page("configuration.md", &page);
}
