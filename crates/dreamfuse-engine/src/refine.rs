//! The second stage: the mesh's texture and vertices are optimized against the prior, so that its images become what the
//! prior makes of them. No gradient passes through the prior's network.

mod saved;

use crate::EngineError;
use crate::export::{Exported, drawn_as};
use crate::reference::Reference;
use crate::run::Run;
use crate::shape::{Hold, Shape};
use crate::share::{guidance_texts, told};
use burn::tensor::{Tensor, TensorData};
use dreamfuse_core::{Camera, Image, Purpose, Told, Vec3, view_stream};
use dreamfuse_distill::{GuidanceRequest, image_gradient};
use dreamfuse_mesh::{Lack, Model, Painter, self_intersections, with_positions};
use dreamfuse_prior::sampler::spaced;
use dreamfuse_prior::{Guided, Known, Prior, batch_of, decoded, images_of};
use dreamfuse_scene::ViewSettings;
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Softly: the prior's images may ask for another shape.
const HOLD: Hold = Hold {
    least_side: 384,
    laplacian: 20.0,
    normals: 2e-3,
};

/// What the mesh's images are moved towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefineMethod {
    /// What the prior makes of them when they are noised and denoised (DreamGaussian, Tang et al. 2023, section 3.3).
    #[default]
    Denoise,
    /// Down the gradient of the run's guidance (Magic3D, Lin et al. 2023, section 4.2).
    Guidance,
}

/// The second stage, which refines texture and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefineConfig {
    /// Steps of the second stage; 0 for none.
    pub steps: u64,
    /// `denoise` moves images of the mesh towards what the prior makes of them, noised and denoised; `guidance` down the
    /// gradient of the run's own guidance (`guidance.method`).
    pub method: RefineMethod,
    /// Views of a step.
    pub views: usize,
    /// Part of what the images lack by which a step moves the texture.
    pub rate: f32,
    /// By how much a step moves a vertex, at most about, in world units; 0 leaves the shape.
    pub vertex_rate: f32,
    /// Part of DDIM's path, or of all noise levels, to which images are noised, at the first step and at the last one.
    pub noise: [f64; 2],
    /// Steps of DDIM's whole path.
    pub ddim_steps: usize,
    /// Scale of classifier-free guidance, in diffusers' convention.
    pub guidance_scale: f64,
}

impl Default for RefineConfig {
    fn default() -> Self {
        Self {
            steps: 0,
            method: RefineMethod::default(),
            views: 4,
            rate: 0.5,
            vertex_rate: 0.002,
            noise: [0.2, 0.06],
            ddim_steps: 50,
            guidance_scale: 2.0,
        }
    }
}

impl RefineConfig {
    /// Says what cannot be, if anything.
    pub(crate) fn check(&self, texture_size: usize) -> Result<(), String> {
        let counts = [
            ("steps", self.steps, 0..=100_000),
            ("views", self.views as u64, 1..=64),
            ("ddim_steps", self.ddim_steps as u64, 1..=1000),
        ];
        for (key, value, range) in counts {
            if !range.contains(&value) {
                let (low, high) = (range.start(), range.end());
                return Err(format!(
                    "refine.{key} = {value} is not between {low} and {high}"
                ));
            }
        }
        for (key, rate, most) in [
            ("rate", self.rate, 1.0),
            ("vertex_rate", self.vertex_rate, 0.1),
        ] {
            if !(0.0..=most).contains(&rate) {
                return Err(format!("refine.{key} = {rate} is not between 0 and {most}"));
            }
        }
        if !self.noise.iter().all(|part| (0.0..=1.0).contains(part)) {
            return Err(format!(
                "refine.noise = {:?} is not between 0 and 1",
                self.noise
            ));
        }
        if !(self.guidance_scale.is_finite() && self.guidance_scale >= 0.0) {
            return Err(format!(
                "refine.guidance_scale = {} has to be zero or more",
                self.guidance_scale
            ));
        }
        if self.steps > 0 && texture_size == 0 {
            return Err("refine.steps needs a texture: texture_size = 0".into());
        }
        Ok(())
    }
}

/// A step of the stage.
pub struct RefineReport {
    /// Steps done.
    pub step: u64,
    /// Noise level t of the images, 0 to 1.
    pub noise_level: f32,
    /// Root mean square of what the texels moved.
    pub change: f32,
}

/// Refines the texture, and the shape where it may move; the mesh has to be closed. `after` hears of each step, and ends the
/// stage by `Break`. What comes out depends on nothing but the mesh, the prior and the configuration.
///
/// # Errors
/// When a texel is not finite, and as `after` says.
pub fn refine(
    run: &Run,
    prior: &dyn Prior,
    exported: &mut Exported,
    after: &mut dyn FnMut(RefineReport) -> Result<ControlFlow<()>, EngineError>,
) -> Result<ControlFlow<()>, EngineError> {
    let (model, config) = (&mut exported.model, &run.config.refine);
    let Some(mut painter) = Painter::of(model) else {
        return Ok(ControlFlow::Continue(()));
    };
    let moves = config.vertex_rate > 0.0;
    let mut shape = moves.then(|| Shape::of(&model.mesh, model.skin.as_ref(), HOLD));
    for step in 0..config.steps {
        let stage = Stage { run, prior, step };
        let Wanted {
            views,
            images,
            lacks,
            noise_level,
        } = stage.wanted(model);
        let change = painter.paint(model, &lacks, config.rate);
        if let (Some(shape), Some(skin)) = (&mut shape, &model.skin) {
            shape.repaint(skin);
            shape.step(&views, &images, config.vertex_rate);
            let positions = shape.positions();
            if !positions.as_flattened().iter().all(|v| v.is_finite()) {
                return Err(EngineError::RefineNotFinite(step + 1));
            }
            model.mesh = with_positions(&model.mesh, positions);
            painter.place(model);
        }
        if !change.is_finite() {
            return Err(EngineError::RefineNotFinite(step + 1));
        }
        let report = RefineReport {
            step: step + 1,
            noise_level,
            change,
        };
        if after(report)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if let Some(shape) = shape {
        model.mesh = shape.into_mesh();
        exported.self_intersections = self_intersections(&model.mesh);
    }
    painter.color_vertices(model);
    Ok(ControlFlow::Continue(()))
}

/// One step.
struct Stage<'a> {
    run: &'a Run,
    prior: &'a dyn Prior,
    step: u64,
}

/// What the prior makes of images of the model.
struct Wanted {
    views: Vec<ViewSettings>,
    images: Vec<Image>,
    /// What the model's images lack beside them.
    lacks: Vec<Lack>,
    noise_level: f32,
}

/// What the random numbers of a step are for.
#[derive(Clone, Copy)]
enum Use {
    Camera = 0,
    Noise = 1,
    Reference = 2,
}

impl Stage<'_> {
    fn wanted(&self, model: &Model) -> Wanted {
        let views: Vec<ViewSettings> = self
            .cameras()
            .into_iter()
            .map(ViewSettings::albedo)
            .collect();
        let size = self.prior.spec().resolution;
        let drawn: Vec<(Image, Vec<f32>)> = views
            .par_iter()
            .map(|view| drawn_as(model, view, size))
            .collect();
        let timesteps = self.timesteps();
        let images = self.moved(&views, &drawn, &timesteps);
        let lack =
            |((view, (image, covered)), wanted): ((&ViewSettings, &(Image, Vec<f32>)), &Image)| {
                let pixels = image.pixels.iter().zip(&wanted.pixels).zip(covered);
                let missing = pixels.map(|((there, wanted), covered)| {
                    // At a silhouette, a pixel shows the background too.
                    let part = f32::from(*covered == 1.0);
                    (part * (Vec3::from(*wanted) - Vec3::from(*there))).into()
                });
                Lack {
                    camera: view.camera,
                    image: Image::square(size, missing.collect()),
                }
            };
        Wanted {
            lacks: views.iter().zip(&drawn).zip(&images).map(lack).collect(),
            noise_level: timesteps[0] as f32 / self.prior.schedule().steps() as f32,
            views,
            images,
        }
    }

    fn cameras(&self) -> Vec<Camera> {
        let together = self.run.views_together(self.prior);
        let count = self.run.config.refine.views.next_multiple_of(together);
        let range = &self.run.config.cameras;
        range.sample_rows(count, together, |view| self.random(Use::Camera, view))
    }

    fn random(&self, purpose: Use, view: usize) -> impl rand::Rng + use<> {
        let seed = self.run.config.seed;
        view_stream(seed, Purpose::Refinement, purpose as u64, self.step, view)
    }

    /// The end of DDIM's path.
    fn timesteps(&self) -> Vec<usize> {
        let config = &self.run.config.refine;
        let progress = self.step as f64 / (config.steps.max(2) - 1) as f64;
        let part = config.noise[0] + progress * (config.noise[1] - config.noise[0]);
        let path = spaced(self.prior.schedule().steps(), config.ddim_steps);
        let count = (part * path.len() as f64)
            .round()
            .clamp(1.0, path.len() as f64);
        path[path.len() - count as usize..].to_vec()
    }

    /// What the drawn images should become, by the prior: noised to the first of the timesteps.
    fn moved(
        &self,
        views: &[ViewSettings],
        drawn: &[(Image, Vec<f32>)],
        timesteps: &[usize],
    ) -> Vec<Image> {
        let images = drawn.iter().map(|(image, _)| image);
        let images = batch_of(images, &self.prior.device());
        let cameras: Vec<Camera> = views.iter().map(|view| view.camera).collect();
        let told: Vec<Told> = views.iter().map(told).collect();
        let shown = self.run.shown();
        let sets = shown.map(|(reference, _)| self.sets(reference, views.len()));
        let shown = shown.zip(sets.as_deref());
        let known = Known {
            views: self.run.views(self.prior, &told),
            shown: shown.map(|((reference, references), sets)| reference.shown(references, sets)),
        };
        match self.run.config.refine.method {
            RefineMethod::Denoise => self.denoised(images, &cameras, known, timesteps),
            RefineMethod::Guidance => self.guided(images, &cameras, known, timesteps[0]),
        }
    }

    /// What the prior makes of the images.
    fn denoised(
        &self,
        images: Tensor<4>,
        cameras: &[Camera],
        known: Known,
        timesteps: &[usize],
    ) -> Vec<Image> {
        let (config, schedule) = (&self.run.config, self.prior.schedule());
        let clean = self.prior.encode(images).samples;
        let noise = self.noise(cameras.len());
        let noisy = schedule.add_noise(clean, noise, &vec![timesteps[0]; cameras.len()]);
        let texts = self.run.prompts().for_cameras(cameras);
        let path = Guided {
            prior: self.prior,
            texts: [&texts.positive, &texts.negative],
            known,
            guidance_scale: config.text_scale(config.refine.guidance_scale),
        };
        decoded(self.prior, path.denoise(noisy, timesteps))
    }

    /// The images, moved so that the mean squared error between both has the gradient of the run's guidance.
    fn guided(
        &self,
        images: Tensor<4>,
        cameras: &[Camera],
        known: Known,
        timestep: usize,
    ) -> Vec<Image> {
        let config = &self.run.config;
        let request = GuidanceRequest {
            timesteps: &vec![timestep; cameras.len()],
            noise: self.noise(cameras.len()),
            texts: guidance_texts(config, self.run.prompts(), cameras),
            known,
            guidance_scale: config.text_scale(config.refine.guidance_scale),
            clip: config.guidance.clip.end,
        };
        let half_the_values = 0.5 * images.shape().num_elements() as f32;
        let mut guidance = config.guidance.build();
        let gradient = image_gradient(&mut *guidance, self.prior, images.clone(), &request);
        images_of(images - gradient * half_the_values)
    }

    /// Which image of a run's references each view is shown.
    fn sets(&self, reference: &Reference, count: usize) -> Vec<Option<usize>> {
        let of_view = |view: usize| reference.choose(&mut self.random(Use::Reference, view));
        (0..count).map(|view| Some(of_view(view))).collect()
    }

    /// Noise for a batch of the prior's samples.
    fn noise(&self, count: usize) -> Tensor<4> {
        let [channels, height, width] = self.prior.spec().sample_shape;
        let of_view = |view: usize| {
            let numbers = self.random(Use::Noise, view).sample_iter(StandardNormal);
            numbers.take(channels * height * width)
        };
        let values: Vec<f32> = (0..count).flat_map(of_view).collect();
        let values = TensorData::new(values, [count, channels, height, width]);
        Tensor::from_data(values, &self.prior.device())
    }
}
