//! 3D consistency scoring (Watson et al. 2022, section 3.3): a field is fitted to some of the views that a prior draws, and
//! compared with the others. It asks whether one object could look like all of them, not whether it is the right one.

use crate::novel_views::ViewSettings;
use crate::things::{Nearness, Thing, told};
use crate::toybench::EvalError;
use dreamfuse_core::{Camera, Image, Told};
use dreamfuse_engine::{RunConfig, fit};
use dreamfuse_prior::{Prior, SampleOptions, Sampler, sample, sample_views};
use dreamfuse_scene::ViewSettings as Drawn;
use serde::Serialize;
use std::f32::consts::TAU;

/// Views of a set, and how many of them are held out from the fit: every fourth.
const VIEWS: usize = 24;
const HELD_OUT: usize = 4;

/// Elevations of the views in turn, in radians.
const ELEVATIONS: [f32; 3] = [0.1, 0.4, 0.7];

/// Steps of a fit.
const STEPS: u64 = 300;

/// Scores of sets of views, each against the field that was fitted to most of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Consistency {
    /// A random view of those so far shown at every step.
    pub stochastic: Nearness,
    /// The reference alone shown.
    pub fixed: Nearness,
    /// True views: what the fit can reach.
    pub truth: Nearness,
    /// Samples of the text alone, each by itself.
    pub text: Nearness,
    /// The field of another thing's views.
    pub other: Nearness,
}

/// The scores of a thing, with another one for comparison.
///
/// # Errors
/// When the prior takes no images.
pub fn consistency(
    prior: &dyn Prior,
    [thing, other]: [&Thing; 2],
    settings: &ViewSettings,
) -> Result<Consistency, EvalError> {
    let (size, cameras) = (prior.spec().resolution, cameras());
    let from = |shown: &Thing, is_fixed: bool| {
        let camera = shown.camera();
        let given = [(shown.image(&camera, size), told(camera))];
        let wanted: Vec<Told> = cameras.iter().map(|camera| told(*camera)).collect();
        let options = settings.options(is_fixed, thing.seed);
        sample_views(prior, &given, &wanted, &options).map_err(EvalError::Prompt)
    };
    let options = SampleOptions {
        prompts: &vec![thing.prompt.clone(); VIEWS],
        cameras: Some(&cameras),
        steps: settings.steps,
        sampler: Sampler::Ddim,
        guidance_scale: 1.0,
        seed: thing.seed,
    };
    let text = sample(prior, &options).map_err(EvalError::Prompt)?;
    let truth: Vec<Image> = cameras
        .iter()
        .map(|camera| thing.image(camera, size))
        .collect();
    let stochastic = from(thing, false)?;
    let score = |images: &[Image]| held_out(images, images);
    Ok(Consistency {
        fixed: score(&from(thing, true)?),
        truth: score(&truth),
        text: score(&text),
        other: held_out(&from(other, false)?, &stochastic),
        stochastic: score(&stochastic),
    })
}

/// Around the thing, from three heights in turn.
fn cameras() -> Vec<Camera> {
    (0..VIEWS)
        .map(|view| {
            let azimuth = TAU * view as f32 / VIEWS as f32;
            Camera::orbit(azimuth, ELEVATIONS[view % ELEVATIONS.len()])
        })
        .collect()
}

/// The field that fits `images`, but for the held-out ones, beside the held-out ones of `compared`.
fn held_out(images: &[Image], compared: &[Image]) -> Nearness {
    let cameras = cameras();
    let is_held_out = |view: usize| view % HELD_OUT == HELD_OUT - 1;
    let kept: Vec<(Camera, Image)> = (0..VIEWS)
        .filter(|view| !is_held_out(*view))
        .map(|view| (cameras[view], images[view].clone()))
        .collect();
    let config = RunConfig {
        steps: STEPS,
        ..RunConfig::default()
    };
    let snapshot = fit(&config, &kept);
    let scores: Vec<Nearness> = (0..VIEWS)
        .filter(|view| is_held_out(*view))
        .map(|view| {
            let drawn = Drawn::albedo(cameras[view]);
            let (image, _) = snapshot.image_and_opacity(&drawn, compared[view].width);
            Nearness::of(&image, &compared[view])
        })
        .collect();
    Nearness::mean(&scores)
}

impl Consistency {
    /// The mean of several.
    pub fn mean(all: &[Self]) -> Self {
        let of = |part: fn(&Self) -> Nearness| {
            let parts: Vec<Nearness> = all.iter().map(part).collect();
            Nearness::mean(&parts)
        };
        Self {
            stochastic: of(|one| one.stochastic),
            fixed: of(|one| one.fixed),
            truth: of(|one| one.truth),
            text: of(|one| one.text),
            other: of(|one| one.other),
        }
    }

    /// As Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from("| views | PSNR (dB) | IoU |\n| --- | --- | --- |\n");
        for (name, Nearness { psnr, iou }) in [
            ("stochastic conditioning", self.stochastic),
            ("the reference alone", self.fixed),
            ("true views", self.truth),
            ("samples of the text", self.text),
            ("another thing's field", self.other),
        ] {
            text += &format!("| {name} | {psnr:.2} | {iou:.3} |\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::things::held_out_toys;

    #[test]
    fn true_views_are_consistent_and_those_of_several_things_are_not() {
        let things = held_out_toys(4);
        let views = |of: &dyn Fn(usize) -> usize| -> Vec<Image> {
            let all = cameras().into_iter().enumerate();
            all.map(|(view, camera)| things[of(view)].image(&camera, 32))
                .collect()
        };
        let (one, mixed) = (views(&|_| 0), views(&|view| view % 4));
        let (right, wrong) = (held_out(&one, &one), held_out(&mixed, &mixed));
        assert!(right.psnr > 23.0 && right.iou > 0.75, "{right:?}");
        assert!(wrong.psnr < right.psnr - 6.0, "{wrong:?}");
    }
}
