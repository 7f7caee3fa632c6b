//! Many runs as a scheduler's tasks: the same bytes as a run alone, whatever happens in between, and an exit code that says
//! what to do.

mod common;

use common::{complaint, dreamfuse, error_of, run, small_config, text};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROMPTS: &str = "a red car\na golden teapot\n# a note\n\na blue cup\n";
const STEPS: &str = "24";

/// A folder of runs with a plan of three items, and their keys.
struct Runs {
    parent: tempfile::TempDir,
    root: PathBuf,
    keys: Vec<String>,
}

impl Runs {
    fn planned() -> Self {
        let parent = tempfile::tempdir().expect("there is room");
        let root = parent.path().join("runs");
        let prompts = parent.path().join("prompts.txt");
        std::fs::write(&prompts, PROMPTS).expect("there is room");
        let config = small_config(parent.path());
        let output = run(&[
            "batch",
            "plan",
            text(&prompts),
            "--out",
            text(&root),
            "--steps",
            STEPS,
            "--config",
            &config,
        ]);
        assert!(output.status.success(), "{}", complaint(&output));
        let keys = keys(&root);
        assert_eq!(keys.len(), 3);
        Self { parent, root, keys }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(&[&["batch", "run", text(&self.root)], arguments].concat())
    }

    fn mesh(&self, index: usize) -> Vec<u8> {
        std::fs::read(self.root.join(&self.keys[index]).join("mesh.glb")).expect("a mesh")
    }
}

/// The keys of a plan.
fn keys(root: &Path) -> Vec<String> {
    let plan = std::fs::read_to_string(root.join("plan.jsonl")).expect("a plan");
    let key = |line: &str| {
        let item: serde_json::Value = serde_json::from_str(line).expect("JSON");
        item["key"].as_str().expect("a key").to_owned()
    };
    plan.lines().map(key).collect()
}

/// The mesh of a run alone.
fn alone(folder: &Path, prompt: &str) -> Vec<u8> {
    let (config, out) = (small_config(folder), folder.join("alone"));
    let output = run(&[
        prompt,
        "--steps",
        STEPS,
        "--config",
        &config,
        "--out",
        text(&out),
    ]);
    assert!(output.status.success(), "{}", complaint(&output));
    std::fs::read(out.join("mesh.glb")).expect("a mesh")
}

#[test]
fn side_by_side_or_one_after_the_other_items_have_the_bytes_of_runs_alone() {
    let (apart, together) = (Runs::planned(), Runs::planned());
    let scratch = apart.parent.path().join("scratch");
    let tasks = ["--index", "0", "--items-per-task", "3"];
    let output = apart.run(&[&tasks[..], &["--scratch", text(&scratch)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    assert_eq!(std::fs::read_dir(&scratch).expect("it was made").count(), 0);
    let loaded = complaint(&output).matches("prior: ").count();
    assert_eq!(loaded, 1, "the weights are read once a task");
    let output = together.run(&[&tasks[..], &["--together", "3"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    for index in 0..3 {
        assert!(
            apart.mesh(index) == together.mesh(index),
            "item {index} differs"
        );
    }
    assert!(
        apart.mesh(0) == alone(apart.parent.path(), "a red car"),
        "a run alone differs"
    );

    // Done again, nothing is done: neither is the prior loaded.
    let again = together.run(&tasks);
    assert_eq!(
        (again.status.code(), complaint(&again).as_str()),
        (Some(0), "")
    );
    // A file that changed makes the item undone.
    let mesh = together.root.join(&together.keys[1]).join("mesh.glb");
    std::fs::write(&mesh, "torn").expect("there is room");
    assert_eq!(together.run(&tasks).status.code(), Some(0));
    assert!(
        apart.mesh(1) == together.mesh(1),
        "the mesh was not made again"
    );
}

/// Starts an item and sends a signal when its first checkpoint is there; how long it then took, and its exit code.
fn disturbed(runs: &Runs, signal: &str) -> (Duration, Option<i32>) {
    let mut child = dreamfuse(&["batch", "run", text(&runs.root), "--index", "0"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let start = Instant::now();
    let first = runs
        .root
        .join(&runs.keys[0])
        .join("checkpoints/step-0000004.checkpoint");
    while !first.exists() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "no checkpoint appeared"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = Instant::now();
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill")
            .success()
    );
    let code = child.wait().expect("it ends").code();
    (sent.elapsed(), code)
}

#[test]
fn stopped_or_killed_an_item_goes_on_to_the_same_bytes() {
    let runs = Runs::planned();
    let (took, code) = disturbed(&runs, "-TERM");
    assert_eq!(code, Some(75), "a scheduler is asked to run it again");
    assert!(took < Duration::from_secs(1), "it took {took:?} to save");
    let attempts = std::fs::read_to_string(runs.root.join(&runs.keys[0]).join("attempts.jsonl"));
    assert!(attempts.expect("a log").contains("\"code\":75"));
    assert_eq!(runs.run(&["--index", "0"]).status.code(), Some(0));
    let killed = Runs::planned();
    assert_eq!(disturbed(&killed, "-KILL").1, None);
    let status = run(&["batch", "status", text(&killed.root)]);
    let table = String::from_utf8(status.stdout).expect("UTF-8");
    assert!(table.contains("stopped  1\nwaiting  2"), "{table}");
    assert_eq!(killed.run(&["--index", "0"]).status.code(), Some(0));
    let undisturbed = alone(runs.parent.path(), "a red car");
    assert!(runs.mesh(0) == undisturbed, "SIGTERM changed the mesh");
    assert!(killed.mesh(0) == undisturbed, "SIGKILL changed the mesh");
}

#[test]
fn all_on_this_machine_and_a_report_of_them() {
    let runs = Runs::planned();
    let output = runs.run(&["--all", "--jobs", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    let status = run(&["batch", "status", text(&runs.root), "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status["counts"]["done"], 3);
    assert_eq!(status["items"][1]["prompt"], "a golden teapot");
    let output = run(&["batch", "report", text(&runs.root)]);
    let page = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(Path::new(page.trim()).is_file(), "{page}");
    for key in &runs.keys {
        let page = runs.root.join(format!("report/{key}.html"));
        assert!(std::fs::metadata(page).expect("a page").len() > 20_000);
    }
}

#[test]
fn an_item_that_cannot_be_written_or_is_in_use_says_so_by_its_code() {
    let runs = Runs::planned();
    // A folder stands where the mesh goes.
    std::fs::create_dir_all(runs.root.join(&runs.keys[0]).join("mesh.glb/x")).expect("room");
    let output = runs.run(&["--index", "0"]);
    assert_eq!(
        output.status.code(),
        Some(65),
        "the folder is taken: {}",
        complaint(&output)
    );
    let folder = runs.root.join(&runs.keys[1]);
    std::fs::create_dir_all(&folder).expect("room");
    let lock = std::fs::File::create(folder.join(".lock")).expect("room");
    lock.lock().expect("locks");
    let output = runs.run(&["--index", "1"]);
    assert_eq!(output.status.code(), Some(75), "{}", complaint(&output));
    assert!(
        complaint(&output).contains("in use"),
        "{}",
        complaint(&output)
    );
    drop(lock);
    assert_eq!(runs.run(&["--index", "1"]).status.code(), Some(0));
}

#[test]
fn attempts_without_progress_are_given_up() {
    let runs = Runs::planned();
    let folder = runs.root.join(&runs.keys[0]);
    assert_eq!(disturbed(&runs, "-TERM").1, Some(75));
    let log = folder.join("attempts.jsonl");
    let lines = std::fs::read_to_string(&log).expect("a log");
    let first = lines.lines().next().expect("a line");
    // As if it had been started at the checkpoint's step again and again.
    let checkpoints = std::fs::read_dir(folder.join("checkpoints")).expect("checkpoints");
    let steps = checkpoints.flatten().filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix("step-")?
            .strip_suffix(".checkpoint")?
            .parse::<u64>()
            .ok()
    });
    let step = steps.max().expect("a checkpoint");
    let line = first.replace("\"step\":0", &format!("\"step\":{step}")) + "\n";
    std::fs::write(&log, lines.clone() + &line.repeat(5)).expect("room");
    let output = runs.run(&["--index", "0"]);
    assert_eq!(output.status.code(), Some(70), "{}", complaint(&output));
    assert!(
        complaint(&output).contains("no step of progress"),
        "{}",
        complaint(&output)
    );
    std::fs::remove_file(&log).expect("it is there");
    assert_eq!(runs.run(&["--index", "0"]).status.code(), Some(0));
}

/// A file of prompts, its name, and a part of the line that it gets.
const BAD_PROMPTS: &[(&str, &[u8], &str)] = &[
    ("p.txt", b"", "holds no prompts"),
    ("p.txt", b"# notes\n\r\n  \n", "holds no prompts"),
    ("p.txt", b"a car\n\xff\xfe\n", "line 2: expected UTF-8"),
    (
        "p.txt",
        b"a car\n((a red cup))\n",
        "line 2: the prompt has \"((\"",
    ),
    (
        "p.txt",
        b"a car\n<lora:x:1> a cup\n",
        "line 2: the prompt has \"<lora:x:1>\"",
    ),
    ("p.txt", "a car\n\u{202e}ekac a\n".as_bytes(), "line 2:"),
    ("p.txt", "一只松鼠\n".as_bytes(), "line 1:"),
    (
        "p.csv",
        b"prompt;seed\na car;1\n",
        "line 1: expected a column \"prompt\"",
    ),
    (
        "p.csv",
        b"prompt,seed\na car\n",
        "line 2: expected 2 fields, got 1",
    ),
    ("p.csv", b"prompt,seed\na car,x\n", "line 2:"),
    ("p.csv", b"prompt,seed\na car,-3\n", "line 2:"),
    ("p.csv", b"prompt,steps\na car,0\n", "line 2: steps = 0"),
    (
        "p.csv",
        b"prompt,stepz\na car,3\n",
        "line 2: unknown field `stepz`",
    ),
    ("p.csv", b"prompt,scene.finesse\na car,3\n", "line 2:"),
    (
        "p.csv",
        b"prompt,device\na car,abacus\n",
        "line 2: device \"abacus\"",
    ),
    ("p.csv", b"prompt,prior\na car,/nowhere/model\n", "line 2:"),
    (
        "p.csv",
        b"prompt,loras\na car,\"['nowhere.safetensors']\"\n",
        "line 2:",
    ),
    (
        "p.jsonl",
        b"{\"prompt\":\"a car\"\n",
        "line 1: expected a JSON object",
    ),
    ("p.jsonl", b"[]\n", "line 1: expected a JSON object"),
    ("p.jsonl", b"{}\n", "line 1: it has no prompt"),
    (
        "p.jsonl",
        b"{\"prompt\":\"  \"}\n",
        "line 1: it has no prompt",
    ),
    (
        "p.jsonl",
        b"{\"prompt\":[\"a car\"]}\n",
        "line 1: it has no prompt",
    ),
    (
        "p.jsonl",
        b"{\"prompt\":\"a car\",\"views\":null}\n",
        "line 1: views: expected a value",
    ),
    (
        "p.jsonl",
        b"{\"prompt\":\"a car\",\"views\":1e99}\n",
        "line 1:",
    ),
    (
        "p.jsonl",
        b"{\"prompt\":\"a car\",\"seed\":99999999999999999999}\n",
        "line 1:",
    ),
    (
        "p.jsonl",
        b"{\"prompt\":\"a car\",\"scene\":3}\n",
        "line 1:",
    ),
    (
        "p.jsonl",
        b"{\"prompt\":\"a car\",\"seed\":1,\"seed.x\":2}\n",
        "line 1: seed",
    ),
    (
        "p.jsonl",
        b"{\"prompt\":\"a car\",\"guidance_scale\":\"strong\"}\n",
        "line 1:",
    ),
];

#[test]
fn bad_files_of_prompts_get_their_line_and_leave_no_plan() {
    let folder = tempfile::tempdir().expect("room");
    let out = folder.path().join("runs");
    let long = format!("a car\n{}\n", "squirrel ".repeat(12_000));
    let long = ("p.txt", long.as_bytes(), "line 2:");
    for (name, bytes, expected) in BAD_PROMPTS.iter().copied().chain([long]) {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("room");
        let output = run(&["batch", "plan", text(&path), "--out", text(&out)]);
        let error = error_of(&output);
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(error.len() < 1000, "{} characters", error.len());
        assert_eq!(output.status.code(), Some(65), "{error}");
        assert!(!out.exists(), "{error}");
    }
}

/// The keys of a table, with those of the tables in it after a point.
fn leaves(prefix: &str, table: &toml::Table, keys: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => leaves(&format!("{prefix}{key}."), inner, keys),
            _ => keys.push(format!("{prefix}{key}")),
        }
    }
}

#[test]
fn an_absurd_value_of_any_key_gets_its_line() {
    let folder = tempfile::tempdir().expect("room");
    let defaults = dreamfuse_engine::RunConfig::default().to_toml();
    let mut keys = Vec::new();
    leaves("", &defaults.parse().expect("TOML"), &mut keys);
    keys.retain(|key| key != "prompt");
    assert!(keys.len() > 60, "{} keys", keys.len());
    let path = folder.path().join("p.jsonl");
    for key in keys {
        let lines = format!(
            "{{\"prompt\":\"a car\"}}\n{{\"prompt\":\"a car\",{key:?}:{{\"absurd\":[1]}}}}\n"
        );
        std::fs::write(&path, lines).expect("room");
        let out = folder.path().join("runs");
        let output = run(&["batch", "plan", text(&path), "--out", text(&out)]);
        let error = error_of(&output);
        assert!(error.contains("line 2: "), "{key}: {error}");
        assert_eq!(output.status.code(), Some(65), "{error}");
        assert!(!out.exists(), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn a_folder_that_leads_out_of_the_runs_is_refused() {
    let runs = Runs::planned();
    let outside = tempfile::tempdir().expect("room");
    let key = &keys(&runs.root)[0];
    std::os::unix::fs::symlink(outside.path(), runs.root.join(key)).expect("links");
    let output = runs.run(&["--index", "0"]);
    assert!(
        error_of(&output).contains("is a link"),
        "{}",
        complaint(&output)
    );
    assert_eq!(output.status.code(), Some(65));
    let left = std::fs::read_dir(outside.path())
        .expect("it is there")
        .count();
    assert_eq!(left, 0, "something was written outside");
}

#[test]
fn odd_but_good_files_of_prompts_are_taken() {
    let folder = tempfile::tempdir().expect("room");
    for (name, bytes, count) in [
        ("crlf.txt", &b"\xef\xbb\xbfa red car\r\na cup\r\n"[..], 2),
        ("tabs.txt", b"\ta red\tcar \n", 1),
        ("twice.txt", b"a car\na car\n", 1),
        (
            "quotes.csv",
            b"prompt,seed\n\"a \"\"red\"\" car, big\",2\n",
            1,
        ),
        (
            "name with spaces.jsonl",
            b"\n{\"prompt\":\"a car\",\"seed\":4}\n",
            1,
        ),
    ] {
        let (path, out) = (
            folder.path().join(name),
            folder.path().join(format!("{name}.runs")),
        );
        std::fs::write(&path, bytes).expect("room");
        let output = run(&["batch", "plan", text(&path), "--out", text(&out)]);
        assert!(output.status.success(), "{name}: {}", complaint(&output));
        assert_eq!(keys(&out).len(), count, "{name}");
    }
}

#[test]
fn tasks_that_are_not_there_and_plans_that_were_edited_get_their_line() {
    let runs = Runs::planned();
    let usage = |arguments: &[&str], variables: &[(&str, &str)], expected: &str| {
        let arguments = [&["batch", "run", text(&runs.root)], arguments].concat();
        let mut command = dreamfuse(&arguments);
        let output = command
            .envs(variables.iter().copied())
            .output()
            .expect("it starts");
        let error = complaint(&output);
        assert!(error.contains(expected), "{error}");
        assert_eq!(output.status.code(), Some(2), "{error}");
    };
    usage(&[], &[], "no scheduler says which task");
    usage(&["--index", "3"], &[], "--index 3 is not between 0 and 2");
    usage(&[], &[("SLURM_ARRAY_TASK_ID", "7")], "not between 0 and 2");
    usage(
        &[],
        &[("HQ_TASK_ID", "1"), ("SLURM_ARRAY_TASK_ID", "2")],
        "name different tasks",
    );
    usage(&["--index", "0", "--all"], &[], "cannot be used with");
    usage(
        &["--index", "0", "--items-per-task", "0"],
        &[],
        "0 is not in 1..",
    );

    let plan = runs.root.join("plan.jsonl");
    let whole = std::fs::read_to_string(&plan).expect("a plan");
    for (edited, expected) in [
        (
            whole.replacen("a golden teapot", "a golden ring", 1),
            "line 2: the key",
        ),
        (
            whole.replacen("\"steps\":24", "\"steps\":25", 1),
            "line 1: the key",
        ),
        (whole[..whole.len() - 40].to_owned(), "line 3:"),
        ("{}\n".to_owned(), "line 1: missing field"),
        ("\u{0}\u{1}\n".to_owned(), "line 1:"),
    ] {
        std::fs::write(&plan, edited).expect("room");
        for arguments in [
            &["batch", "run", text(&runs.root), "--index", "0"][..],
            &["batch", "status", text(&runs.root)],
            &["cluster", "slurm", text(&runs.root)],
        ] {
            let output = run(arguments);
            assert!(
                error_of(&output).contains(expected),
                "{}",
                complaint(&output)
            );
            assert_eq!(output.status.code(), Some(65));
        }
    }
    let nowhere = run(&["batch", "status", text(&runs.root.join("nowhere"))]);
    assert!(error_of(&nowhere).contains("has no plan.jsonl; hint"));
}

#[test]
fn the_scripts_of_clusters_are_made_for_the_plan() {
    let runs = Runs::planned();
    let slurm =
        |arguments: &[&str]| run(&[&["cluster", "slurm", text(&runs.root)], arguments].concat());
    assert!(slurm(&["--parallel", "2"]).status.success());
    let script = std::fs::read_to_string(runs.root.join("slurm/array.sh")).expect("a script");
    assert!(
        script.contains("--array=0-2%2") && !script.contains("gpu"),
        "{script}"
    );
    // A cluster whose arrays hold two tasks gets two items in one.
    assert!(slurm(&["--max-array-size", "2"]).status.success());
    let script = std::fs::read_to_string(runs.root.join("slurm/array.sh")).expect("a script");
    assert!(
        script.contains("--array=0-1") && script.contains("--items-per-task 2"),
        "{script}"
    );
    let refused = slurm(&["--max-array-size", "2", "--items-per-task", "1"]);
    assert!(error_of(&refused).contains("hint: --items-per-task 2"));
    assert!(error_of(&slurm(&["--sbatch", "--qos=a\n#SBATCH --wait"])).contains("one line"));
    let kubernetes = [
        "cluster",
        "kubernetes",
        text(&runs.root),
        "--image",
        "i",
        "--claim",
        "c",
    ];
    assert!(run(&kubernetes).status.success());
    let manifest = std::fs::read(runs.root.join("job.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["spec"]["completions"], 3);
    let refused = run(&[&kubernetes[..], &["--name", "A Job"]].concat());
    assert!(error_of(&refused).contains("lower-case letters"));
}
