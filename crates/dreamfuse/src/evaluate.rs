//! `dreamfuse eval …`.

use crate::cli::ToyboxArgs;
use crate::interrupt;
use anyhow::{Context, bail};
use dreamfuse_core::Picture;
use dreamfuse_core::files::{create_folder, write_atomically};
use dreamfuse_engine::{Outcome, Run, RunConfig, RunFolder, load_prior, optimize};
use dreamfuse_eval::{Score, compare, mean, table};
use std::process::ExitCode;

/// `dreamfuse eval toybox`.
pub fn toybox(args: &ToyboxArgs) -> anyhow::Result<ExitCode> {
    let prompts = read_prompts(args)?;
    let mut config = args.config.as_deref().map(RunConfig::load).transpose()?.unwrap_or_default();
    config.steps = args.steps.unwrap_or(config.steps);
    config.seed = args.seed;
    let prior = load_prior(&config)?;
    create_folder(&args.out)?;
    interrupt::install()?;
    let (mut scores, mut rows) = (Vec::new(), Vec::new());
    for prompt in &prompts {
        eprintln!("{prompt}");
        let config = RunConfig { prompt: prompt.clone(), ..config.clone() };
        let mut run = Run::new(config, &prior)?;
        let folder = RunFolder::create_under(&args.out, &run.config)?;
        let start = std::time::Instant::now();
        if optimize(&mut run, &prior, &folder, &mut |_| {}, &interrupt::is_asked)? == Outcome::Interrupted {
            bail!("interrupted; {} of {} prompts are done", scores.len(), prompts.len());
        }
        let seconds = start.elapsed().as_secs_f64();
        let (score, pictures) = compare(&run, seconds)?;
        rows.push(Picture::sheet(&pictures, pictures.len()));
        scores.push(score);
        save(args, &scores, &rows)?;
    }
    print!("{}", table(&scores));
    Ok(ExitCode::SUCCESS)
}

fn read_prompts(args: &ToyboxArgs) -> anyhow::Result<Vec<String>> {
    let text =
        std::fs::read_to_string(&args.prompts).with_context(|| format!("cannot read {}", args.prompts.display()))?;
    let prompts: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(Into::into).collect();
    for prompt in &prompts {
        dreamfuse_toybox::parse(prompt)
            .with_context(|| format!("{}: {prompt:?} has no ground truth", args.prompts.display()))?;
    }
    if prompts.is_empty() {
        bail!("{} has no prompts", args.prompts.display());
    }
    Ok(prompts)
}

/// After every prompt, so that an interrupted evaluation keeps what it has.
fn save(args: &ToyboxArgs, scores: &[Score], rows: &[Picture]) -> anyhow::Result<()> {
    let report = serde_json::json!({ "scores": scores, "mean": mean(scores), "seed": args.seed });
    write_atomically(&args.out.join("scores.json"), serde_json::to_string_pretty(&report)?.as_bytes())?;
    write_atomically(&args.out.join("table.md"), table(scores).as_bytes())?;
    Picture::sheet(rows, 1).save_png(&args.out.join("sheet.png"))?;
    Ok(())
}
