//! `dreamfuse prior views`.

use crate::cli::ViewsArgs;
use crate::prior::shown;
use crate::{hub, words};
use anyhow::{bail, ensure};
use dreamfuse_core::files::write_atomically;
use dreamfuse_core::{Camera, Cutout, Image, Told};
use dreamfuse_diffusion::Pipeline;
use dreamfuse_prior::{Prior, ViewOptions, cameras_by_error, sample_views};
use std::f32::consts::TAU;
use std::path::Path;
use std::process::ExitCode;

/// What pictures and views are shown on.
const BACKGROUND: [f32; 3] = [0.5; 3];

/// As many as training shows at once.
const MOST_FIXED: usize = 4;

/// Columns of the sheet.
const COLUMNS: usize = 8;

/// Draws views of what pictures show.
pub fn draw(args: &ViewsArgs) -> anyhow::Result<ExitCode> {
    check(args)?;
    let cutouts: Vec<Cutout> = args
        .pictures
        .iter()
        .map(|path| Cutout::load(path).map_err(anyhow::Error::msg))
        .collect::<Result<_, _>>()?;
    let prior = hub::load(&args.source)?;
    ensure!(
        prior.spec().takes_references,
        "this prior takes no images; leave --picture away and use `dreamfuse prior sample`"
    );
    words::warn_unknown(&args.prompt, &prior.words);
    let given = given(args, &cutouts, &prior)?;
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
    let pictures = given.iter().map(|(image, _)| image);
    let all: Vec<Image> = pictures.chain(&views).map(shown).collect();
    let sheet = Image::sheet(&all, COLUMNS.min(all.len()));
    write_atomically(&args.out, &sheet.to_png())?;
    tell!("{}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Says which flag cannot be, if any, before anything is read.
fn check(args: &ViewsArgs) -> anyhow::Result<()> {
    let (pictures, azimuths) = (args.pictures.len(), args.azimuth.len());
    ensure!(
        azimuths == args.elevation.len() && [0, pictures].contains(&azimuths),
        "expected --azimuth and --elevation for each --picture, or for none"
    );
    ensure!(
        !args.fixed || pictures <= MOST_FIXED,
        "--fixed shows all pictures at once, {MOST_FIXED} at most, got {pictures}"
    );
    for (flag, angles, most) in [
        ("--azimuth", &args.azimuth, 360.0),
        ("--elevation", &args.elevation, 90.0),
    ] {
        let wrong = angles.iter().find(|angle| !(-most..=most).contains(*angle));
        if let Some(angle) = wrong {
            bail!("{flag} {angle} is not between -{most} and {most}");
        }
    }
    for (flag, scale) in [
        ("--guidance-scale", args.guidance_scale),
        ("--reference-scale", args.reference_scale),
    ] {
        ensure!(
            scale.is_finite() && scale >= 0.0,
            "{flag} {scale} has to be zero or more"
        );
    }
    Ok(())
}

/// The pictures as the prior sees them, each with where it is seen from.
fn given(
    args: &ViewsArgs,
    cutouts: &[Cutout],
    prior: &Pipeline,
) -> anyhow::Result<Vec<(Image, Told)>> {
    let size = prior.spec().resolution;
    let with_camera = |(index, cutout): (usize, &Cutout)| {
        let image = cutout.resized(size).over(BACKGROUND);
        let camera = match (args.azimuth.get(index), args.elevation.get(index)) {
            (Some(azimuth), Some(elevation)) => {
                Camera::orbit(azimuth.to_radians(), elevation.to_radians())
            }
            // Turns alone are heard; threestudio's default.
            _ if !prior.spec().takes_camera => Camera::orbit(0.0, 5f32.to_radians()),
            _ => estimated(prior, &args.pictures[index], &image, &args.prompt)?,
        };
        Ok((image, told(camera)))
    };
    cutouts.iter().enumerate().map(with_camera).collect()
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
