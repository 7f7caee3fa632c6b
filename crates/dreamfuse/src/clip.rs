//! `dreamfuse eval clip`: R-Precision as in DreamFusion's Table 1, with the CLIP of a user's folder for a judge.

use crate::cli::ClipArgs;
use anyhow::{Context, bail, ensure};
use dreamfuse_clip::{Clip, Query, r_precision};
use dreamfuse_core::{Camera, Light, Shading};
use dreamfuse_engine::{RunFolder, Snapshot};
use dreamfuse_scene::ViewSettings;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The paper's elevation, in degrees.
const ELEVATION: f32 = 30.0;
/// Views around a scene.
const AZIMUTHS: usize = 8;

/// `dreamfuse eval clip`.
pub fn clip(args: &ClipArgs) -> anyhow::Result<ExitCode> {
    let clip = Clip::load(&args.clip)?;
    let folders = run_folders(&args.runs)?;
    ensure!(
        !folders.is_empty(),
        "{} has no runs in it",
        args.runs.display()
    );
    let runs = folders
        .iter()
        .map(|root| RunFolder::open(root))
        .collect::<Result<Vec<_>, _>>()?;
    let mut captions: Vec<String> = runs
        .iter()
        .map(|(_, config)| config.prompt.clone())
        .collect();
    captions.sort();
    captions.dedup();
    if captions.len() < 2 {
        bail!(
            "{} has runs of one prompt only; R-Precision needs several to choose from",
            args.runs.display()
        );
    }
    let texts = clip.embed_texts(&captions)?;
    let mut queries = [Vec::new(), Vec::new()];
    for (folder, config) in runs {
        let caption = captions
            .iter()
            .position(|caption| *caption == config.prompt)
            .expect("every prompt is in the list");
        let scene = Snapshot::load(&folder, &config, &mut |message| {
            say!("warning: {message}");
        })?;
        let (done, all) = (scene.step(), config.steps);
        ensure!(
            done == all,
            "{} is at step {done} of {all}; finish or remove it first",
            folder.root().display()
        );
        for (queries, shading) in queries
            .iter_mut()
            .zip([Shading::Lambertian, Shading::Textureless])
        {
            let seen = scene.images(&views(shading), clip.image_size());
            queries.push(Query {
                caption,
                images: clip.embed_images(&seen)?,
            });
        }
    }
    let [colour, textureless] = queries.map(|queries| 100.0 * r_precision(&queries, &texts));
    tell!(
        "{} runs, {} captions (chance is {:.1} %)",
        folders.len(),
        captions.len(),
        100.0 / captions.len() as f64
    );
    tell!("CLIP R-Precision in colour: {colour:.1} %");
    tell!("CLIP R-Precision, textureless: {textureless:.1} %");
    Ok(ExitCode::SUCCESS)
}

fn views(shading: Shading) -> Vec<ViewSettings> {
    let view = |camera: Camera| ViewSettings {
        shading,
        light: Light::headlight(&camera),
        ..ViewSettings::preview(camera)
    };
    Camera::ring(AZIMUTHS, ELEVATION.to_radians())
        .into_iter()
        .map(view)
        .collect()
}

/// The folders of runs anywhere under `root`, in order.
fn run_folders(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(root).with_context(|| format!("cannot read {}", root.display()))?;
    let mut folders = Vec::new();
    if root.join("config.toml").is_file() {
        folders.push(root.to_owned());
    }
    for path in entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
    {
        folders.extend(run_folders(&path)?);
    }
    folders.sort();
    Ok(folders)
}
