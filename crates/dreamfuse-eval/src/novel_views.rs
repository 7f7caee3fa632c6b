//! How well a prior draws other views of what it is shown.

use crate::things::{Nearness, Thing, mean_image, told};
use crate::toybench::EvalError;
use dreamfuse_core::{Camera, Image, Told};
use dreamfuse_prior::{Prior, ViewOptions, sample_views};
use serde::Serialize;
use std::f32::consts::TAU;

/// Views that are drawn of each thing.
const TARGETS: usize = 4;

/// Samples of a view, whose mean is compared: one sample is one guess of what is hidden.
const SAMPLES: usize = 4;

/// How views are drawn: what `dreamfuse prior views` does by default.
#[derive(Clone, Copy, Debug)]
pub struct ViewSettings {
    pub steps: usize,
    pub reference_scale: f64,
}

impl ViewSettings {
    pub(crate) fn options(&self, is_fixed: bool, seed: u64) -> ViewOptions<'static> {
        ViewOptions {
            prompt: "",
            steps: self.steps,
            guidance_scale: 1.0,
            reference_scale: self.reference_scale,
            is_fixed,
            seed,
        }
    }
}

/// What comes nearest to the true views, and how near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct NovelViews {
    pub one_reference: Nearness,
    /// 120° apart.
    pub three_references: Nearness,
    /// The same of one sample instead of the mean of four.
    pub one_sample: Nearness,
    /// The nearest of the references itself, taken for the view.
    pub copy_of_one: Nearness,
    pub copy_of_three: Nearness,
    /// Drawn from another thing's reference.
    pub other_reference: Nearness,
}

/// The scores of a thing, with another one whose reference is shown instead.
///
/// # Errors
/// When the prior takes no images.
pub fn novel_views(
    prior: &dyn Prior,
    [thing, other]: [&Thing; 2],
    settings: &ViewSettings,
) -> Result<NovelViews, EvalError> {
    let size = prior.spec().resolution;
    let first = thing.camera();
    let cameras: Vec<Camera> = (0..3)
        .map(|third| Camera {
            azimuth: first.azimuth + TAU * third as f32 / 3.0,
            ..first
        })
        .collect();
    let shown = |thing: &Thing, count: usize| -> Vec<(Image, Told)> {
        let cameras = cameras[..count].iter();
        cameras
            .map(|camera| (thing.image(camera, size), told(*camera)))
            .collect()
    };
    let targets = thing.targets(TARGETS);
    let truths: Vec<Image> = targets
        .iter()
        .map(|camera| thing.image(camera, size))
        .collect();
    let draw = |given: &[(Image, Told)]| {
        let wanted: Vec<Told> = targets
            .iter()
            .flat_map(|camera| std::iter::repeat_n(told(*camera), SAMPLES))
            .collect();
        sample_views(prior, given, &wanted, &settings.options(true, thing.seed))
            .map_err(EvalError::Prompt)
    };
    let means = |drawn: &[Image]| -> Vec<Image> { drawn.chunks(SAMPLES).map(mean_image).collect() };
    let score = |images: &[Image]| {
        let pairs = images.iter().zip(&truths);
        let each: Vec<Nearness> = pairs.map(|(a, b)| Nearness::of(a, b)).collect();
        Nearness::mean(&each)
    };
    let copies = |count: usize| -> Vec<Image> {
        let given = shown(thing, count);
        let nearest = |target: &Camera| {
            let apart = |index: &usize| angle(&cameras[*index], target);
            let index = (0..count).min_by(|a, b| apart(a).total_cmp(&apart(b)));
            given[index.unwrap_or(0)].0.clone()
        };
        targets.iter().map(nearest).collect()
    };
    let drawn = draw(&shown(thing, 1))?;
    let first_samples: Vec<Image> = drawn.iter().step_by(SAMPLES).cloned().collect();
    Ok(NovelViews {
        one_reference: score(&means(&drawn)),
        three_references: score(&means(&draw(&shown(thing, 3))?)),
        one_sample: score(&first_samples),
        copy_of_one: score(&copies(1)),
        copy_of_three: score(&copies(3)),
        other_reference: score(&means(&draw(&shown(other, 1))?)),
    })
}

/// Between the directions that two cameras look from.
fn angle(a: &Camera, b: &Camera) -> f32 {
    let [a, b] = [a, b].map(|camera| camera.position().normalize());
    a.dot(&b).clamp(-1.0, 1.0).acos()
}

impl NovelViews {
    /// The mean of several.
    pub fn mean(all: &[Self]) -> Self {
        let of = |part: fn(&Self) -> Nearness| {
            let parts: Vec<Nearness> = all.iter().map(part).collect();
            Nearness::mean(&parts)
        };
        Self {
            one_reference: of(|one| one.one_reference),
            three_references: of(|one| one.three_references),
            one_sample: of(|one| one.one_sample),
            copy_of_one: of(|one| one.copy_of_one),
            copy_of_three: of(|one| one.copy_of_three),
            other_reference: of(|one| one.other_reference),
        }
    }

    /// As Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from("| shown | PSNR (dB) | IoU |\n| --- | --- | --- |\n");
        for (name, Nearness { psnr, iou }) in [
            ("one reference, mean of four samples", self.one_reference),
            ("one reference, one sample", self.one_sample),
            (
                "three references, mean of four samples",
                self.three_references,
            ),
            ("copy of the one reference", self.copy_of_one),
            ("copy of the nearest of three", self.copy_of_three),
            ("another thing's reference", self.other_reference),
        ] {
            text += &format!("| {name} | {psnr:.2} | {iou:.3} |\n");
        }
        text
    }
}
