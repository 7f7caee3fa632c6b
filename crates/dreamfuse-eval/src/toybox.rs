//! Silhouettes and colours of a run beside the canonical scene's, without any search for an alignment.

use dreamfuse_core::{Camera, Picture};
use dreamfuse_engine::Run;
use dreamfuse_scene::ViewSettings;
use dreamfuse_toybox::{CaptionSampler, CaptionShares, Look, ParseError, Scene, View, parse, render};
use rayon::prelude::*;
use serde::Serialize;

/// A run cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("the prompt is no sentence of the toybox: {0}")]
    NoTruth(#[from] ParseError),
}

/// One prompt's figures, means over [`VIEWS`] views.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    pub prompt: String,
    /// Whether training never saw the combination.
    pub held_out: bool,
    /// Intersection over union of the silhouettes (opacity above one half).
    pub iou: f32,
    /// Of albedo on neutral grey, inside the union of the silhouettes, in dB.
    pub psnr: f32,
    pub seconds: f64,
}

/// Views that are compared: three rings of eight.
const VIEWS: usize = 24;
const ELEVATIONS: [f32; 3] = [0.0, 0.35, 0.8];
/// Side of the pictures that are compared.
const SIZE: usize = 64;

fn cameras() -> Vec<Camera> {
    ELEVATIONS.iter().flat_map(|elevation| Camera::ring(VIEWS / ELEVATIONS.len(), *elevation)).collect()
}

/// Compares a run with the ground truth of its prompt. The pictures are for a sheet: four of ours, then
/// the same four of the truth.
///
/// # Errors
/// When the prompt is no sentence of the toybox.
pub fn compare(run: &Run, seconds: f64) -> Result<(Score, Vec<Picture>), EvalError> {
    let sentence = parse(&run.config.prompt)?;
    let scene = Scene::canonical(&sentence);
    let (mut iou, mut psnr, mut ours_shown, mut truth_shown) = (0.0, 0.0, Vec::new(), Vec::new());
    for (index, camera) in cameras().into_iter().enumerate() {
        let truth = render(&scene, &camera, &Look::albedo(&camera), SIZE);
        let ours = draw(run, camera);
        let (view_iou, view_psnr) = score(&ours, &truth);
        iou += view_iou / VIEWS as f32;
        psnr += view_psnr / VIEWS as f32;
        // The middle ring, every other view.
        if (8..16).contains(&index) && index % 2 == 0 {
            ours_shown.push(ours.picture);
            truth_shown.push(truth.picture);
        }
    }
    let held_out = CaptionSampler::new(CaptionShares::default()).is_held_out(&sentence);
    let score = Score { prompt: run.config.prompt.clone(), held_out, iou, psnr, seconds };
    Ok((score, [ours_shown, truth_shown].concat()))
}

struct Drawn {
    picture: Picture,
    opacity: Vec<f32>,
}

fn draw(run: &Run, camera: Camera) -> Drawn {
    let rendered = run.renderer().render(&[ViewSettings::albedo(camera)], SIZE, None);
    let numbers = |tensor: burn::tensor::Tensor<4>| tensor.into_data().try_to_vec::<f32>().expect("pictures are f32");
    Drawn { picture: Picture::from_planes(SIZE, &numbers(rendered.color)), opacity: numbers(rendered.opacity) }
}

/// Intersection over union, and PSNR inside the union.
fn score(ours: &Drawn, truth: &View) -> (f32, f32) {
    let pixels =
        ours.opacity.par_iter().zip(&truth.opacity).zip(ours.picture.pixels.par_iter().zip(&truth.picture.pixels));
    let counted = pixels.map(|((a, b), (ours, right))| {
        let (a, b) = (*a > 0.5, *b > 0.5);
        let error: f64 = (0..3).map(|c| f64::from(ours[c] - right[c]).powi(2)).sum::<f64>() / 3.0;
        (usize::from(a && b), usize::from(a || b), if a || b { error } else { 0.0 })
    });
    let rows: Vec<_> = counted.collect();
    let (both, either, error) =
        rows.into_iter().fold((0, 0, 0.0), |sum, row| (sum.0 + row.0, sum.1 + row.1, sum.2 + row.2));
    let either = either.max(1) as f64;
    let psnr = -10.0 * (error / either).max(1e-10).log10();
    ((both as f64 / either) as f32, psnr as f32)
}

/// The mean of all scores.
pub fn mean(scores: &[Score]) -> Score {
    let count = scores.len().max(1);
    let of = |f: fn(&Score) -> f32| scores.iter().map(f).sum::<f32>() / count as f32;
    let seconds = scores.iter().map(|score| score.seconds).sum::<f64>() / count as f64;
    Score { prompt: "mean".into(), held_out: false, iou: of(|s| s.iou), psnr: of(|s| s.psnr), seconds }
}

/// The scores as a Markdown table.
pub fn table(scores: &[Score]) -> String {
    let mut text = String::from("| prompt | held out | IoU | PSNR (dB) | seconds |\n| --- | --- | --- | --- | --- |\n");
    for score in scores.iter().chain(std::iter::once(&mean(scores))) {
        let held_out = if score.held_out { "yes" } else { "" };
        text += &format!(
            "| {} | {held_out} | {:.3} | {:.1} | {:.0} |\n",
            score.prompt, score.iou, score.psnr, score.seconds
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_scores_best_against_itself_and_another_thing_does_not() {
        let camera = Camera::orbit(0.4, 0.3);
        let view = |text: &str| render(&Scene::canonical(&parse(text).unwrap()), &camera, &Look::albedo(&camera), SIZE);
        let truth = view("a red mushroom");
        let drawn = |view: View| Drawn { picture: view.picture, opacity: view.opacity };
        let (iou, psnr) = score(&drawn(truth.clone()), &truth);
        assert!(iou == 1.0 && psnr > 90.0);
        let (iou, psnr) = score(&drawn(view("a blue car")), &truth);
        assert!(iou < 0.6 && psnr < 15.0, "{iou} {psnr}");
    }
}
