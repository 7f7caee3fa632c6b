//! `dreamfuse eval …`.

use crate::cli::{Shard, ToyBenchArgs};
use crate::interrupt;
use anyhow::Context;
use dreamfuse_core::Picture;
use dreamfuse_core::files::{create_folder, write_atomically};
use dreamfuse_diffusion::Pipeline;
use dreamfuse_engine::{
    EngineError, ExportOptions, Outcome, Run, RunConfig, RunFolder, export_mesh, load_prior, optimize,
};
use dreamfuse_eval::{Bench, Controls, Measured, Report, Score, quick_prompts, table};
use dreamfuse_mesh::{Mesh, MeshError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Steps of a run of the daily version.
const QUICK_STEPS: u64 = 800;

/// One run of the benchmark.
struct Entry {
    prompt: String,
    seed: u64,
    folder: PathBuf,
}

impl Entry {
    fn score_path(&self) -> PathBuf {
        self.folder.join("score.json")
    }

    fn row_path(&self) -> PathBuf {
        self.folder.join("beside-the-truth.png")
    }
}

/// `dreamfuse eval toybench`.
pub fn toybench(args: &ToyBenchArgs) -> anyhow::Result<ExitCode> {
    let bench = Bench::load()?;
    let mut config = args.config.as_deref().map(RunConfig::load).transpose()?.unwrap_or_default();
    config.steps = args.steps.unwrap_or(if args.quick { QUICK_STEPS } else { config.steps });
    let prompts = if args.quick { quick_prompts() } else { bench.prompts.clone() };
    let entries = entries(&prompts, args);
    let prior = load_prior(&config)?;
    create_folder(&args.out)?;
    interrupt::install()?;
    for entry in args.shard.of(&entries).filter(|entry| !entry.score_path().exists()) {
        eprintln!("{} (seed {})", entry.prompt, entry.seed);
        let config = RunConfig { prompt: entry.prompt.clone(), seed: entry.seed, ..config.clone() };
        if !run_entry(&bench, entry, config, &prior)? {
            eprintln!("interrupted; the same command goes on from here");
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        }
        report(&bench, &entries, args)?;
    }
    // Others may still be at work; who comes last measures what all are held against.
    if entries.iter().all(|entry| entry.score_path().exists()) && !controls_path(args).exists() {
        write_json(&controls_path(args), &Controls::measure(&bench))?;
    }
    print!("{}", report(&bench, &entries, args)?);
    Ok(ExitCode::SUCCESS)
}

fn controls_path(args: &ToyBenchArgs) -> PathBuf {
    args.out.join("controls.json")
}

fn entries(prompts: &[String], args: &ToyBenchArgs) -> Vec<Entry> {
    let entry = |prompt: &String, seed: &u64| {
        let folder = args.out.join(format!("seed-{seed}")).join(prompt.replace(' ', "-"));
        Entry { prompt: prompt.clone(), seed: *seed, folder }
    };
    prompts.iter().flat_map(|prompt| args.seeds.iter().map(move |seed| entry(prompt, seed))).collect()
}

/// Runs and scores one entry, from its last checkpoint where there is one; false if it was interrupted.
fn run_entry(bench: &Bench, entry: &Entry, config: RunConfig, prior: &Pipeline) -> anyhow::Result<bool> {
    let start = std::time::Instant::now();
    let (folder, mut run) = open_or_create(&entry.folder, config, prior)?;
    let before = seconds_before(&entry.folder)?;
    let seconds = || before + start.elapsed().as_secs_f64();
    match optimize(&mut run, prior, &folder, &mut |_| {}, &interrupt::is_asked) {
        Ok(Outcome::Finished) | Err(EngineError::Mesh(MeshError::Empty)) => {}
        Ok(Outcome::Interrupted) => {
            write_json(&entry.folder.join("seconds.json"), &seconds())?;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    let cost = Measured { seconds: seconds(), peak_mib: peak_mib() };
    let score = bench.score(&entry.prompt, entry.seed, &run, &mesh(&run)?, cost)?;
    let row = bench.sheet_row(&entry.prompt, &run)?;
    Picture::sheet(&row, row.len()).save_png(&entry.row_path())?;
    write_json(&entry.score_path(), &score)?;
    Ok(true)
}

fn open_or_create(folder: &Path, config: RunConfig, prior: &Pipeline) -> anyhow::Result<(RunFolder, Run)> {
    match RunFolder::open(folder) {
        Ok((opened, saved)) => {
            anyhow::ensure!(
                saved == config,
                "{} was run with another configuration; choose another --out",
                folder.display()
            );
            let resumed = Run::resume(&opened, config.clone(), prior, &mut |message| eprintln!("warning: {message}"));
            match resumed {
                Err(EngineError::NoCheckpoint(_)) => Ok((opened, Run::new(config, prior)?)),
                other => Ok((opened, other?)),
            }
        }
        Err(EngineError::NoRun(_)) => {
            let run = Run::new(config, prior)?;
            Ok((RunFolder::create(folder, &run.config)?, run))
        }
        Err(error) => Err(error.into()),
    }
}

/// The most memory that the process has held so far, in MiB, where the system tells.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

/// What an interrupted run took so far.
fn seconds_before(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("seconds.json");
    if path.exists() { read_json(&path) } else { Ok(0.0) }
}

/// The mesh as it was exported; an empty one where nothing reaches the threshold.
fn mesh(run: &Run) -> anyhow::Result<Mesh> {
    match export_mesh(run, ExportOptions::of(&run.config)) {
        Ok((mesh, ..)) => Ok(mesh),
        Err(EngineError::Mesh(MeshError::Empty)) => Ok(Mesh::default()),
        Err(error) => Err(error.into()),
    }
}

/// Writes what all shards have so far; after every run, so that an interrupted benchmark keeps what it has.
fn report(bench: &Bench, entries: &[Entry], args: &ToyBenchArgs) -> anyhow::Result<String> {
    let done: Vec<&Entry> = entries.iter().filter(|entry| entry.score_path().exists()).collect();
    let scores = done.iter().map(|entry| read_json(&entry.score_path())).collect::<anyhow::Result<Vec<Score>>>()?;
    let rows = done.iter().map(|entry| Picture::load_png(&entry.row_path())).collect::<Result<Vec<_>, _>>()?;
    let controls = controls_path(args).exists().then(|| read_json(&controls_path(args))).transpose()?;
    let report = Report::new(bench, scores, controls)?;
    let text = table(bench, &report);
    write_json(&args.out.join("toybench.json"), &report)?;
    write_atomically(&args.out.join("table.md"), text.as_bytes())?;
    Picture::sheet(&rows, 1).save_png(&args.out.join("sheet.png"))?;
    Ok(text)
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(write_atomically(path, (serde_json::to_string_pretty(value)? + "\n").as_bytes())?)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged; remove it to make it again", path.display()))
}

impl Shard {
    /// Every `count`-th entry.
    fn of(self, entries: &[Entry]) -> impl Iterator<Item = &Entry> {
        entries.iter().skip(self.index - 1).step_by(self.count)
    }
}
