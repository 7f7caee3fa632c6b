//! Times one piece of work and prints its median as JSON: `peers/compare.py` runs it beside PyTorch's.
#![allow(clippy::print_stdout, reason = "the figure is the output")]

#[path = "work/ceilings.rs"]
mod ceilings;
#[path = "work/from_disk.rs"]
mod from_disk;
#[path = "../crates/dreamfuse/src/memory.rs"]
mod memory;
#[path = "work/raster.rs"]
mod raster;
mod work;

use burn::tensor::Device;
use dreamfuse_diffusion::{Pipeline, Precision};
use dreamfuse_train::TrainConfig;
use from_disk::EvaluationOf;
use std::path::{Path, PathBuf};
use std::time::Instant;
use work::{DefaultRun, Evaluation, Render, Training, large, small, uvit};

/// What a piece of work that ends so trains or evaluates.
fn trained(name: &str) -> TrainConfig {
    match name.rsplit_once('-') {
        Some((_, "embedded")) => small(),
        Some((_, "uvit")) => uvit(),
        _ => large(),
    }
}

/// Its name without what says that products are in bf16, and whether it said so.
fn precision_of(name: &str) -> (&str, Precision) {
    match name.strip_suffix("-bf16") {
        Some(rest) => (rest, Precision::Bf16),
        None => (name, Precision::F32),
    }
}

fn main() {
    memory::keep_freed();
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let [name, runs, rest @ ..] = &args[..] else {
        panic!("usage: measure WORK RUNS [KEEP | PRIOR]")
    };
    let runs: usize = runs.parse().expect("RUNS is a number");
    let keep = || {
        rest.first()
            .map_or(1.0, |keep| keep.parse().expect("KEEP is a number"))
    };
    let (of_work, precision) = precision_of(name);
    let mut work: Box<dyn FnMut() -> usize> = match of_work {
        "render" | "render-lit" => {
            let work = Render::new(keep(), name == "render-lit");
            Box::new(move || work.step())
        }
        "raster" => {
            let work = raster::Raster::new();
            Box::new(move || work.step())
        }
        "evaluation" | "evaluation-embedded" | "evaluation-uvit" => {
            let config = trained(of_work);
            let work = Evaluation::new(&config.network(), config.tokens, precision);
            Box::new(move || work.run().into_data().num_elements())
        }
        "evaluation-of" => {
            let work = EvaluationOf::new(Path::new(
                rest.first().expect("PRIOR is a folder or a file"),
            ));
            Box::new(move || work.run().into_data().num_elements())
        }
        "training" | "training-embedded" | "training-uvit" => {
            let config = trained(of_work);
            let (batch, mut work) = (config.batch, Training::new(config, precision));
            Box::new(move || {
                work.steps(1);
                batch
            })
        }
        "step" | "step-full" => {
            let mut work = DefaultRun::new(100, name == "step");
            Box::new(move || work.step())
        }
        "load" => {
            let prior = PathBuf::from(rest.first().expect("PRIOR is a folder or a file"));
            Box::new(move || {
                drop(Pipeline::load(&prior, &Device::flex()).expect("it loads"));
                1
            })
        }
        "sgemm" => Box::new(ceilings::sgemm()),
        "copy" => Box::new(ceilings::copy()),
        "gather" => Box::new(ceilings::gather()),
        "scatter" => Box::new(ceilings::scatter()),
        other => panic!("there is no work called {other}"),
    };
    work();
    let mut times: Vec<(f64, usize)> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            let items = work();
            (start.elapsed().as_secs_f64(), items)
        })
        .collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, items) = times[runs / 2];
    println!(
        "{}",
        serde_json::json!({ "work": name, "milliseconds": 1e3 * seconds, "items": items })
    );
}
