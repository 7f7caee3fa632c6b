//! The folder of a benchmark: a run and a score for each prompt and seed, and what they come to. Whatever is done in it is
//! not done again, so that several processes may fill one folder, and an interrupted one goes on.

use crate::interrupt;
use crate::usage::peak_mib;
use anyhow::Context;
use dreamfuse_core::Image;
use dreamfuse_core::files::{create_folder, write_atomically};
use dreamfuse_engine::{
    EngineError, Event, ExportOptions, Outcome, Run, RunConfig, RunFolder, Snapshot, export_mesh,
    optimize,
};
use dreamfuse_eval::{Bench, Measured, Report, Score, table};
use dreamfuse_mesh::{Mesh, MeshError, Model};
use dreamfuse_prior::Prior;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// One run of the benchmark.
pub struct Entry {
    pub prompt: String,
    seed: u64,
    root: PathBuf,
}

impl Entry {
    /// Whether it has its score.
    pub fn is_done(&self) -> bool {
        self.score_path().exists()
    }

    fn score_path(&self) -> PathBuf {
        self.root.join("score.json")
    }

    /// What the run took so far.
    fn seconds_path(&self) -> PathBuf {
        self.root.join("seconds.json")
    }

    /// The views beside the truth's.
    fn row_path(&self) -> PathBuf {
        self.root.join("beside-the-truth.png")
    }
}

/// All runs of a benchmark.
pub struct BenchFolder {
    root: PathBuf,
    pub entries: Vec<Entry>,
}

/// Scores a finished run, and writes score and pictures.
fn score(bench: &Bench, entry: &Entry, run: &Run, cost: Measured) -> anyhow::Result<()> {
    let scene = run.snapshot();
    let model = model(&scene, ExportOptions::of(&run.config))?;
    let score = bench.score(&entry.prompt, entry.seed, &scene, &model, cost)?;
    let row = bench.sheet_row(&entry.prompt, &scene)?;
    Image::sheet(&row, row.len()).save_png(&entry.row_path())?;
    write_json(&entry.score_path(), &score)
}

impl BenchFolder {
    /// A folder, which may have been begun, for each of the prompts with each of the seeds.
    pub fn create(root: &Path, prompts: &[String], seeds: &[u64]) -> anyhow::Result<Self> {
        create_folder(root)?;
        let entry = |prompt: &String, seed: &u64| {
            let root = root
                .join(format!("seed-{seed}"))
                .join(prompt.replace(' ', "-"));
            Entry {
                prompt: prompt.clone(),
                seed: *seed,
                root,
            }
        };
        let mut seeds = seeds.to_vec();
        seeds.sort_unstable();
        seeds.dedup();
        let entries = prompts
            .iter()
            .flat_map(|prompt| seeds.iter().map(move |seed| entry(prompt, seed)))
            .collect();
        Ok(Self {
            root: root.to_owned(),
            entries,
        })
    }

    /// Says what cannot be run, before anything is: figures of one benchmark are of one configuration.
    pub fn check(&self, config: &RunConfig) -> anyhow::Result<()> {
        for Entry { prompt, seed, root } in &self.entries {
            let config = RunConfig {
                prompt: prompt.clone(),
                seed: *seed,
                ..config.clone()
            };
            config.check()?;
            let is_other = RunFolder::open(root).is_ok_and(|(_, saved)| saved != config);
            anyhow::ensure!(
                !is_other,
                "{} was run with another configuration; choose another --out",
                root.display()
            );
        }
        Ok(())
    }

    /// Where the controls are kept.
    pub fn controls_path(&self) -> PathBuf {
        self.root.join("controls.json")
    }

    /// Whether every run has its score.
    pub fn is_done(&self) -> bool {
        self.entries.iter().all(Entry::is_done)
    }

    /// Runs and scores one entry, from its last checkpoint where there is one; false if it was interrupted.
    pub fn run(
        &self,
        bench: &Bench,
        entry: &Entry,
        config: &RunConfig,
        prior: &dyn Prior,
    ) -> anyhow::Result<bool> {
        let config = RunConfig {
            prompt: entry.prompt.clone(),
            seed: entry.seed,
            ..config.clone()
        };
        if entry.is_done() {
            return Ok(true);
        }
        note!("{} (seed {})", entry.prompt, entry.seed);
        let start = std::time::Instant::now();
        let (folder, mut run) = open_or_create(&entry.root, config, prior)?;
        let before = if entry.seconds_path().exists() {
            read_json(&entry.seconds_path())?
        } else {
            0.0
        };
        let outcome = optimize(&mut run, prior, &folder, &mut |_: &Event| interrupt::flow());
        let seconds = before + start.elapsed().as_secs_f64();
        write_json(&entry.seconds_path(), &seconds)?;
        match outcome {
            // What came to nothing is scored as such.
            Ok(Outcome::Finished)
            | Err(EngineError::Mesh(MeshError::Empty) | EngineError::Unhealthy { .. }) => {}
            Ok(Outcome::Interrupted) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let cost = Measured {
            seconds,
            peak_mib: peak_mib(),
        };
        score(bench, entry, &run, cost)?;
        Ok(true)
    }

    /// Sums up and writes what there is so far: `toybench.json`, `table.md`, `sheet.png`.
    pub fn report(&self, bench: &Bench) -> anyhow::Result<Report> {
        let done: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.is_done())
            .collect();
        let scores = done
            .iter()
            .map(|entry| read_json(&entry.score_path()))
            .collect::<anyhow::Result<Vec<Score>>>()?;
        let rows = done
            .iter()
            .map(|entry| Image::load_png(&entry.row_path()))
            .collect::<Result<Vec<_>, _>>()?;
        let controls = self
            .controls_path()
            .exists()
            .then(|| read_json(&self.controls_path()))
            .transpose()?;
        let report = Report::new(bench, scores, controls)?;
        write_json(&self.root.join("toybench.json"), &report)?;
        write_atomically(
            &self.root.join("table.md"),
            table(bench, &report).as_bytes(),
        )?;
        if !rows.is_empty() {
            Image::sheet(&rows, 1).save_png(&self.root.join("sheet.png"))?;
        }
        Ok(report)
    }
}

fn open_or_create(
    root: &Path,
    config: RunConfig,
    prior: &dyn Prior,
) -> anyhow::Result<(RunFolder, Run)> {
    match RunFolder::open(root) {
        Ok((folder, _)) => {
            let folder = folder.claim()?;
            let resumed = Run::resume(&folder, config.clone(), prior, &mut |message| {
                say!("warning: {message}");
            });
            match resumed {
                Err(EngineError::NoCheckpoint(_)) => Ok((folder, Run::new(config, prior)?)),
                other => Ok((folder, other?)),
            }
        }
        Err(EngineError::NoRun(_)) => {
            let run = Run::new(config, prior)?;
            Ok((RunFolder::create(root, &run.config)?, run))
        }
        Err(error) => Err(error.into()),
    }
}

/// The model as it was exported; an empty one where nothing reaches the threshold.
fn model(scene: &Snapshot, options: ExportOptions) -> anyhow::Result<Model> {
    match export_mesh(scene, options) {
        Ok(exported) => Ok(exported.model),
        Err(EngineError::Mesh(MeshError::Empty)) => Ok(Model::plain(Mesh::default())),
        Err(error) => Err(error.into()),
    }
}

/// Writes a value as JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(write_atomically(
        path,
        (serde_json::to_string_pretty(value)? + "\n").as_bytes(),
    )?)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged; remove it to make it again", path.display()))
}
