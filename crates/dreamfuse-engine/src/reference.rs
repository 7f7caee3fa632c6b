//! Images that a run is shown: a user's picture, or views that the prior has drawn for it.

use crate::EngineError;
use crate::config::RunConfig;
use crate::draw::Draw;
use crate::regularizers::LossWeights;
use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::files::{hex, read};
use dreamfuse_core::{Camera, Cutout, Image, Purpose, Told};
use dreamfuse_prior::{
    Prior, References, SampleOptions, Sampler, Shown, ViewOptions, batch_of, cameras_by_error,
    denoising_errors, read_images, sample, sample_views,
};
use dreamfuse_scene::{Renderer, ViewSettings};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Images that the prior is shown beside the text, if it takes any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReferenceConfig {
    /// A PNG or JPEG of the object: with an alpha channel, or on a plain background.
    pub picture: Option<PathBuf>,
    /// The SHA-256 of the picture's file. A run writes it down, and does not go on with another picture.
    pub sha256: Option<String>,
    /// Where the picture is seen from, in degrees from the front towards +X. By default the prior is asked
    /// what fits best.
    pub azimuth: Option<f32>,
    /// The same above the ground.
    pub elevation: Option<f32>,
    /// Guidance by the images, s_I of InstructPix2Pix (Brooks et al. 2023, equation 3); 1 costs no evaluation
    /// besides.
    pub guidance_scale: f64,
    /// Without a picture: views that the prior draws for the run before it starts, 0 for none.
    pub draw: usize,
    /// Part of the run after which drawn views are shown.
    pub draw_from: f64,
}

impl Default for ReferenceConfig {
    fn default() -> Self {
        Self {
            picture: None,
            sha256: None,
            azimuth: None,
            elevation: None,
            guidance_scale: 1.5,
            draw: 0,
            draw_from: 0.3,
        }
    }
}

/// Most views that can be drawn for a run.
const MOST_DRAWN: usize = 16;

impl ReferenceConfig {
    /// Says what cannot be, if anything.
    ///
    /// # Errors
    /// The message names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.picture.is_some() && self.draw > 0 {
            return Err("reference.draw does not go with reference.picture".into());
        }
        if self.draw > MOST_DRAWN {
            return Err(format!(
                "reference.draw = {} is not between 0 and {MOST_DRAWN}",
                self.draw
            ));
        }
        for (key, value, range) in [
            ("guidance_scale", self.guidance_scale, 0.0..=100.0),
            ("draw_from", self.draw_from, 0.0..=1.0),
            (
                "azimuth",
                self.azimuth.unwrap_or(0.0).into(),
                -360.0..=360.0,
            ),
            (
                "elevation",
                self.elevation.unwrap_or(0.0).into(),
                -90.0..=90.0,
            ),
        ] {
            if !range.contains(&value) {
                let (least, most) = (range.start(), range.end());
                return Err(format!(
                    "reference.{key} = {value} is not between {least} and {most}"
                ));
            }
        }
        if self.azimuth.is_some() != self.elevation.is_some() {
            return Err(
                "expected both reference.azimuth and reference.elevation, or neither".into(),
            );
        }
        Ok(())
    }
}

impl ReferenceConfig {
    /// Writes down which picture it is.
    ///
    /// # Errors
    /// When the picture cannot be read, or another one was written down.
    pub fn know_picture(&mut self) -> Result<(), EngineError> {
        let Some(path) = &self.picture else {
            return Ok(());
        };
        let found = hex(&Sha256::digest(read(path)?));
        match self.sha256.replace(found.clone()) {
            Some(known) if known != found => Err(EngineError::Picture(format!(
                "{} is not the picture that the run was made for: its SHA-256 is {found}, and reference.sha256 {known}",
                path.display()
            ))),
            _ => Ok(()),
        }
    }
}

/// Where a picture is taken to be seen from by a prior that hears turns alone, in degrees; threestudio's default.
const UNKNOWN: [f32; 2] = [0.0, 5.0];

/// The background that pictures are shown on.
const BACKGROUND: [f32; 3] = [0.5; 3];

/// What is shown, on no device yet.
pub(crate) struct Reference {
    images: Vec<(Image, Told)>,
    /// What the scene has to look like from the first one's camera, with a user's picture.
    pub target: Option<Target>,
    guidance_scale: f64,
    /// Part of the run from which on they are shown.
    from: f64,
}

/// A picture and its camera.
pub(crate) struct Target {
    view: ViewSettings,
    /// At the size of a run's images.
    cutout: Cutout,
}

impl Reference {
    /// That of a run, if it has one. Where a picture is seen from is put into the configuration.
    pub(crate) fn of(run: &mut RunConfig, prior: &dyn Prior) -> Result<Option<Self>, EngineError> {
        let config = &run.reference;
        let wrong = |reason: &str| Err(EngineError::Config(reason.into()));
        if config.picture.is_none() && prior.spec().needs_references {
            return wrong("this prior needs a picture; hint: --picture FILE");
        }
        if config.picture.is_none() && config.draw == 0 {
            return Ok(None);
        }
        if !run.camera_aware {
            return wrong("camera_aware = false does not go with reference images");
        }
        if !prior.spec().takes_references {
            return wrong(
                "--picture and reference.draw need a prior that takes images, and this one takes none; hint: --prior DIR",
            );
        }
        let (guidance_scale, draw_from) = (config.guidance_scale, config.draw_from);
        let (images, target, from) = match config.picture.clone() {
            None => (drawn(run, prior)?, None, draw_from),
            Some(path) => {
                let cutout = Cutout::load(&path).map_err(EngineError::Picture)?;
                run.reference.know_picture()?;
                let size = prior.spec().resolution;
                let image = cutout.resized(size).over(BACKGROUND);
                let camera = camera(run, prior, &image)?;
                let view = ViewSettings {
                    background: BACKGROUND,
                    ..ViewSettings::albedo(camera)
                };
                let cutout = cutout.resized(run.image_size(prior));
                let target = Target { view, cutout };
                (vec![(image, told(camera))], Some(target), 0.0)
            }
        };
        Ok(Some(Self {
            images,
            target,
            guidance_scale,
            from,
        }))
    }

    /// As a prior reads the images, one a set.
    pub(crate) fn read(&self, prior: &dyn Prior) -> Result<References, EngineError> {
        read_images(prior, &self.images, 1, 0.0, 0).map_err(EngineError::Config)
    }

    /// Which image each of `count` views from number `first` is shown: one at random, or none yet.
    pub(crate) fn sets(&self, draw: &Draw, [first, count]: [usize; 2]) -> Vec<Option<usize>> {
        let of_view = |view: usize| self.choose(&mut draw.random(Purpose::Reference, view));
        let is_shown = draw.progress() >= self.from;
        (first..first + count)
            .map(|view| is_shown.then(|| of_view(view)))
            .collect()
    }

    /// One of the images.
    pub(crate) fn choose(&self, rng: &mut impl Rng) -> usize {
        rng.random_range(0..self.images.len())
    }

    /// Images of `sets` as they are shown, with the configuration's guidance.
    pub(crate) fn shown<'a>(
        &self,
        references: &'a References,
        sets: &'a [Option<usize>],
    ) -> Shown<'a> {
        Shown {
            references,
            sets,
            scale: self.guidance_scale,
        }
    }
}

impl Target {
    /// How far the scene is from the picture: mean squared differences of colour and of opacity, each with its weight.
    pub(crate) fn losses(
        &self,
        renderer: &Renderer,
        weights: &LossWeights,
        draw: &Draw,
        number: usize,
    ) -> [Tensor<1>; 2] {
        let jitter = |_| draw.random(Purpose::Jitter, number);
        let size = self.cutout.image.width;
        let rendered = renderer.render(&[self.view], size, Some(&jitter));
        let (color, opacity) = self.wanted(&rendered.color.device());
        let ramp = draw.ramp();
        let apart = |made: Tensor<4>, wanted: Tensor<4>| (made - wanted).powi_scalar(2).mean();
        [
            apart(rendered.color, color) * weights.picture.at(ramp),
            apart(rendered.opacity, opacity) * weights.mask.at(ramp),
        ]
    }

    fn wanted(&self, device: &Device) -> (Tensor<4>, Tensor<4>) {
        let (cutout, size) = (&self.cutout, self.cutout.image.width);
        let opacity = TensorData::new(cutout.opacity.clone(), [1, 1, size, size]);
        (
            batch_of([&cutout.over(BACKGROUND)], device),
            Tensor::from_data(opacity, device),
        )
    }
}

/// What is told of a picture: nothing of its light.
fn told(camera: Camera) -> Told {
    Told {
        camera: Some(camera),
        background: Some(BACKGROUND),
        ..Told::default()
    }
}

/// Where a picture is seen from, which the configuration then says.
fn camera(run: &mut RunConfig, prior: &dyn Prior, image: &Image) -> Result<Camera, EngineError> {
    let given = run.reference.azimuth.zip(run.reference.elevation);
    let degrees = match given {
        Some((azimuth, elevation)) => [azimuth, elevation],
        None if !prior.spec().takes_camera => UNKNOWN,
        None => estimated(prior, image, &run.prompt)
            .map_err(|reason| EngineError::of_prompt(reason, false))?,
    };
    run.reference.azimuth = Some(degrees[0]);
    run.reference.elevation = Some(degrees[1]);
    let middle = |[low, high]: [f32; 2]| 0.5 * (low + high);
    let [azimuth, elevation] = degrees.map(f32::to_radians);
    Ok(Camera {
        distance: middle(run.cameras.distance),
        fov: middle(run.cameras.fov).to_radians(),
        ..Camera::orbit(azimuth, elevation)
    })
}

/// Where a prior thinks that an image is seen from: azimuth and elevation in whole degrees.
fn estimated(prior: &dyn Prior, image: &Image, prompt: &str) -> Result<[f32; 2], String> {
    let known = Told {
        background: Some(BACKGROUND),
        ..Told::default()
    };
    let cameras = cameras_by_error(prior, image, &known, prompt)?;
    let (best, _) = cameras[0];
    Ok([best.azimuth, best.elevation].map(|angle| angle.to_degrees().round()))
}

/// Candidates of which the one that surprises the prior least is kept.
const CANDIDATES: usize = 8;

/// Where candidates are seen from, in degrees.
const CANDIDATE: [f32; 2] = [30.0, 20.0];

/// What is added to a run's seed for the views that fit the candidate: they start from other noise.
const OTHER_VIEWS: u64 = 1 << 63;

/// Denoising steps of a drawn view.
const STEPS: usize = 32;

/// Guidance by the text when views are drawn.
const DRAWN_GUIDANCE: f64 = 2.0;

/// Views of one guess of what the prompt says: the best of several candidates, and others that fit it.
fn drawn(run: &RunConfig, prior: &dyn Prior) -> Result<Vec<(Image, Told)>, EngineError> {
    let [azimuth, elevation] = CANDIDATE.map(f32::to_radians);
    let count = run.reference.draw;
    let told = |index: usize| {
        let turn = std::f32::consts::TAU * index as f32 / count as f32;
        Told::camera(Camera::orbit(azimuth + turn, elevation))
    };
    let options = ViewOptions {
        prompt: &run.prompt,
        steps: STEPS,
        guidance_scale: DRAWN_GUIDANCE,
        reference_scale: 1.0,
        is_fixed: false,
        seed: run.seed.wrapping_add(OTHER_VIEWS),
    };
    let draw = || {
        let mut images = vec![(candidate(run, &told(0), prior)?, told(0))];
        let wanted: Vec<Told> = (1..count).map(told).collect();
        let others = sample_views(prior, &images, &wanted, &options)?;
        images.extend(others.into_iter().zip(wanted));
        Ok(images)
    };
    draw().map_err(|reason| EngineError::of_prompt(reason, false))
}

/// What surprises the prior least of what it draws for the prompt.
fn candidate(run: &RunConfig, told: &Told, prior: &dyn Prior) -> Result<Image, String> {
    let cameras: Vec<Camera> = vec![told.camera; CANDIDATES]
        .into_iter()
        .flatten()
        .collect();
    let options = SampleOptions {
        prompts: &vec![run.prompt.clone(); CANDIDATES],
        cameras: Some(&cameras),
        steps: STEPS,
        sampler: Sampler::Ddim,
        guidance_scale: DRAWN_GUIDANCE,
        seed: run.seed,
    };
    let mut best: Option<(Image, f64)> = None;
    for image in sample(prior, &options)? {
        let error = denoising_errors(prior, &image, std::slice::from_ref(told), &run.prompt)?[0];
        if best.as_ref().is_none_or(|(_, least)| error < *least) {
            best = Some((image, error));
        }
    }
    let (image, _) = best.expect("there are candidates");
    Ok(image)
}
