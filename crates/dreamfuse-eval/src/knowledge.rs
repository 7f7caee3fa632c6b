//! What a prior knows of the toybox: its one-step estimates of the clean image, from noised ground
//! truth, at guidance scale 1. Seconds instead of the hour that a benchmark takes, and close to it:
//! an estimate is what distillation moves towards.

use crate::things::presence;
use crate::toybench::EvalError;
use burn::tensor::{Tensor, TensorData};
use dreamfuse_core::{Camera, Image, Purpose, Told, ViewWord, stream};
use dreamfuse_prior::{Batch, Prior, Views, batch_of, decoded};
use dreamfuse_toybox::{Look, Scene, View, parse, render};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::Serialize;

/// Noise levels t of the estimates.
pub const LEVELS: [f64; 3] = [0.5, 0.8, 0.95];

/// Elevation of the views in radians.
const ELEVATION: f32 = 0.35;
/// Azimuths: two groups of four, a quarter of a turn apart as priors of several views want them.
const VIEWS: usize = 8;

/// How near estimates come to the truth at one noise level, means over images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Closeness {
    /// Inside the true silhouette, in dB.
    pub psnr: f64,
    /// The same once the estimate's mean colour there is the truth's.
    pub psnr_own_color: f64,
    /// Soft intersection over union: a pixel is there as far as it differs from the background.
    pub iou: f64,
}

/// What a prior knows of one prompt, an entry for each of [`LEVELS`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Knowledge {
    pub prompt: String,
    pub levels: [Closeness; LEVELS.len()],
}

/// Scores a prior on each of the prompts, which have to be sentences of the toybox. Noise, views and
/// background are fixed, and the prior is given the camera if it accepts one.
///
/// # Errors
/// When a prompt has no ground truth or is too long for the prior.
pub fn knowledge(prior: &dyn Prior, prompts: &[String]) -> Result<Vec<Knowledge>, EvalError> {
    prompts
        .iter()
        .enumerate()
        .map(|(index, prompt)| of_prompt(prior, prompt, index as u64))
        .collect()
}

/// The mean over prompts, an entry for each of [`LEVELS`].
pub fn mean_knowledge(scores: &[Knowledge]) -> [Closeness; LEVELS.len()] {
    std::array::from_fn(|level| mean(scores.iter().map(|score| score.levels[level])))
}

fn mean(all: impl ExactSizeIterator<Item = Closeness>) -> Closeness {
    let count = all.len().max(1) as f64;
    all.fold(Closeness::default(), |sum, one| Closeness {
        psnr: sum.psnr + one.psnr / count,
        psnr_own_color: sum.psnr_own_color + one.psnr_own_color / count,
        iou: sum.iou + one.iou / count,
    })
}

fn cameras() -> Vec<Camera> {
    let ring = Camera::ring(VIEWS, ELEVATION);
    let (quarters, between) = (ring.iter().step_by(2), ring.iter().skip(1).step_by(2));
    quarters.chain(between).copied().collect()
}

fn of_prompt(prior: &dyn Prior, prompt: &str, index: u64) -> Result<Knowledge, EvalError> {
    let sentence = parse(prompt).map_err(|reason| EvalError::NoTruth {
        prompt: prompt.into(),
        reason,
    })?;
    let (scene, cameras, spec) = (Scene::canonical(&sentence), cameras(), prior.spec());
    let told: Vec<Told> = cameras.iter().map(told).collect();
    let truths: Vec<View> = cameras
        .iter()
        .map(|camera| render(&scene, camera, &Look::albedo(camera), spec.resolution))
        .collect();
    let texts: Vec<String> = cameras
        .iter()
        .map(|camera| {
            let word = ViewWord::of(camera.azimuth, camera.elevation);
            format!("{prompt}{}", word.suffix())
        })
        .collect();
    let conditioning = prior.condition(&texts).map_err(EvalError::Prompt)?;
    let levels = LEVELS.map(|level| {
        let noise = noise(spec.sample_shape, index);
        let timesteps = vec![prior.schedule().timestep(level); VIEWS];
        let images = truths.iter().map(|view| &view.image);
        let clean = prior.encode(batch_of(images, &prior.device())).samples;
        let noise = Tensor::from_data(TensorData::new(noise, clean.dims()), &clean.device());
        let noisy = prior.schedule().add_noise(clean, noise, &timesteps);
        let views = Views::of(&told, spec.views_per_group);
        let batch = Batch::new(noisy.clone(), &timesteps, &conditioning, views);
        let answer = prior.predict(&batch);
        let clean = prior.schedule().clean_of(noisy, answer, &timesteps);
        let images = decoded(prior, prior.clamp_clean(clean));
        mean(
            images
                .iter()
                .zip(&truths)
                .map(|(image, truth)| closeness(image, truth)),
        )
    });
    Ok(Knowledge {
        prompt: prompt.into(),
        levels,
    })
}

/// All that is known of a view of the ground truth.
fn told(camera: &Camera) -> Told {
    let look = Look::albedo(camera);
    Told {
        camera: Some(*camera),
        shading: Some(look.shading),
        light: Some(look.light),
        background: Some(look.background),
        canonical: Some(true),
        is_turned: false,
    }
}

/// Fixed noise for the samples of a prompt.
fn noise(sample: [usize; 3], index: u64) -> Vec<f32> {
    let count = VIEWS * sample.iter().product::<usize>();
    stream(0, Purpose::Evaluation, 3, index)
        .sample_iter(StandardNormal)
        .take(count)
        .collect()
}

fn closeness(image: &Image, truth: &View) -> Closeness {
    let background = Look::albedo(&Camera::orbit(0.0, 0.0)).background;
    let inside: Vec<[f64; 3]> = image
        .pixels
        .iter()
        .zip(&truth.image.pixels)
        .zip(&truth.opacity)
        .filter(|(_, opacity)| **opacity > 0.0)
        .map(|((ours, truth), _)| std::array::from_fn(|c| f64::from(ours[c] - truth[c])))
        .collect();
    let count = inside.len().max(1) as f64;
    let bias: [f64; 3] =
        std::array::from_fn(|c| inside.iter().map(|error| error[c]).sum::<f64>() / count);
    let psnr = |bias: [f64; 3]| {
        let squares = inside
            .iter()
            .flat_map(|error| (0..3).map(move |c| (error[c] - bias[c]).powi(2)));
        decibels(squares.sum::<f64>() / (3.0 * count))
    };
    let (mut both, mut either) = (0.0, 0.0);
    for (ours, truth) in image.pixels.iter().zip(&truth.image.pixels) {
        let [ours, truth] = [ours, truth].map(|pixel| presence(pixel, background));
        both += f64::from(ours.min(truth));
        either += f64::from(ours.max(truth));
    }
    Closeness {
        psnr: psnr([0.0; 3]),
        psnr_own_color: psnr(bias),
        iou: both / either.max(1e-9),
    }
}

/// PSNR of a mean squared error of values in `[0, 1]`.
pub(crate) fn decibels(error: f64) -> f64 {
    -10.0 * error.max(1e-10).log10()
}

/// The scores as Markdown: the means, then the prompts that are known least at the highest level.
pub fn knowledge_table(scores: &[Knowledge]) -> String {
    let mut text = format!(
        "One-step estimates at guidance scale 1, {} prompts × {VIEWS} views:\n\n\
         | t | PSNR (dB) | own colour (dB) | soft IoU |\n| --- | --- | --- | --- |\n",
        scores.len()
    );
    let row = |name: &str, closeness: &Closeness| {
        format!(
            "| {name} | {:.2} | {:.2} | {:.3} |\n",
            closeness.psnr, closeness.psnr_own_color, closeness.iou
        )
    };
    for (level, closeness) in LEVELS.iter().zip(&mean_knowledge(scores)) {
        text += &row(&level.to_string(), closeness);
    }
    let highest = |score: &Knowledge| score.levels[LEVELS.len() - 1];
    let mut weakest: Vec<&Knowledge> = scores.iter().collect();
    weakest.sort_by(|a, b| highest(a).psnr.total_cmp(&highest(b).psnr));
    text += &format!("\nLeast known at t = {}:\n\n", LEVELS[LEVELS.len() - 1]);
    text += "| prompt | PSNR (dB) | own colour (dB) | soft IoU |\n| --- | --- | --- | --- |\n";
    for score in weakest.into_iter().take(5) {
        text += &row(&score.prompt, &highest(score));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GroundTruthPrior;
    use dreamfuse_core::Image;

    #[test]
    fn a_prior_that_knows_the_truth_scores_high_and_one_of_another_scene_low() {
        let prompts = ["a red car".to_owned()];
        let of = |scene: &str| {
            let prior = GroundTruthPrior::new(scene, 32).unwrap();
            knowledge(&prior, &prompts).unwrap().remove(0).levels
        };
        let (own, other) = (of("a red car"), of("a blue umbrella"));
        for level in 0..LEVELS.len() {
            assert!(
                own[level].psnr > 30.0 && own[level].iou > 0.7,
                "{:?}",
                own[level]
            );
            assert!(
                other[level].psnr < 15.0 && other[level].iou < 0.6,
                "{:?}",
                other[level]
            );
        }
    }

    #[test]
    fn a_wrong_mean_color_is_all_that_the_corrected_figure_forgives() {
        let scene = Scene::canonical(&parse("a red car").unwrap());
        let camera = Camera::orbit(0.3, ELEVATION);
        let truth = render(&scene, &camera, &Look::albedo(&camera), 32);
        let shifted = Image {
            pixels: truth
                .image
                .pixels
                .iter()
                .map(|pixel| pixel.map(|value| value + 0.1))
                .collect(),
            ..truth.image.clone()
        };
        let score = closeness(&shifted, &truth);
        assert!((score.psnr - 20.0).abs() < 1e-3, "{score:?}");
        assert!(score.psnr_own_color > 60.0, "{score:?}");
        let exact = closeness(&truth.image, &truth);
        assert!(exact.psnr > 90.0 && (exact.iou - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_sentence_that_is_not_of_the_toybox_is_named() {
        let prior = GroundTruthPrior::new("a red car", 32).unwrap();
        let error = knowledge(&prior, &["a unicorn".into()]).unwrap_err();
        assert!(error.to_string().contains("unicorn"), "{error}");
    }
}
