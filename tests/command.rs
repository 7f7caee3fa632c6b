//! The command as its users meet it: what a run leaves, and one clear line for each mistake.

mod common;

use common::{complaint, error_of, run, small_config, text};
use ply_rs_bw::parser::Parser;
use ply_rs_bw::ply::DefaultElement;
use std::path::Path;

#[test]
fn a_run_leaves_meshes_images_events_and_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (small_config(folder.path()), folder.path().join("run"));
    let output = run(&[
        "--quiet",
        "a red mushroom",
        "--steps",
        "6",
        "--config",
        &config,
        "--out",
        text(&out),
    ]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(complaint(&output), "", "--quiet has nothing to tell");
    let listed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(listed.lines().count(), 4, "{listed}");
    for line in listed.lines() {
        assert!(
            Path::new(line).is_file(),
            "{line} was announced and is not there"
        );
    }
    let ply = Parser::<DefaultElement>::new()
        .read_ply(&mut &std::fs::read(out.join("mesh.ply")).unwrap()[..])
        .unwrap();
    assert!(ply.payload["vertex"].len() > 100 && ply.payload["face"].len() > 200);
    let events = std::fs::read_to_string(out.join("events.jsonl")).unwrap();
    let events: Vec<serde_json::Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "started");
    assert_eq!(events[events.len() - 1]["event"], "finished");
    assert!(out.join("previews/step-0000006.png").is_file());

    let saved = std::fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(saved.contains("prompt = \"a red mushroom\"") && saved.contains("steps = 6"));
    for made in ["mesh.glb", "views.png"] {
        std::fs::remove_file(out.join(made)).unwrap();
    }
    let before = std::fs::read(out.join("mesh.ply")).unwrap();
    assert!(
        run(&["export", text(&out), "--format", "glb,ply"])
            .status
            .success()
    );
    assert!(out.join("mesh.glb").is_file() && out.join("views.png").is_file());
    assert_eq!(
        std::fs::read(out.join("mesh.ply")).unwrap(),
        before,
        "an export is the mesh that the run wrote"
    );

    let longer = run(&["resume", text(&out), "--steps", "8"]);
    assert!(longer.status.success(), "{}", complaint(&longer));
    assert!(
        std::fs::read_to_string(out.join("config.toml"))
            .unwrap()
            .contains("steps = 8")
    );
}

#[test]
fn mistakes_in_the_arguments_get_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    let long = "squirrel ".repeat(60);
    let file = inside("file");
    std::fs::write(&file, "x").unwrap();
    let under_file = file.join("run");
    let wrong_key = inside("wrong.toml");
    std::fs::write(&wrong_key, "stepz = 3").unwrap();
    let no_distance = inside("distance.toml");
    std::fs::write(&no_distance, "[cameras]\ndistance = [nan, nan]").unwrap();
    let no_batch = inside("batch.toml");
    let training = std::fs::read_to_string("../dreamfuse-train/configs/prior-32.toml").unwrap();
    std::fs::write(&no_batch, training.replace("batch = 32", "batch = 0")).unwrap();
    let trained = inside("trained");
    for (arguments, part) in [
        (vec![""], "the prompt is empty"),
        (vec!["a car", "--steps", "0"], "steps = 0"),
        (vec!["a car", "--device", "abacus"], "device \"abacus\""),
        (vec![long.as_str()], "tokens"),
        (vec!["a car", "--out", text(&under_file)], "cannot write"),
        (vec!["a car", "--config", text(&wrong_key)], "stepz"),
        (
            vec!["a car", "--config", text(&no_distance)],
            "cameras.distance",
        ),
        (
            vec![
                "prior",
                "train",
                "--config",
                text(&no_batch),
                "--out",
                text(&trained),
                "--steps",
                "1",
            ],
            "batch = 0",
        ),
        (
            vec![
                "prior",
                "train",
                "--config",
                text(&wrong_key),
                "--out",
                text(&trained),
                "--steps",
                "1",
            ],
            "stepz",
        ),
        (
            vec!["prior", "sample", "a car", "--views", "0"],
            "--views 0",
        ),
        (
            vec!["--steps", "1", "resume", "run"],
            "looks like the command \"resume\"",
        ),
        (vec!["a car", "--config", "missing.toml"], "missing.toml"),
        (vec!["a car", "--prior", "missing-prior"], "missing-prior"),
        (vec!["a car", "--preset", "magic3d"], "dreamfusion-if"),
        (
            vec!["a car", "--texts", "missing.safetensors"],
            "missing.safetensors",
        ),
        (
            vec!["prior", "embed", "missing.txt", "--prior", "embedded"],
            "cannot read missing.txt",
        ),
        (
            vec!["prior", "embed", text(&file), "--prior", "missing-prior"],
            "missing-prior",
        ),
        (vec!["a samurai on a motorcycle"], "knows no thing"),
        (vec!["一只松鼠"], "knows no thing"),
        (vec!["plan", "..."], "knows no thing"),
        (vec!["viewer", "corgi"], "hint: dreamfuse \"viewer corgi\""),
        (vec!["a car", "--set", "scene.fines=3"], "fines"),
        (vec!["resme"], "looks like the command \"resume\""),
        (vec!["resume", "missing-run"], "missing-run is not a run"),
        (vec!["a car", "--threads", "0"], "--threads 0"),
        (
            vec![
                "prior",
                "sample",
                "a car",
                "--out",
                "missing/folder/a.png",
                "--steps",
                "1",
            ],
            "cannot write",
        ),
        (
            vec!["prior", "inspect", "a car", "--image", "missing.png"],
            "cannot read missing.png",
        ),
        (
            vec!["prior", "inspect", "a car", "--azimuth", "nan"],
            "--azimuth",
        ),
        (
            vec![
                "eval",
                "toybench",
                "--out",
                text(&inside("bench")),
                "--config",
                "missing.toml",
            ],
            "missing.toml",
        ),
        (
            vec!["eval", "toybench", "--quick", "--out", text(&under_file)],
            "cannot write",
        ),
        (
            vec!["eval", "toybench", "--out", "x", "--shard", "3/2"],
            "as in 2/8",
        ),
        (
            vec!["eval", "clip", "--clip", "missing", "--runs", "missing"],
            "--features clip",
        ),
    ] {
        let error = error_of(&run(&arguments));
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    let usage = run(&["a car", "--stepz", "3"]);
    assert_eq!(usage.status.code(), Some(2));
    let said = complaint(&usage);
    assert!(
        said.contains("--stepz") && said.trim_end().lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_folder_in_use_and_a_broken_checkpoint_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (small_config(folder.path()), folder.path().join("run"));
    assert!(
        run(&[
            "a car",
            "--steps",
            "4",
            "--config",
            &config,
            "--out",
            text(&out)
        ])
        .status
        .success()
    );
    let again = error_of(&run(&[
        "a car",
        "--steps",
        "4",
        "--config",
        &config,
        "--out",
        text(&out),
    ]));
    assert!(again.contains("not empty"), "{again}");
    // Before anything heavy is loaded, and for a file too.
    for taken in [text(&out), &config] {
        let error = error_of(&run(&["a car", "--prior", "missing-prior", "--out", taken]));
        assert!(
            error.contains(taken) && !error.contains("missing-prior"),
            "{error}"
        );
    }
    let checkpoint = out.join("checkpoints/step-0000004.checkpoint");
    let whole = std::fs::read(&checkpoint).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bytes in [&whole[..whole.len() / 3], &flipped[..], b""] {
        std::fs::write(&checkpoint, bytes).unwrap();
        let output = run(&["resume", text(&out), "--steps", "6"]);
        let error = error_of(&output);
        assert!(
            error.contains("step-0000004.checkpoint") && error.contains("damaged"),
            "{error}"
        );
        let complaint = complaint(&output);
        let told = complaint
            .lines()
            .filter(|line| !line.starts_with("prior: "));
        assert_eq!(told.count(), 1, "it is told more than once");
        assert_eq!(
            std::fs::read(&checkpoint).unwrap(),
            bytes,
            "the broken file was touched"
        );
    }
}

/// Public reports, kinds 9 and 10: arguments as people type them, each with words of its one line.
#[test]
fn arguments_of_public_reports_are_named() {
    let long = "red ".repeat(60);
    let cases: &[(&[&str], &str)] = &[
        (&["plan", "一只红色的狐狸"], "knows no thing"),
        (&["plan", "🦊"], "knows no thing"),
        (&["plan", "..."], "knows no thing"),
        (&["plan", "a samurai riding a motorcycle"], "--prior"),
        (&["plan", "a (red:1.3) mushroom"], "\"(red:1.3)\""),
        (&["plan", "a ((red)) mushroom"], "without weights"),
        (&["plan", "a mushroom <lora:detail:1>"], "--lora FILE:SCALE"),
        (&["plan", "a mushroom BREAK a house"], "BREAK"),
        (&["plan", "a mushroom --ar 16:9"], "--ar"),
        (&["plan", "a {red|blue} mushroom"], "one of the words"),
        (
            &["plan", "a car", "--negative-prompt", "(ugly:1.5)"],
            "the negative prompt has",
        ),
        (
            &["plan", "a car", "--negative-prompt", &long],
            "the negative prompt has 60 tokens",
        ),
        (&["plan", "a car", "--prompt", &long], "cannot be used with"),
        (
            &["plan", "--prompt", &format!("a car {long}")],
            "the prompt has 65 tokens",
        ),
        (
            &["plan", "a car", "--preset", "dreamfusion-sd"],
            "hint: --prior",
        ),
        (
            &["plan", "a car", "--preset", "dreamfusion-if"],
            "hint: --prior",
        ),
        (&["plan", "a car", "--seed", "-2"], "-1 to draw one"),
        (
            &["plan", "a car", "--seed", "1.5"],
            "expected a whole number",
        ),
        (
            &["plan", "a car", "--prior", "https://huggingface.co/a/b"],
            "a/b",
        ),
        (
            &["plan", "a car", "--prior", "https://civitai.com/models/1"],
            "download the file",
        ),
        (
            &["prior", "sample", "a car", "-o", "x.jpg"],
            "expected a name in .png",
        ),
        (
            &["prior", "inspect", "a car", "-o", "x.webp"],
            "expected a name in .png",
        ),
    ];
    for (arguments, words) in cases {
        let output = run(arguments);
        let lines = complaint(&output);
        assert!(!output.status.success(), "{arguments:?}");
        assert_eq!(lines.lines().count(), 1, "{arguments:?}: {lines}");
        assert!(lines.contains(words), "{arguments:?}: {lines}");
    }
    let doctor = run(&["--threads", "1", "doctor"]);
    let report = String::from_utf8(doctor.stdout).unwrap();
    assert!(report.contains("threads          1"), "{report}");
}

/// Public reports, kinds 8 and 9: a run in use, and a prior that is another than the run's.
#[test]
fn a_run_is_resumed_by_one_process_and_with_its_own_prior() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (small_config(folder.path()), folder.path().join("run"));
    let reference =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../dreamfuse-diffusion/tests/reference");
    let [first, second] = ["sd15", "sd21"].map(|name| reference.join(name));
    let start = ["a car", "--steps", "4", "--config", &config];
    let place = ["--out", text(&out), "--prior", text(&first)];
    assert!(run(&[&start[..], &place[..]].concat()).status.success());
    let resume = ["resume", text(&out), "--steps", "6"];
    let error = error_of(&run(&[&resume[..], &["--prior", text(&second)]].concat()));
    assert!(
        error.contains("not the prior that the run began with"),
        "{error}"
    );
    let lock = std::fs::File::open(out.join(".lock")).unwrap();
    lock.lock().unwrap();
    let error = error_of(&run(&resume));
    assert!(error.contains("is in use by process"), "{error}");
    lock.unlock().unwrap();
    let moved = folder.path().join("moved");
    std::os::unix::fs::symlink(&first, &moved).unwrap();
    let output = run(&[&resume[..], &["--prior", text(&moved)]].concat());
    assert!(output.status.success(), "{}", complaint(&output));
}

#[test]
fn unknown_words_are_named_with_near_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (small_config(folder.path()), folder.path().join("run"));
    let output = run(&[
        "a red squirel on a barrel",
        "--steps",
        "1",
        "--config",
        &config,
        "--out",
        text(&out),
    ]);
    let warnings = complaint(&output);
    assert!(
        warnings.contains("does not know \"squirel\"") && warnings.contains("squirrel"),
        "{warnings}"
    );
}

#[test]
fn the_small_commands_answer() {
    let words = run(&["prior", "words"]);
    let listed = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.status.success() && listed.contains("squirrel") && listed.contains("gingerbread")
    );
    let planned = String::from_utf8(run(&["plan", "a car"]).stdout).unwrap();
    assert!(
        planned.contains("million numbers") && planned.contains("s a step"),
        "{planned}"
    );
    let fits = String::from_utf8(run(&["plan", "a car", "--vram", "8"]).stdout).unwrap();
    assert!(
        fits.contains("8 GiB with --precision f32 --views 4"),
        "{fits}"
    );
    let doctor = run(&["doctor"]);
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        doctor.status.success() && said.contains("built-in prior"),
        "{said}"
    );
    for arguments in [&["plan", "a car", "--json"][..], &["doctor", "--json"]] {
        let told = run(arguments);
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        assert!(
            told["memory_gib"].as_f64().is_some() || told["devices"][0] == "cpu",
            "{told}"
        );
    }
    let test = run(&["doctor", "--selftest"]);
    let said = String::from_utf8(test.stdout).unwrap();
    let holds = said.lines().filter(|line| line.ends_with("| ok |"));
    assert!(
        test.status.success() && holds.count() == 11 && said.contains("steps/s, finite"),
        "{said}"
    );
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("a squirrel at an easel") && help.contains("--guidance-scale"));
    let folder = tempfile::tempdir().unwrap();
    let sheet = folder.path().join("s.png");
    let sampled = run(&[
        "prior",
        "sample",
        "a red mushroom",
        "--views",
        "2",
        "--steps",
        "2",
        "-o",
        text(&sheet),
    ]);
    assert!(sampled.status.success(), "{}", complaint(&sampled));
    assert!(std::fs::read(sheet).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_benchmark_goes_on_where_it_was_left_and_shards_meet_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (small_config(folder.path()), folder.path().join("bench"));
    let bench = |shard: &str, steps: &str| {
        run(&[
            "eval",
            "toybench",
            "--quick",
            "--steps",
            steps,
            "--shard",
            shard,
            "--config",
            &config,
            "--out",
            text(&out),
        ])
    };
    let first = bench("1/6", "4");
    assert!(first.status.success(), "{}", complaint(&first));
    let second = bench("5/6", "4");
    let table = String::from_utf8(second.stdout).unwrap();
    assert!(
        table.contains("| a squirrel | 0 |") && table.contains("| a blue mushroom | 0 | yes |"),
        "{table}"
    );
    assert!(table.contains("Means of 2 runs"), "{table}");
    let made = |name: &str| {
        std::fs::metadata(out.join("seed-0/a-squirrel").join(name))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = made("score.json");
    assert!(bench("1/6", "4").status.success());
    assert_eq!(made("score.json"), before, "what is done is not done again");
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("toybench.json")).unwrap()).unwrap();
    assert_eq!(report["scores"].as_array().unwrap().len(), 2);
    let studied = folder.path().join("study");
    let one = [
        "--steps",
        "4",
        "--shard",
        "1/40",
        "--config",
        &config,
        "--out",
        text(&studied),
    ];
    let study = run(&[&["eval", "ablation", "--study", "pairs"], &one[..]].concat());
    assert!(study.status.success(), "{}", complaint(&study));
    let table = std::fs::read_to_string(studied.join("ablation.md")).unwrap();
    assert!(
        table.contains("| the defaults | 1 |") && table.contains("| eight views a step | 0 | – |"),
        "{table}"
    );
    assert!(error_of(&bench("1/6", "5")).contains("another configuration"));
    // The truth is asked about unlit views: only against such a run can it be told whether it was.
    let unlit = folder.path().join("unlit.toml");
    std::fs::write(
        &unlit,
        std::fs::read_to_string(&config)
            .unwrap()
            .replace("lit = 1.0", "lit = 0.0"),
    )
    .unwrap();
    let one_unlit = |out: &Path, more: &[&str]| {
        let one = [
            "--steps",
            "4",
            "--shard",
            "1/6",
            "--config",
            text(&unlit),
            "--out",
            text(out),
        ];
        run(&[&["eval", "toybench", "--quick"], &one[..], more].concat())
    };
    let [prior, known] = ["prior", "truth"].map(|name| folder.path().join(name));
    assert!(one_unlit(&prior, &[]).status.success());
    assert!(error_of(&one_unlit(&prior, &["--truth"])).contains("another configuration"));
    assert!(one_unlit(&known, &["--truth"]).status.success());
    let meshes = [&prior, &known]
        .map(|folder| std::fs::read(folder.join("seed-0/a-squirrel/mesh.ply")).unwrap());
    assert!(meshes[0] != meshes[1], "the truth was not asked");
    // A run that lacks its score goes on.
    std::fs::remove_file(out.join("seed-0/a-squirrel/score.json")).unwrap();
    assert!(bench("1/6", "4").status.success());
}

/// Nobody reads what is printed, or there is no room for it.
#[test]
fn printing_never_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (small_config(folder.path()), folder.path().join("run"));
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let arguments = [
        "a car",
        "--steps",
        "3",
        "--config",
        &config,
        "--out",
        text(&out),
    ];
    let status = common::dreamfuse(&arguments)
        .stdout(full())
        .stderr(full())
        .status()
        .unwrap();
    assert!(status.success() && out.join("mesh.glb").exists());
    let mut child = common::dreamfuse(&["doctor"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
}

#[test]
fn a_folder_whose_name_is_not_utf8_holds_a_run() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    let out = folder.path().join(std::ffi::OsStr::from_bytes(b"r\xffn"));
    let output = common::dreamfuse(&["a car", "--steps", "3", "--config", &config, "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(out.join("mesh.glb").exists() && out.join("events.jsonl").exists());
}

#[test]
fn meshes_are_judged_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    let out = folder.path().join("run");
    let arguments = ["a red mushroom", "--steps", "3", "--config", &config];
    assert!(
        run(&[&arguments[..], &["--out", text(&out)]].concat())
            .status
            .success()
    );
    let formats = ["--format", "glb, PLY,obj,stl", "--size", "80"];
    let exported = run(&[&["export", text(&out)], &formats[..]].concat());
    assert!(exported.status.success(), "{}", complaint(&exported));
    for name in ["mesh.glb", "mesh.ply", "mesh.obj", "mesh.stl"] {
        let checked = run(&["check-mesh", "--json", text(&out.join(name))]);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{name}: {}",
            complaint(&checked)
        );
        let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!(report["boundary_edges"], 0);
        let sides = |axis: usize| {
            let corner = |end: usize| report["bounds"][end][axis].as_f64().unwrap();
            corner(1) - corner(0)
        };
        let longest = (0..3).map(sides).fold(0.0, f64::max);
        assert_eq!((longest - 80.0).abs() < 1e-3, name == "mesh.stl", "{name}");
    }
    let open = folder.path().join("open.obj");
    std::fs::write(&open, "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n").unwrap();
    let flawed = run(&["check-mesh", text(&open)]);
    let table = String::from_utf8(flawed.stdout.clone()).unwrap();
    assert_eq!(flawed.status.code(), Some(65));
    assert!(table.contains("flaw: 3 open edges"), "{table}");
    for (name, bytes, part) in [
        ("a.glb", &b"a page of a hotel"[..], "expected glTF"),
        ("a.fbx", b"Kaydara", "expected a mesh format"),
        ("a.ply", b"", "PLY"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = error_of(&run(&["check-mesh", text(&path)]));
        assert!(error.contains(part), "{error}");
    }
    for (option, value) in [
        ("--size", "0"),
        ("--size", "nan"),
        ("--unwrap-seconds", "-1"),
        ("--faces", "3"),
        ("--texture", "9999"),
    ] {
        let given = format!("{option}={value}");
        let refused = error_of(&run(&["export", text(&out), &given]));
        assert!(
            refused.contains(value) || refused.contains(option),
            "{refused}"
        );
    }
}

#[test]
fn a_second_stage_is_logged_kept_and_exported_without_the_prior() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_config(folder.path());
    let [whole, later] = ["whole", "later"].map(|name| folder.path().join(name));
    let start = |out: &Path, more: &[&str]| {
        let arguments = [
            "a red mushroom",
            "--steps",
            "6",
            "--config",
            &config,
            "--out",
            text(out),
        ];
        let output = run(&[&arguments[..], more].concat());
        assert!(output.status.success(), "{}", complaint(&output));
    };
    start(&whole, &["--refine", "3", "--set", "refine.views=2"]);
    let events = std::fs::read_to_string(whole.join("events.jsonl")).unwrap();
    assert_eq!(
        events.matches("\"event\":\"refined\"").count(),
        3,
        "{events}"
    );
    // The stage alone, on a run that had ended, gives the same bytes.
    start(&later, &["--set", "refine.views=2"]);
    let mesh = |folder: &Path| std::fs::read(folder.join("mesh.glb")).unwrap();
    let (refined, baked) = (mesh(&whole), mesh(&later));
    assert!(
        run(&["resume", text(&later), "--refine", "3"])
            .status
            .success()
    );
    assert_ne!(refined, baked);
    assert_eq!(refined, mesh(&later));
    // An export starts from the refined mesh, and cannot make another.
    std::fs::remove_file(whole.join("mesh.glb")).unwrap();
    assert!(
        run(&["export", text(&whole), "--format", "glb,stl"])
            .status
            .success()
    );
    assert_eq!(refined, mesh(&whole));
    let refused = error_of(&run(&["export", text(&whole), "--faces", "900"]));
    assert!(refused.contains("second stage"), "{refused}");
    let kept = whole.join("refined.mesh");
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() / 2]).unwrap();
    assert!(error_of(&run(&["export", text(&whole)])).contains("refined.mesh"));
    for wrong in ["refine.rate=2", "refine.noise=[0.5, nan]", "refine.views=0"] {
        let refused = error_of(&run(&["plan", "a car", "--set", wrong]));
        assert!(refused.contains("refine."), "{refused}");
    }
}

#[test]
fn shells_complete_the_words_of_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(script.status.success());
        let script = String::from_utf8(script.stdout).unwrap();
        assert!(script.contains("check-mesh") && script.contains("guidance-scale"));
    }
}
