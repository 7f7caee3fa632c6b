//! Views from pictures: `dreamfuse prior views`, `dreamfuse eval views` and `dreamfuse eval consistency`.

use crate::cli::{EvalViewsArgs, ViewsArgs};
use crate::prior::shown;
use crate::{hub, progress, words};
use anyhow::ensure;
use dreamfuse_core::files::write_atomically;
use dreamfuse_core::{Camera, Cutout, Image, Told};
use dreamfuse_diffusion::Pipeline;
use dreamfuse_eval::{
    Consistency, EvalError, NovelViews, Thing, ViewSettings, consistency, held_out_toys,
    novel_views, unseen_things,
};
use dreamfuse_prior::{Prior, ViewOptions, cameras_by_error, sample_views};
use serde::Serialize;
use std::f32::consts::TAU;
use std::path::Path;
use std::process::ExitCode;

/// What pictures and views are shown on.
const BACKGROUND: [f32; 3] = [0.5; 3];

/// Columns of the sheet.
const COLUMNS: usize = 8;

/// Draws views of what pictures show.
pub fn draw(args: &ViewsArgs) -> anyhow::Result<ExitCode> {
    let (pictures, azimuths) = (args.pictures.len(), args.azimuth.len());
    ensure!(
        azimuths == args.elevation.len() && [0, pictures].contains(&azimuths),
        "expected --azimuth and --elevation for each --picture, or for none"
    );
    for (flag, scale) in [
        ("--guidance-scale", args.guidance_scale),
        ("--reference-scale", args.reference_scale),
    ] {
        ensure!(
            scale.is_finite() && scale >= 0.0,
            "{flag} {scale} has to be zero or more"
        );
    }
    let cutouts: Vec<Cutout> = args
        .pictures
        .iter()
        .map(|path| Cutout::load(path).map_err(anyhow::Error::msg))
        .collect::<Result<_, _>>()?;
    let prior = hub::load(&args.source.prior, &args.source.loras)?;
    ensure!(
        prior.spec().takes_references,
        "this prior takes no images; leave --picture away and use `dreamfuse prior sample`"
    );
    words::warn_unknown(&args.prompt, &prior.words);
    let size = prior.spec().resolution;
    let images = cutouts
        .iter()
        .map(|cutout| cutout.resized(size).over(BACKGROUND));
    let mut given = Vec::with_capacity(pictures);
    for (index, image) in images.enumerate() {
        let camera = match (args.azimuth.get(index), args.elevation.get(index)) {
            (Some(azimuth), Some(elevation)) => {
                Camera::orbit(azimuth.to_radians(), elevation.to_radians())
            }
            // Turns alone are heard; threestudio's default.
            _ if !prior.spec().takes_camera => Camera::orbit(0.0, 5f32.to_radians()),
            _ => estimated(&prior, &args.pictures[index], &image, &args.prompt)?,
        };
        given.push((image, told(camera)));
    }
    let first = given[0].1.camera.unwrap_or(Camera::orbit(0.0, 0.0));
    let wanted: Vec<Told> = (0..args.views)
        .map(|view| Camera {
            azimuth: first.azimuth + TAU * view as f32 / args.views as f32,
            ..first
        })
        .map(told)
        .collect();
    let options = ViewOptions {
        prompt: &args.prompt,
        steps: args.steps as usize,
        guidance_scale: args.guidance_scale,
        reference_scale: args.reference_scale,
        is_fixed: args.fixed,
        seed: args.seed.value(),
    };
    let views = sample_views(&prior, &given, &wanted, &options).map_err(anyhow::Error::msg)?;
    let all: Vec<Image> = given
        .iter()
        .map(|(image, _)| image)
        .chain(&views)
        .map(shown)
        .collect();
    let sheet = Image::sheet(&all, COLUMNS.min(all.len()));
    write_atomically(&args.out, &sheet.to_png())?;
    tell!("{}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Where the prior thinks that a picture is seen from.
fn estimated(prior: &Pipeline, path: &Path, image: &Image, prompt: &str) -> anyhow::Result<Camera> {
    let known = Told {
        background: Some(BACKGROUND),
        ..Told::default()
    };
    let cameras = cameras_by_error(prior, image, &known, prompt).map_err(anyhow::Error::msg)?;
    let camera = cameras[0].0;
    note!(
        "{} fits --azimuth {:.0} --elevation {:.0} best, in the prior's eyes",
        path.display(),
        camera.azimuth.to_degrees(),
        camera.elevation.to_degrees()
    );
    Ok(camera)
}

fn told(camera: Camera) -> Told {
    Told {
        camera: Some(camera),
        background: Some(BACKGROUND),
        ..Told::default()
    }
}

/// `dreamfuse eval views`.
pub fn evaluate(args: &EvalViewsArgs) -> anyhow::Result<ExitCode> {
    let scores = scores(args, novel_views)?;
    tell_scores(args, &scores, |all| NovelViews::mean(all).table())
}

/// `dreamfuse eval consistency`.
pub fn evaluate_consistency(args: &EvalViewsArgs) -> anyhow::Result<ExitCode> {
    let scores = scores(args, consistency)?;
    tell_scores(args, &scores, |all| Consistency::mean(all).table())
}

/// A score of each thing beside the next one.
fn scores<S>(
    args: &EvalViewsArgs,
    score: impl Fn(&dyn Prior, [&Thing; 2], &ViewSettings) -> Result<S, EvalError>,
) -> anyhow::Result<Vec<(String, S)>> {
    let prior = hub::load(&args.source.prior, &args.source.loras)?;
    ensure!(
        prior.spec().takes_references,
        "expected a prior that takes images, and this one takes none"
    );
    let things = match args.kinds {
        None => held_out_toys(args.toys as usize),
        Some(each) => unseen_things(each as usize),
    };
    let settings = ViewSettings {
        steps: args.steps as usize,
        reference_scale: args.reference_scale,
    };
    let bar = progress::bar(0, things.len() as u64);
    let mut scores = Vec::with_capacity(things.len());
    for (index, thing) in things.iter().enumerate() {
        // The next one of another kind.
        let next = index + args.kinds.unwrap_or(1) as usize;
        let pair = [thing, &things[next % things.len()]];
        scores.push((thing.name.clone(), score(&prior, pair, &settings)?));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(scores)
}

fn tell_scores<S: Clone + Serialize>(
    args: &EvalViewsArgs,
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
