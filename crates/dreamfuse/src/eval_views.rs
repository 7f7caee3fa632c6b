//! `dreamfuse eval views`, `eval pictures` and `eval consistency`.

use crate::cli::{EvalPicturesArgs, EvalViewsArgs, ThingArgs};
use crate::optimize::{locate_prior, settings};
use crate::{hub, progress};
use anyhow::ensure;
use dreamfuse_diffusion::Pipeline;
use dreamfuse_engine::load_prior;
use dreamfuse_eval::{
    Consistency, EvalError, NovelViews, PictureScore, Thing, ViewSettings, consistency,
    from_picture, held_out_toys, novel_views, unseen_things,
};
use dreamfuse_prior::Prior;
use serde::Serialize;
use std::process::ExitCode;

/// A score of two things: one that is drawn, and another.
type Score<S> = fn(&dyn Prior, [&Thing; 2], &ViewSettings) -> Result<S, EvalError>;

/// `dreamfuse eval views`.
pub fn views(args: &EvalViewsArgs) -> anyhow::Result<ExitCode> {
    let scores = drawn(args, novel_views)?;
    tell(&args.things, &scores, |all| NovelViews::mean(all).table())
}

/// `dreamfuse eval consistency`.
pub fn consistent(args: &EvalViewsArgs) -> anyhow::Result<ExitCode> {
    let scores = drawn(args, consistency)?;
    tell(&args.things, &scores, |all| Consistency::mean(all).table())
}

/// `dreamfuse eval pictures`.
pub fn pictures(args: &EvalPicturesArgs) -> anyhow::Result<ExitCode> {
    let mut config = settings(&args.settings)?;
    locate_prior(&mut config)?;
    let prior = load_prior(&config)?;
    check(&prior)?;
    let folder = std::env::temp_dir().join(format!("dreamfuse-pictures-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let scores = scores(&args.things, |[thing, _]| {
        Ok(from_picture(&prior, thing, &config, &folder)?)
    });
    std::fs::remove_dir_all(&folder)?;
    tell(&args.things, &scores?, PictureScore::table)
}

fn check(prior: &Pipeline) -> anyhow::Result<()> {
    ensure!(
        prior.spec().takes_references,
        "expected a prior that takes images, and this one takes none"
    );
    Ok(())
}

fn drawn<S>(args: &EvalViewsArgs, score: Score<S>) -> anyhow::Result<Vec<(String, S)>> {
    let prior = hub::load(&args.source)?;
    check(&prior)?;
    let settings = ViewSettings {
        steps: args.steps as usize,
        reference_scale: args.reference_scale,
    };
    scores(&args.things, |pair| Ok(score(&prior, pair, &settings)?))
}

/// A score of each thing, beside another one.
fn scores<S>(
    args: &ThingArgs,
    score: impl Fn([&Thing; 2]) -> anyhow::Result<S>,
) -> anyhow::Result<Vec<(String, S)>> {
    let things = match args.kinds {
        None => held_out_toys(args.toys as usize),
        Some(each) => unseen_things(each as usize),
    };
    let bar = progress::bar(0, things.len() as u64);
    let mut scores = Vec::with_capacity(things.len());
    for (index, thing) in things.iter().enumerate() {
        // Of another kind.
        let other = index + args.kinds.unwrap_or(1) as usize;
        let pair = [thing, &things[other % things.len()]];
        scores.push((thing.name.clone(), score(pair)?));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(scores)
}

fn tell<S: Clone + Serialize>(
    args: &ThingArgs,
    scores: &[(String, S)],
    table: impl Fn(&[S]) -> String,
) -> anyhow::Result<ExitCode> {
    if args.json {
        tell!("{}", serde_json::to_string_pretty(scores)?);
        return Ok(ExitCode::SUCCESS);
    }
    let all: Vec<S> = scores.iter().map(|(_, score)| score.clone()).collect();
    tell!("{} objects\n\n{}", scores.len(), table(&all).trim_end());
    Ok(ExitCode::SUCCESS)
}
