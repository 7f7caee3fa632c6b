//! `dreamfuse eval …`.

use crate::cli::{AblationArgs, BenchArgs, StudyName, ToyBenchArgs};
use crate::interrupt;
use crate::optimize::locate_prior;
use dreamfuse_core::files::{create_folder, write_atomically};
use dreamfuse_distill::Method;
use dreamfuse_engine::{Event, PriorSource, RunConfig, load_prior};
use dreamfuse_eval::{
    Bench, BenchFolder, Entry, GroundTruthPrior, Job, Report, Study, ablation_table, daily_prompts,
    table,
};
use dreamfuse_prior::Prior;
use std::path::Path;
use std::process::ExitCode;

/// File, then flags.
fn configure(args: &BenchArgs) -> anyhow::Result<RunConfig> {
    let mut config = args
        .config
        .as_deref()
        .map(RunConfig::load)
        .transpose()?
        .unwrap_or_default();
    config.steps = args.steps.unwrap_or(config.steps);
    locate_prior(&mut config)?;
    Ok(config)
}

fn interrupted() -> ExitCode {
    say!("interrupted; the same command goes on from here");
    interrupt::exit_code()
}

/// Side of the true images, that of the built-in prior's.
const TRUTH_SIZE: usize = 32;

/// The settings for the truth, which knows albedo images of known cameras and nothing of texts. They name it as the prior,
/// so that no folder comes to hold results of both.
fn asking_the_truth(config: RunConfig) -> anyhow::Result<RunConfig> {
    let is_asked = config.camera_aware && config.guidance.method == Method::Sds;
    anyhow::ensure!(
        is_asked,
        "--truth wants camera_aware = true and guidance.method = \"sds\""
    );
    Ok(RunConfig {
        prior: PriorSource::Truth,
        lit: 0.0,
        ..config
    })
}

/// `dreamfuse eval toybench`.
pub fn toybench(args: &ToyBenchArgs) -> anyhow::Result<ExitCode> {
    let bench = if args.validation {
        Bench::validation()?
    } else {
        Bench::toybench()?
    };
    let config = configure(&args.bench)?;
    let config = if args.truth {
        asking_the_truth(config)?
    } else {
        config
    };
    let prompts = if args.quick {
        daily_prompts()
    } else {
        bench.prompts.clone()
    };
    let folder = BenchFolder::create(&args.bench.out, &prompts, &args.bench.seeds)?;
    folder.check(&config)?;
    if !run_all(args, &bench, &folder, &config)? {
        return Ok(interrupted());
    }
    folder.measure_controls(&bench)?;
    tell!("{}", (table(&bench, &folder.report(&bench)?)).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Runs and scores this shard's entries; false if it was interrupted.
fn run_all(
    args: &ToyBenchArgs,
    bench: &Bench,
    folder: &BenchFolder,
    config: &RunConfig,
) -> anyhow::Result<bool> {
    let prior = (!args.truth).then(|| load_prior(config)).transpose()?;
    interrupt::install()?;
    interrupt::hold();
    for entry in args.bench.shard.of(&folder.entries) {
        let truth;
        let prior: &dyn Prior = match &prior {
            Some(prior) => prior,
            None => {
                truth = GroundTruthPrior::new(&entry.prompt, TRUTH_SIZE)?;
                &truth
            }
        };
        let job = Job {
            bench,
            config,
            prior,
        };
        if !run(entry, job)? {
            return Ok(false);
        }
        folder.report(bench)?;
    }
    Ok(true)
}

/// Runs and scores one entry; false if it was interrupted.
fn run(entry: &Entry, job: Job) -> anyhow::Result<bool> {
    if !entry.is_done() {
        note!("{} (seed {})", entry.prompt, entry.seed);
    }
    let mut warn = |message: &str| say!("warning: {message}");
    Ok(entry.run(&job, &mut |_: &Event| interrupt::flow(), &mut warn)?)
}

/// `dreamfuse eval ablation`.
pub fn ablation(args: &AblationArgs) -> anyhow::Result<ExitCode> {
    let bench = Bench::toybench()?;
    let study = match args.study {
        StudyName::Paper => Study::Paper,
        StudyName::Pairs => Study::Pairs,
    };
    let config = configure(&args.bench)?;
    let prior = load_prior(&config)?;
    create_folder(&args.bench.out)?;
    interrupt::install()?;
    interrupt::hold();
    let place = |name: &str| {
        args.bench
            .out
            .join(name.replace(|c: char| !c.is_alphanumeric(), "-"))
    };
    let beds = study.variants(&config).into_iter().map(|(name, config)| {
        let folder = BenchFolder::create(&place(&name), &study.prompts(), &args.bench.seeds)?;
        folder.check(&config)?;
        Ok((name, config, folder))
    });
    let beds = beds.collect::<anyhow::Result<Vec<_>>>()?;
    let work: Vec<_> = beds
        .iter()
        .flat_map(|(name, config, folder)| {
            folder
                .entries
                .iter()
                .map(move |entry| (name, config, entry))
        })
        .collect();
    for (name, config, entry) in args.bench.shard.of(&work) {
        if !entry.is_done() {
            note!("{name}:");
        }
        let job = Job {
            bench: &bench,
            config,
            prior: &prior,
        };
        if !run(entry, job)? {
            return Ok(interrupted());
        }
        write_ablation(&bench, &beds, &args.bench.out)?;
    }
    tell!(
        "{}",
        (write_ablation(&bench, &beds, &args.bench.out)?).trim_end()
    );
    Ok(ExitCode::SUCCESS)
}

fn write_ablation(
    bench: &Bench,
    beds: &[(String, RunConfig, BenchFolder)],
    out: &Path,
) -> anyhow::Result<String> {
    let row = |(name, _, folder): &(String, RunConfig, BenchFolder)| {
        Ok((name.clone(), folder.report(bench)?))
    };
    let rows = beds
        .iter()
        .map(row)
        .collect::<anyhow::Result<Vec<(String, Report)>>>()?;
    let text = ablation_table(&rows);
    write_atomically(&out.join("ablation.md"), text.as_bytes())?;
    Ok(text)
}
