//! The house keeps its rooms: who may use whom, and that every module says what it is for.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};

/// Each crate and what it may use of ours.
const MAY_USE: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("kernels", &[]),
    ("scene", &["core", "kernels"]),
    ("prior", &["core"]),
    ("diffusion", &["core", "kernels", "prior"]),
    // Its tests distil from latent diffusion models.
    ("distill", &["core", "prior", "diffusion"]),
    ("mesh", &["core"]),
    ("toybox", &["core"]),
    (
        "train",
        &["core", "kernels", "prior", "diffusion", "toybox"],
    ),
    (
        "engine",
        &[
            "core",
            "kernels",
            "scene",
            "prior",
            "diffusion",
            "distill",
            "mesh",
        ],
    ),
    ("batch", &["core", "prior", "diffusion", "engine"]),
    ("clip", &["core"]),
    ("hub", &[]),
    (
        "eval",
        &[
            "core",
            "prior",
            "diffusion",
            "distill",
            "engine",
            "mesh",
            "scene",
            "toybox",
        ],
    ),
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The crates of ours that a manifest depends on, however it says so.
fn used(manifest: &str) -> Vec<String> {
    let keys: toml::Table = toml::from_str(manifest).unwrap();
    let targets = keys.get("target").and_then(|table| table.as_table());
    let targets = targets.into_iter().flat_map(toml::Table::values);
    let all: Vec<&toml::Table> = std::iter::once(&keys)
        .chain(targets.filter_map(toml::Value::as_table))
        .collect();
    let mut used = Vec::new();
    for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let tables = all.iter().filter_map(|keys| keys.get(table)?.as_table());
        let names = tables.flat_map(|table| {
            table.iter().map(|(name, value)| {
                let package = value.get("package").and_then(toml::Value::as_str);
                package.unwrap_or(name)
            })
        });
        used.extend(
            names
                .filter_map(|name| name.strip_prefix("dreamfuse-"))
                .map(String::from),
        );
    }
    used
}

#[test]
fn every_way_of_naming_a_dependency_is_seen() {
    let manifest = "[dependencies]\ndreamfuse-core.workspace = true\n\
        dreamfuse-mesh = { workspace = true, optional = true }\n\
        other = { package = \"dreamfuse-hub\", path = \"..\" }\n\
        [target.'cfg(unix)'.dependencies]\ndreamfuse-clip.workspace = true\n\
        [dev-dependencies.dreamfuse-eval]\nworkspace = true\n";
    assert_eq!(used(manifest), ["core", "mesh", "hub", "clip", "eval"]);
}

#[test]
fn arrows_between_crates_point_one_way() {
    let mut seen = 0;
    for entry in std::fs::read_dir(crates()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(short) = name.strip_prefix("dreamfuse-") else {
            continue;
        };
        seen += 1;
        let allowed = MAY_USE.iter().find(|(crate_name, _)| *crate_name == short);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} has no room in the house"));
        for other in used(&std::fs::read_to_string(entry.path().join("Cargo.toml")).unwrap()) {
            assert!(
                allowed.contains(&other.as_str()),
                "{name} may not use dreamfuse-{other}"
            );
        }
    }
    assert_eq!(seen, MAY_USE.len());
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(crates()).unwrap().flatten() {
        sources(&entry.path().join("src"), &mut files);
    }
    assert!(files.len() > 60);
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        assert!(
            std::fs::read_to_string(file).unwrap().starts_with("//!"),
            "{} has no module documentation",
            file.display()
        );
    }
}
