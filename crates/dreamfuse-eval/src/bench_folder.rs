//! The folder of a benchmark: a run and a score for each prompt and seed, and what they come to. Whatever is done in it is
//! not done again, so that several processes may fill one folder, and an interrupted one goes on.

use crate::controls::Controls;
use crate::report::{Report, table};
use crate::toybench::{Bench, EvalError, Measured, Score};
use dreamfuse_core::Image;
use dreamfuse_core::files::{create_folder, write_atomically};
use dreamfuse_engine::{
    EngineError, ExportOptions, Observer, Outcome, Run, RunConfig, RunFolder, Snapshot,
    export_mesh, optimize, peak_mib,
};
use dreamfuse_mesh::{Mesh, MeshError, Model};
use dreamfuse_prior::Prior;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// One run of the benchmark.
pub struct Entry {
    pub prompt: String,
    pub seed: u64,
    root: PathBuf,
}

impl Entry {
    /// Whether it has its score.
    pub fn is_done(&self) -> bool {
        self.score_path().exists()
    }

    /// Runs and scores it, from its last checkpoint where there is one; false if it was interrupted. `warn` hears what a
    /// checkpoint says.
    ///
    /// # Errors
    /// When the run fails by more than coming to nothing, or a file cannot be read or written.
    pub fn run(
        &self,
        job: &Job,
        observer: &mut dyn Observer,
        warn: &mut dyn FnMut(&str),
    ) -> Result<bool, EvalError> {
        if self.is_done() {
            return Ok(true);
        }
        let config = RunConfig {
            prompt: self.prompt.clone(),
            seed: self.seed,
            ..job.config.clone()
        };
        let start = std::time::Instant::now();
        let (folder, mut run) = open_or_create(&self.root, config, job.prior, warn)?;
        let before = if self.seconds_path().exists() {
            read_json(&self.seconds_path())?
        } else {
            0.0
        };
        let outcome = optimize(&mut run, job.prior, &folder, observer);
        let seconds = before + start.elapsed().as_secs_f64();
        write_json(&self.seconds_path(), &seconds)?;
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
        score(job.bench, self, &run, cost)?;
        Ok(true)
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

/// What the runs of a folder have in common.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub bench: &'a Bench,
    /// But for prompt and seed.
    pub config: &'a RunConfig,
    pub prior: &'a dyn Prior,
}

/// All runs of a benchmark.
pub struct BenchFolder {
    root: PathBuf,
    pub entries: Vec<Entry>,
}

/// Scores a finished run, and writes score and pictures.
fn score(bench: &Bench, entry: &Entry, run: &Run, cost: Measured) -> Result<(), EvalError> {
    let scene = run.snapshot();
    let model = model(&scene, ExportOptions::of(&run.config))?;
    let score = bench.score(&entry.prompt, entry.seed, &scene, &model, cost)?;
    let row = bench.sheet_row(&entry.prompt, &scene)?;
    Image::sheet(&row, row.len()).save_png(&entry.row_path())?;
    write_json(&entry.score_path(), &score)
}

impl BenchFolder {
    /// A folder, which may have been begun, for each of the prompts with each of the seeds.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(root: &Path, prompts: &[String], seeds: &[u64]) -> Result<Self, EvalError> {
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
    ///
    /// # Errors
    /// When the configuration cannot be, or is another one than the folder's.
    pub fn check(&self, config: &RunConfig) -> Result<(), EvalError> {
        for Entry { prompt, seed, root } in &self.entries {
            let config = RunConfig {
                prompt: prompt.clone(),
                seed: *seed,
                ..config.clone()
            };
            config.check()?;
            let is_other = RunFolder::open(root).is_ok_and(|(_, saved)| saved != config);
            if is_other {
                return Err(EvalError::OtherConfig(root.clone()));
            }
        }
        Ok(())
    }

    /// Measures the controls, once every run has its score. Others may still be at work: who comes last measures what all
    /// are held against.
    ///
    /// # Errors
    /// When a truth has no surface, or the file cannot be written.
    pub fn measure_controls(&self, bench: &Bench) -> Result<(), EvalError> {
        if self.is_done() && !self.controls_path().exists() {
            write_json(&self.controls_path(), &Controls::measure(bench)?)?;
        }
        Ok(())
    }

    fn controls_path(&self) -> PathBuf {
        self.root.join("controls.json")
    }

    /// Whether every run has its score.
    fn is_done(&self) -> bool {
        self.entries.iter().all(Entry::is_done)
    }

    /// Sums up and writes what there is so far: `toybench.json`, `table.md`, `sheet.png`.
    ///
    /// # Errors
    /// When a file is damaged or cannot be written.
    pub fn report(&self, bench: &Bench) -> Result<Report, EvalError> {
        let done: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.is_done())
            .collect();
        let scores = done
            .iter()
            .map(|entry| read_json(&entry.score_path()))
            .collect::<Result<Vec<Score>, EvalError>>()?;
        let rows = done
            .iter()
            .map(|entry| {
                let path = entry.row_path();
                Image::load_png(&path).map_err(|e| EvalError::File {
                    reason: e.to_string(),
                    path,
                })
            })
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
    warn: &mut dyn FnMut(&str),
) -> Result<(RunFolder, Run), EvalError> {
    match RunFolder::open(root) {
        Ok((folder, _)) => {
            let folder = folder.claim()?;
            let resumed = Run::resume(&folder, config.clone(), prior, &mut |message| {
                warn(&message);
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
fn model(scene: &Snapshot, options: ExportOptions) -> Result<Model, EvalError> {
    match export_mesh(scene, options) {
        Ok(exported) => Ok(exported.model),
        Err(EngineError::Mesh(MeshError::Empty)) => Ok(Model::plain(Mesh::default())),
        Err(error) => Err(error.into()),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), EvalError> {
    let text = serde_json::to_string_pretty(value).expect("figures are plain values") + "\n";
    Ok(write_atomically(path, text.as_bytes())?)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, EvalError> {
    let bad = |reason: String| EvalError::File {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    serde_json::from_str(&text)
        .map_err(|e| bad(format!("damaged, remove it to make it again: {e}")))
}
