//! Pictures in the place of texts, with the real binary and a tiny prior that a few steps of training make.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::{complaint, error_of, run, small_config, text};
use dreamfuse_core::Image;
use dreamfuse_train::{RowsConfig, TrainConfig, Trainer, UVitShape};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A prior of 16 × 16 pixels that takes references, and has seen a few.
fn prior(folder: &Path) -> PathBuf {
    let text = include_str!("../crates/dreamfuse-train/configs/uvit-32.toml");
    let config: TrainConfig = toml::from_str(text).unwrap();
    let config = TrainConfig {
        size: 16,
        batch: 4,
        text_width: 16,
        text_layers: 1,
        warmup_steps: 2,
        ema_decay: 0.5,
        rate: 4e-3,
        uvit: Some(UVitShape {
            channels: 8,
            hidden_size: 16,
            blocks: 1,
            heads: 2,
        }),
        rows: Some(RowsConfig {
            share: 1.0,
            toys: 0.5,
            canonical: 0.2,
            several: 0.2,
            drop: 0.1,
            drop_text: 0.3,
            noise: 0.3,
            turned: 0.15,
            alone: false,
        }),
        ..config
    };
    let mut trainer = Trainer::new(config).unwrap();
    trainer.run(30, |_, _| ControlFlow::Continue(())).unwrap();
    let out = folder.join("prior");
    trainer.export(&out).unwrap();
    out
}

/// A red disc on grey.
fn picture(folder: &Path) -> PathBuf {
    picture_of(folder, "disc.png", 20.0)
}

fn picture_of(folder: &Path, name: &str, radius: f32) -> PathBuf {
    let pixel = |index: usize| {
        let [x, y] = [index % 64, index / 64].map(|at| at as f32 - 31.5);
        if x.hypot(y) < radius {
            [0.8, 0.1, 0.1]
        } else {
            [0.6; 3]
        }
    };
    let path = folder.join(name);
    let image = Image::square(64, (0..64 * 64).map(pixel).collect());
    image.save_png(&path).unwrap();
    path
}

struct Setup {
    folder: tempfile::TempDir,
    prior: PathBuf,
    picture: PathBuf,
}

fn setup() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    Setup {
        prior: prior(folder.path()),
        picture: picture(folder.path()),
        folder,
    }
}

fn mesh(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("mesh.glb")).expect("the run wrote a mesh")
}

#[test]
fn views_are_drawn_and_the_same_seed_draws_the_same() {
    let Setup {
        folder,
        prior,
        picture,
    } = setup();
    let sheet = |name: &str, besides: &[&str]| {
        let out = folder.path().join(name);
        let always = [
            "prior",
            "views",
            "--picture",
            text(&picture),
            "--prior",
            text(&prior),
            "--views",
            "3",
            "--steps",
            "4",
            "-o",
            text(&out),
        ];
        let output = run(&[&always[..], besides].concat());
        assert!(output.status.success(), "{}", complaint(&output));
        (std::fs::read(&out).unwrap(), complaint(&output))
    };
    let known = ["--azimuth", "30", "--elevation", "20"];
    let (first, _) = sheet("a.png", &known);
    assert_eq!(sheet("b.png", &known).0, first);
    assert_ne!(
        sheet("c.png", &[&known[..], &["--fixed"]].concat()).0,
        first
    );
    assert_ne!(
        sheet("d.png", &[&known[..], &["--seed", "1"]].concat()).0,
        first
    );
    // Without a camera the prior is asked, and its answer is told.
    let (_, told) = sheet("e.png", &[]);
    assert!(
        told.contains("--azimuth") && told.contains("--elevation"),
        "{told}"
    );
}

#[test]
fn a_run_with_a_picture_resumes_to_the_same_bytes_and_is_named_for_it() {
    let Setup {
        folder,
        prior,
        picture,
    } = setup();
    let config = small_config(folder.path());
    let start = |out: &Path, steps: &str, besides: &[&str]| {
        let always = [
            "--picture",
            text(&picture),
            "--prior",
            text(&prior),
            "--config",
            &config,
            "--steps",
            steps,
            "--out",
            text(out),
        ];
        let output = run(&[&always[..], besides].concat());
        assert!(output.status.success(), "{}", complaint(&output));
    };
    let (whole, parted) = (folder.path().join("whole"), folder.path().join("parted"));
    start(&whole, "8", &[]);
    // As it was after four of the eight steps.
    start(&parted, "8", &[]);
    std::fs::remove_file(parted.join("mesh.glb")).unwrap();
    for entry in std::fs::read_dir(parted.join("checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().contains("000004") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let output = run(&["resume", text(&parted)]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(mesh(&whole) == mesh(&parted), "the meshes differ");
    // The camera that was estimated is written down, and the losses of the picture are told.
    let saved = std::fs::read_to_string(whole.join("config.toml")).unwrap();
    assert!(
        saved.contains("azimuth = ") && saved.contains("disc.png"),
        "{saved}"
    );
    // A run does not go on with another picture.
    let kept = parted.join("picture/disc.png");
    Image::filled(32, 32, [0.2; 3]).save_png(&kept).unwrap();
    let line = error_of(&run(&["resume", text(&parted), "--steps", "9"]));
    assert!(line.contains("disc.png"), "{line}");
    let other = picture_of(folder.path(), "other.png", 14.0);
    std::fs::copy(other, &kept).unwrap();
    let line = error_of(&run(&["resume", text(&parted), "--steps", "9"]));
    assert!(line.contains("reference.sha256"), "{line}");
    let events = std::fs::read_to_string(whole.join("events.jsonl")).unwrap();
    assert!(events.contains("\"mask\":"), "{events}");
    // Two devices share the views out, and the picture with them.
    let shared = folder.path().join("shared");
    start(&shared, "8", &["--device", "cpu,cpu", "--threads", "1"]);
    let again = folder.path().join("again");
    start(&again, "8", &["--device", "cpu,cpu", "--threads", "2"]);
    assert!(mesh(&shared) == mesh(&again), "the meshes differ");
}

#[test]
fn a_run_is_shown_views_that_the_prior_drew() {
    let Setup { folder, prior, .. } = setup();
    let config = small_config(folder.path());
    let start = |name: &str, besides: &[&str]| {
        let out = folder.path().join(name);
        let always = [
            "a red car",
            "--prior",
            text(&prior),
            "--config",
            &config,
            "--steps",
            "4",
            "--out",
            text(&out),
        ];
        let output = run(&[&always[..], besides].concat());
        assert!(output.status.success(), "{}", complaint(&output));
        mesh(&out)
    };
    let drawn = [
        "--set",
        "reference.draw=3",
        "--set",
        "reference.draw_from=0",
    ];
    let first = start("a", &drawn);
    assert!(start("b", &drawn) == first, "the meshes differ");
    assert!(start("c", &[]) != first, "what was drawn is not heard");
}

#[test]
fn pictures_that_cannot_be_used_get_one_line() {
    let Setup {
        folder,
        prior,
        picture,
    } = setup();
    let nowhere = folder.path().join("nowhere.png");
    let words = folder.path().join("words.png");
    std::fs::write(&words, "a squirrel at an easel").unwrap();
    let empty = folder.path().join("empty.png");
    Image::filled(64, 64, [0.3; 3]).save_png(&empty).unwrap();
    let small = folder.path().join("small.png");
    Image::filled(4, 4, [0.3; 3]).save_png(&small).unwrap();
    for (path, part) in [
        (&nowhere, "nowhere.png"),
        (&words, "expected a PNG or a JPEG"),
        (&empty, "shows none"),
        (&small, "got 4 × 4"),
    ] {
        let out = folder.path().join("run");
        let given = ["--picture", text(path), "--prior", text(&prior)];
        let line = error_of(&run(&[&given[..], &["--out", text(&out)]].concat()));
        assert!(line.contains(part), "{line}");
        assert!(!out.exists(), "nothing is left half begun");
        let sheet = folder.path().join("sheet.png");
        let line = error_of(&run(&[
            &["prior", "views"],
            &given[..],
            &["-o", text(&sheet)],
        ]
        .concat()));
        assert!(line.contains(part) && !sheet.exists(), "{line}");
    }
    // The built-in prior of today takes none, and says so.
    let line = error_of(&run(&["--picture", text(&picture), "--steps", "1"]));
    assert!(line.contains("takes images"), "{line}");
    let half = ["--picture", text(&picture), "--azimuth", "10"];
    let line = error_of(&run(&[&half[..], &["--prior", text(&prior)]].concat()));
    assert!(line.contains("reference.elevation"), "{line}");
}
