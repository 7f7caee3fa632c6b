//! The loop of the paper.

use crate::EngineError;
use crate::checkpoint::Frozen;
use crate::config::RunConfig;
use crate::device::device;
use crate::event::{Losses, Report};
use crate::optimizer::Optimizer;
use crate::regularizers::Terms;
use crate::snapshot::Snapshot;
use crate::standby::Standby;
use burn::tensor::{Gradients, Tensor, TensorData};
use dreamfuse_core::{Camera, Purpose, Shading, Told, random_background, view_stream};
use dreamfuse_distill::{Guidance, GuidanceRequest, ViewPrompts, image_gradient};
use dreamfuse_kernels::adam::squares;
use dreamfuse_prior::{Prior, Views};
use dreamfuse_scene::{OccupancyGrid, Renderer, SceneField, ViewSettings};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::sync::Arc;

/// Side of the images that are rendered for priors of larger ones, as the paper and threestudio do.
const LARGEST_IMAGE: usize = 64;

/// A scene that is being optimized.
pub struct Run {
    pub config: RunConfig,
    pub(crate) step: u64,
    /// Counts roll-backs: they draw other random numbers than the steps that they replace.
    pub(crate) attempt: u64,
    pub(crate) optimizer: Optimizer,
    pub(crate) field: SceneField,
    /// Shared with [`Standby`] and snapshots, and copied when it changes.
    pub(crate) occupancy: Arc<OccupancyGrid>,
    prompts: ViewPrompts,
    pub(crate) guidance: Box<dyn Guidance>,
    /// The prior's fingerprint, if it has one.
    pub(crate) prior: Option<[u8; 32]>,
    /// Whether the prior is another by name than that of the folder's configuration.
    pub(crate) is_prior_given: bool,
    pub(crate) standby: Arc<Standby>,
}

impl Run {
    /// A run before its first step.
    ///
    /// # Errors
    /// When the configuration cannot be or the prompt is too long for the prior.
    pub fn new(config: RunConfig, prior: &dyn Prior) -> Result<Self, EngineError> {
        config.check()?;
        let (wanted, most) = (config.render_size.unwrap_or(0), prior.spec().resolution);
        if wanted > most {
            return Err(EngineError::Config(format!(
                "render_size = {wanted} is more than the prior's images have, {most}"
            )));
        }
        let together = prior.spec().views_per_group;
        if config.camera_aware && !config.views.is_multiple_of(together) {
            let views = config.views;
            return Err(EngineError::Config(format!(
                "views = {views} is no multiple of the {together} that the prior sees together"
            )));
        }
        let device = device(&config.device, config.precision)?.autodiff();
        let prompts = ViewPrompts::encode(
            prior,
            [&config.prompt, &config.negative_prompt],
            config.view_prompts,
        );
        let prompts = prompts.map_err(|reason| {
            let is_negative = prior
                .condition(std::slice::from_ref(&config.negative_prompt))
                .is_err();
            EngineError::of_prompt(reason, is_negative)
        })?;
        let field = SceneField::random(&config.scene, config.seed, &device);
        let occupancy = Arc::new(OccupancyGrid::full(&config.scene));
        let mut run = Self {
            optimizer: Optimizer::new(field.parameters()),
            step: 0,
            attempt: 0,
            field,
            occupancy,
            prompts,
            guidance: config.guidance.build(),
            prior: prior.fingerprint(),
            is_prior_given: false,
            standby: Arc::default(),
            config,
        };
        run.stand_by();
        Ok(run)
    }

    /// With another guidance than the configuration's; before [`Run::restore`], which loads its state too.
    #[must_use]
    pub fn with_guidance(self, guidance: Box<dyn Guidance>) -> Self {
        let mut run = Self { guidance, ..self };
        run.stand_by();
        run
    }

    /// What a signal's thread saves while a step computes.
    pub fn standby(&self) -> Arc<Standby> {
        self.standby.clone()
    }

    /// Makes the state as it is now the one that stands ready.
    pub(crate) fn stand_by(&mut self) {
        let state = Frozen::of(self);
        self.standby.lock().state = Some(state);
    }

    /// Steps done.
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// One step of score distillation (Poole et al. 2022, section 3): render random views, ask the
    /// frozen prior how they should change, and move the scene's parameters that way.
    ///
    /// # Errors
    /// When the gradient is not finite; the scene is then as before the step.
    pub fn step(&mut self, prior: &dyn Prior) -> Result<Report, EngineError> {
        if self.step.is_multiple_of(self.config.occupancy_every) {
            Arc::make_mut(&mut self.occupancy).update(
                &self.field,
                &self.config.scene,
                self.config.seed,
                self.attempt,
                self.step,
            );
        }
        let views = self.draw_views(self.views_together(prior));
        let rendered = self.renderer().render(
            &views,
            self.image_size(prior),
            Some(&|view| self.random(Purpose::Jitter, view)),
        );
        let timesteps = self.draw_timesteps(prior, views.len());
        let images = rendered.color.clone().without_autodiff();
        let gradient = self.image_gradient(prior, &views, &timesteps, images);
        let opacity = rendered.opacity.clone().mean();
        let terms = Terms::of(&self.config.losses, self.ramp(), &rendered);
        // The gradient enters as a constant: the derivative of the sum is its product with ∂x/∂θ.
        let loss = (rendered.color.clone() * gradient).sum().reshape([1]) + terms.sum();
        let grads = self.gradients(&loss.backward());
        let [squares, opacity, of_opacity, of_binary, of_orientation] =
            scalars(&grads, opacity, &terms);
        if !squares.is_finite() {
            return Err(EngineError::NotFinite(self.step));
        }
        let guidance_scale = self.config.guidance_scale.at(self.ramp());
        let steps = prior.schedule().steps() as f32;
        let noise_level = timesteps.iter().map(|t| *t as f32 / steps).sum::<f32>();
        self.update(grads);
        Ok(Report {
            step: self.step,
            opacity,
            gradient_norm: squares.sqrt(),
            samples: rendered.samples,
            occupied: self.occupancy.occupancy.occupied_part(),
            noise_level: noise_level / timesteps.len() as f32,
            guidance_scale,
            losses: Losses {
                opacity: of_opacity,
                binary: of_binary,
                orientation: of_orientation,
            },
        })
    }

    /// Moves the parameters. The state of the step before is let go first, so that its memory is used again.
    fn update(&mut self, grads: [Tensor<1>; 2]) {
        let standby = self.standby.clone();
        let mut ready = standby.lock();
        ready.state = None;
        self.step += 1;
        self.optimizer.step(&self.config, self.step, grads);
        self.refresh_field();
        ready.state = Some(Frozen::of(self));
    }

    /// Side of the images that the prior is shown; it enlarges them to its own resolution.
    pub(crate) fn image_size(&self, prior: &dyn Prior) -> usize {
        self.config
            .render_size
            .unwrap_or_else(|| prior.spec().resolution.min(LARGEST_IMAGE))
    }

    /// The renderer of the scene that is being optimized.
    fn renderer(&self) -> Renderer<'_> {
        Renderer {
            field: &self.field,
            occupancy: &self.occupancy,
            config: &self.config.scene,
        }
    }

    /// The scene as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            field: self.field.frozen(),
            occupancy: self.occupancy.clone(),
            config: self.config.scene.clone(),
            step: self.step,
        }
    }

    pub(crate) fn prompts(&self) -> &ViewPrompts {
        &self.prompts
    }

    /// Brings the scene to its state before the first step.
    pub(crate) fn start_over(&mut self) {
        self.field = SceneField::random(
            &self.config.scene,
            self.config.seed,
            &self.field.table.device(),
        );
        self.optimizer = Optimizer::new(self.field.parameters());
        self.occupancy = Arc::new(OccupancyGrid::full(&self.config.scene));
        self.guidance.reset();
        self.step = 0;
    }

    /// The scene's field.
    pub fn field(&self) -> &SceneField {
        &self.field
    }

    /// The random numbers of a view of this step.
    fn random(&self, purpose: Purpose, view: usize) -> ChaCha8Rng {
        view_stream(self.config.seed, purpose, self.attempt, self.step, view)
    }

    /// Part of the run that is done.
    fn progress(&self) -> f64 {
        self.step as f64 / self.config.steps as f64
    }

    /// How far scheduled settings have moved from their start to their end.
    fn ramp(&self) -> f64 {
        self.config.guidance.ramp_at(self.progress())
    }

    /// Views of a row that the prior sees together.
    pub(crate) fn views_together(&self, prior: &dyn Prior) -> usize {
        if self.config.camera_aware {
            prior.spec().views_per_group
        } else {
            1
        }
    }

    fn draw_views(&self, together: usize) -> Vec<ViewSettings> {
        let cameras = self
            .config
            .cameras
            .sample_rows(self.config.views, together, |view| {
                self.random(Purpose::Camera, view)
            });
        let view = |(index, camera): (usize, Camera)| {
            let mut light = self.random(Purpose::Light, index);
            ViewSettings {
                camera,
                light: self.config.lights.sample(&camera, &mut light),
                shading: self.shading(&mut self.random(Purpose::Shading, index)),
                background: random_background(&mut self.random(Purpose::Background, index)),
            }
        };
        cameras.into_iter().enumerate().map(view).collect()
    }

    fn shading(&self, rng: &mut impl Rng) -> Shading {
        let (lit, textureless) = (rng.random::<f64>(), rng.random::<f64>());
        match () {
            () if self.progress() < self.config.albedo_only || lit >= self.config.lit => {
                Shading::Albedo
            }
            () if textureless < self.config.textureless => Shading::Textureless,
            () => Shading::Lambertian,
        }
    }

    /// One a view; those of views that the prior sees together are the same.
    fn draw_timesteps(&self, prior: &dyn Prior, views: usize) -> Vec<usize> {
        let [low, high] = self.config.time.bounds(self.progress());
        let together = self.views_together(prior);
        let of_group = |group: usize| {
            let mut times = self.random(Purpose::Timestep, group * together);
            prior.schedule().timestep(times.random_range(low..=high))
        };
        (0..views / together)
            .map(of_group)
            .flat_map(|timestep| std::iter::repeat_n(timestep, together))
            .collect()
    }

    /// The gradient of the images `[views, 3, size, size]`.
    fn image_gradient(
        &mut self,
        prior: &dyn Prior,
        views: &[ViewSettings],
        timesteps: &[usize],
        images: Tensor<4>,
    ) -> Tensor<4> {
        let [channels, height, width] = prior.spec().sample_shape;
        let shape = [views.len(), channels, height, width];
        let noise = |view: usize| {
            let numbers = self.random(Purpose::Noise, view);
            let values = numbers.sample_iter(StandardNormal);
            values.take(channels * height * width)
        };
        let noise: Vec<f32> = (0..views.len()).flat_map(noise).collect();
        let cameras: Vec<Camera> = views.iter().map(|view| view.camera).collect();
        let told: Vec<Told> = views.iter().map(told).collect();
        let ramp = self.ramp();
        let request = GuidanceRequest {
            timesteps,
            noise: Tensor::from_data(TensorData::new(noise, shape), &images.device()),
            texts: match self.config.guidance.perp_neg {
                true => self.prompts.for_cameras_perp_neg(&cameras),
                false => self.prompts.for_cameras(&cameras),
            },
            views: if self.config.camera_aware {
                Views::of(&told, self.views_together(prior))
            } else {
                Views::Unknown
            },
            guidance_scale: self.config.guidance_scale.at(ramp),
            clip: self.config.guidance.clip.at(ramp),
        };
        image_gradient(&mut *self.guidance, prior, images, &request)
    }

    /// Gradients of table and network; zeros where no ray met the scene.
    fn gradients(&self, grads: &Gradients) -> [Tensor<1>; 2] {
        let [table, mlp] = self.optimizer.values();
        [
            self.field
                .table
                .grad(grads)
                .map_or_else(|| table.zeros_like(), |grad| grad.reshape([-1])),
            self.field
                .mlp
                .grad(grads)
                .unwrap_or_else(|| mlp.zeros_like()),
        ]
    }

    /// Makes the field again from the optimizer's numbers.
    pub(crate) fn refresh_field(&mut self) {
        let values = self.optimizer.values().map(Tensor::autodiff);
        self.field = SceneField::from_parameters(&self.config.scene, values);
    }
}

/// The sum of the gradients' squares, the opacity, and the terms: read from the device at once.
fn scalars(grads: &[Tensor<1>; 2], opacity: Tensor<1>, terms: &Terms) -> [f32; 5] {
    let squares = grads.clone().map(squares);
    let squares = squares.into_iter().reduce(|a, b| a + b);
    let squares = squares.expect("there are two");
    let mut seen = vec![squares, opacity.without_autodiff().reshape([1])];
    seen.extend(terms.values());
    let seen = Tensor::cat(seen, 0).into_data().try_to_vec::<f32>();
    let seen = seen.expect("sums are f32");
    seen.try_into().expect("five values were put together")
}

/// All that is known of a view.
pub(crate) fn told(view: &ViewSettings) -> Told {
    Told {
        camera: Some(view.camera),
        shading: Some(view.shading),
        light: Some(view.light),
        background: Some(view.background),
        canonical: Some(true),
    }
}
