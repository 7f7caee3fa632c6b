//! Views of an object that images show (Watson et al. 2022, "3DiM").

use crate::sampler::{ddim, normal, spaced};
use crate::{
    Batch, Conditioning, Guided, Known, Prior, ReferenceImages, References, Shown, Views, batch_of,
    decoded,
};
use dreamfuse_core::{Camera, Image, Purpose, Told, stream};
use rand::RngExt;
use std::f32::consts::TAU;

/// How views are drawn.
pub struct ViewOptions<'a> {
    /// The object in words; empty for the images alone.
    pub prompt: &'a str,
    /// Denoising steps of a view.
    pub steps: usize,
    /// Of the text, in diffusers' convention.
    pub guidance_scale: f64,
    /// Of the images (see [`Shown::scale`]).
    pub reference_scale: f64,
    /// Show the given images at every step, all of them, instead of one at random of those and the views drawn so far. Views
    /// then do not depend on each other.
    pub is_fixed: bool,
    pub seed: u64,
}

/// Noise that views are shown with once they are drawn, of `[0, 1]`: they are not as right as those given.
const DRAWN_NOISE: f64 = 0.1;

/// Draws a view for each of `wanted`, one after the other, of the object that `given` images show: at every denoising step
/// the prior is shown one of the views so far, at random (stochastic conditioning, section 3.1 of the paper).
///
/// # Errors
/// When the prior takes no images, none are given, or the prompt is too long.
pub fn sample_views(
    prior: &dyn Prior,
    given: &[(Image, Told)],
    wanted: &[Told],
    options: &ViewOptions,
) -> Result<Vec<Image>, String> {
    let texts = [options.prompt, ""].map(str::to_owned);
    let [text, empty] = [0, 1].map(|text| prior.condition(&texts[text..=text]));
    let path = ViewPath {
        prior,
        texts: [text?, empty?],
        options,
    };
    if options.is_fixed {
        let references = read_images(prior, given, given.len(), 0.0, options.seed)?;
        return Ok(path.draw(&references, wanted, 0));
    }
    let mut references = read_images(prior, given, 1, 0.0, options.seed)?;
    let mut views = Vec::with_capacity(wanted.len());
    for (index, told) in wanted.iter().enumerate() {
        let drawn = path.draw(&references, std::slice::from_ref(told), index as u64);
        let drawn: Vec<(Image, Told)> = drawn.into_iter().map(|image| (image, *told)).collect();
        let seed = options.seed.wrapping_add(1 + index as u64);
        let also = read_images(prior, &drawn, 1, DRAWN_NOISE, seed)?;
        references = References::cat(&[&references, &also]);
        views.extend(drawn.into_iter().map(|(image, _)| image));
    }
    Ok(views)
}

/// What all views of a set have in common.
struct ViewPath<'a> {
    prior: &'a dyn Prior,
    /// The prompt, and the empty text.
    texts: [Conditioning; 2],
    options: &'a ViewOptions<'a>,
}

impl ViewPath<'_> {
    /// Views side by side, each shown one of the references at every step. `number` is that of the first.
    fn draw(&self, references: &References, wanted: &[Told], number: u64) -> Vec<Image> {
        let (prior, options, count) = (self.prior, self.options, wanted.len());
        let mut choice = stream(options.seed, Purpose::Reference, 0, number);
        let [channels, height, width] = prior.spec().sample_shape;
        let shape = [count, channels, height, width];
        let mut x = normal(shape, options.seed, number, &prior.device());
        let [text, empty] = self
            .texts
            .each_ref()
            .map(|text| text.select(&vec![0; count]));
        let timesteps = spaced(prior.schedule().steps(), options.steps);
        let alpha = |t: &usize| prior.schedule().alpha_cumprod(*t);
        for (step, t) in timesteps.iter().enumerate() {
            let sets: Vec<_> = (0..count)
                .map(|_| Some(choice.random_range(0..references.sets())))
                .collect();
            let guided = Guided {
                prior,
                texts: [&text, &empty],
                known: Known {
                    views: Views::Each(wanted),
                    shown: Some(Shown {
                        references,
                        sets: &sets,
                        scale: options.reference_scale,
                    }),
                },
                // Without words both texts are the same.
                guidance_scale: if options.prompt.is_empty() {
                    0.0
                } else {
                    options.guidance_scale
                },
            };
            let clean = guided.clean(x.clone(), &vec![*t; count]);
            let next = timesteps.get(step + 1).map_or(1.0, alpha);
            x = ddim(x, clean, [alpha(t), next]);
        }
        decoded(prior, x)
    }
}

/// Images as the prior reads them, `together` of them a set, with noise of `noise_level` (see [`ReferenceImages`]).
///
/// # Errors
/// When the prior takes no images, or none are given.
pub fn read_images(
    prior: &dyn Prior,
    given: &[(Image, Told)],
    together: usize,
    noise_level: f64,
    seed: u64,
) -> Result<References, String> {
    if given.is_empty() {
        return Err("expected at least one image".into());
    }
    let device = prior.device();
    let told: Vec<Told> = given.iter().map(|(_, told)| *told).collect();
    let [channels, height, width] = prior.spec().sample_shape;
    prior.read_references(&ReferenceImages {
        images: batch_of(given.iter().map(|(image, _)| image), &device),
        told: &told,
        per_set: together,
        noise_level,
        noise: normal([given.len(), channels, height, width], seed, 0, &device),
    })
}

/// Noise levels at which a prior is asked where an image is seen from, of `[0, 1]`.
const LEVELS: [f64; 3] = [0.5, 0.7, 0.85];

/// The seed of the noise there: none of a run's, which may have drawn the image.
const NOISE: u64 = u64::MAX - 2;

/// Directions that are tried, in degrees.
const AZIMUTHS: usize = 24;
const ELEVATIONS: [f32; 3] = [5.0, 25.0, 50.0];

/// Cameras that an image may be seen from, with the prior's denoising error under each, the least first: what fits best is
/// where it is seen from (Li et al. 2023, "Your diffusion model is secretly a zero-shot classifier").
///
/// # Errors
/// When the prior takes no camera, or the prompt is too long.
pub fn cameras_by_error(
    prior: &dyn Prior,
    image: &Image,
    told: &Told,
    prompt: &str,
) -> Result<Vec<(Camera, f64)>, String> {
    if !prior.spec().takes_camera {
        return Err("this prior takes no camera".into());
    }
    let mut errors = Vec::with_capacity(AZIMUTHS * ELEVATIONS.len());
    for elevation in ELEVATIONS {
        let cameras: Vec<Camera> = (0..AZIMUTHS)
            .map(|index| TAU * index as f32 / AZIMUTHS as f32)
            .map(|azimuth| Camera::orbit(azimuth, elevation.to_radians()))
            .collect();
        let told: Vec<Told> = cameras
            .iter()
            .map(|camera| Told {
                camera: Some(*camera),
                ..*told
            })
            .collect();
        let row = denoising_errors(prior, image, &told, prompt)?;
        errors.extend(cameras.into_iter().zip(row));
    }
    errors.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    Ok(errors)
}

/// The prior's mean squared denoising error of an image, summed over noise levels, were each of `told` true of it.
///
/// # Errors
/// When the prompt is too long.
pub fn denoising_errors(
    prior: &dyn Prior,
    image: &Image,
    told: &[Told],
    prompt: &str,
) -> Result<Vec<f64>, String> {
    let (device, count) = (prior.device(), told.len());
    let clean = prior
        .encode(batch_of([image], &device))
        .samples
        .repeat_dim(0, count);
    let text = prior.condition(&[prompt.to_owned()])?;
    let text = text.select(&vec![0; count]);
    let [channels, height, width] = prior.spec().sample_shape;
    let mut sums = vec![0.0; count];
    for (index, level) in LEVELS.iter().enumerate() {
        let timesteps = vec![prior.schedule().timestep(*level); count];
        // The same noise for all, so that what is told makes the difference.
        let noise = normal([1, channels, height, width], NOISE, index as u64, &device);
        let noise = noise.repeat_dim(0, count);
        let schedule = prior.schedule();
        let noisy = schedule.add_noise(clean.clone(), noise.clone(), &timesteps);
        let answer = prior.predict(&Batch::new(noisy, &timesteps, &text, Views::Each(told)));
        let squares = (answer - noise).powi_scalar(2);
        let each = squares.mean_dim(1).mean_dim(2).mean_dim(3).into_data();
        let each = each.try_to_vec::<f32>().expect("errors are f32");
        let sums = sums.iter_mut().zip(each);
        sums.for_each(|(sum, error)| *sum += f64::from(error));
    }
    Ok(sums)
}
