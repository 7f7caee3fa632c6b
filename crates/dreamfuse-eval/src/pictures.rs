//! Image to 3D beside the truth: a run from one picture of a thing that training never showed.

use crate::agreement::{Agreement, agreement};
use crate::things::{Nearness, Thing};
use dreamfuse_core::{Camera, Cutout};
use dreamfuse_engine::{EngineError, ReferenceConfig, Run, RunConfig};
use dreamfuse_prior::Prior;
use dreamfuse_scene::ViewSettings;
use dreamfuse_toybox::{Look, render};
use serde::Serialize;
use std::path::Path;

/// Side of the pictures in pixels.
const SIZE: usize = 256;

/// What a run made of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PictureScore {
    /// From all around.
    pub volume: Agreement,
    /// From where the picture was taken.
    pub at_picture: Nearness,
}

/// Runs on a picture of a thing, whose camera is told, and compares the volume with the truth. The picture is written to
/// `folder` and read from there, as a user's is.
///
/// # Errors
/// When the picture cannot be written, the prior takes none, or the run fails.
pub fn from_picture(
    prior: &dyn Prior,
    thing: &Thing,
    config: &RunConfig,
    folder: &Path,
) -> Result<PictureScore, EngineError> {
    let camera = thing.camera();
    let path = folder.join(format!("{}.png", thing.name.replace(' ', "-")));
    cutout(thing, &camera, SIZE).save_png(&path)?;
    let config = RunConfig {
        prompt: thing.prompt.clone(),
        reference: ReferenceConfig {
            picture: Some(path),
            azimuth: Some(camera.azimuth.to_degrees()),
            elevation: Some(camera.elevation.to_degrees()),
            ..config.reference.clone()
        },
        ..config.clone()
    };
    let mut run = Run::new(config, prior)?;
    while run.step_count() < run.config.steps {
        run.step(prior)?;
    }
    let snapshot = run.snapshot();
    let size = prior.spec().resolution;
    let (image, _) = snapshot.image_and_opacity(&ViewSettings::albedo(camera), size);
    Ok(PictureScore {
        volume: agreement(&snapshot, &thing.scene),
        at_picture: Nearness::of(&image, &thing.image(&camera, size)),
    })
}

fn cutout(thing: &Thing, camera: &Camera, size: usize) -> Cutout {
    // On black, so that what is left of a pixel is the object's part.
    let look = Look {
        background: [0.0; 3],
        ..Look::albedo(camera)
    };
    let view = render(&thing.scene, camera, &look, size);
    Cutout::of_premultiplied(&view.image, view.opacity)
}

impl PictureScore {
    /// The means of several, as Markdown.
    pub fn table(all: &[Self]) -> String {
        let count = all.len().max(1) as f64;
        let mean = |part: fn(&Self) -> f64| all.iter().map(part).sum::<f64>() / count;
        format!(
            "| compared | IoU | PSNR (dB) |\n| --- | --- | --- |\n\
             | from all around | {:.3} | {:.2} |\n| from the picture's camera | {:.3} | {:.2} |\n",
            mean(|one| one.volume.iou),
            mean(|one| one.volume.psnr),
            mean(|one| one.at_picture.iou),
            mean(|one| one.at_picture.psnr),
        )
    }
}
