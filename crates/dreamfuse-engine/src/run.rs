//! The loop of the paper.

use crate::EngineError;
use crate::checkpoint::Frozen;
use crate::config::RunConfig;
use crate::draw::Draw;
use crate::event::Report;
use crate::optimizer::Optimizer;
use crate::places::Places;
use crate::reference::Reference;
use crate::share::Step;
use crate::snapshot::Snapshot;
use crate::standby::Standby;
use burn::tensor::Tensor;
use dreamfuse_core::Told;
use dreamfuse_distill::{Guidance, ViewPrompts};
use dreamfuse_prior::{Prior, References, Views};
use dreamfuse_scene::{OccupancyGrid, SceneField};
use std::sync::Arc;

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
    places: Places,
    reference: Option<Reference>,
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
    pub fn new(mut config: RunConfig, prior: &dyn Prior) -> Result<Self, EngineError> {
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
        let reference = Reference::of(&mut config, prior)?;
        let places = Places::new(&config, prior, reference.as_ref())?;
        let field = SceneField::random(&config.scene, config.seed, places.first());
        let occupancy = Arc::new(OccupancyGrid::full(&config.scene));
        let mut run = Self {
            optimizer: Optimizer::new(field.parameters()),
            step: 0,
            attempt: 0,
            field,
            occupancy,
            places,
            reference,
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
        let draw = Draw {
            config: &self.config,
            attempt: self.attempt,
            step: self.step,
            together: self.views_together(prior),
        };
        let views = draw.views();
        let timesteps = draw.timesteps(prior.schedule(), views.len());
        let step = Step {
            draw,
            occupancy: &self.occupancy,
            size: self.image_size(prior),
            count: views.len(),
            reference: self.reference.as_ref(),
        };
        let part = self.places.part(
            &step,
            prior,
            &mut *self.guidance,
            &self.optimizer.values(),
            (&views, &timesteps),
        );
        let figures = part.figures();
        if !figures.squares.is_finite() {
            return Err(EngineError::NotFinite(self.step));
        }
        let guidance_scale = self.config.guidance_scale.at(draw.ramp());
        let guidance_scale = self.config.text_scale(guidance_scale);
        let steps = prior.schedule().steps() as f32;
        let noise_level = timesteps.iter().map(|t| *t as f32 / steps).sum::<f32>();
        self.update(part.gradients);
        Ok(Report {
            step: self.step,
            opacity: figures.opacity,
            gradient_norm: figures.squares.sqrt(),
            samples: part.samples,
            occupied: self.occupancy.occupancy.occupied_part(),
            noise_level: noise_level / timesteps.len() as f32,
            guidance_scale,
            losses: figures.losses,
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
        self.config.image_size(prior)
    }

    /// The scene as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            field: self.field.clone(),
            occupancy: self.occupancy.clone(),
            config: self.config.scene.clone(),
            step: self.step,
        }
    }

    pub(crate) fn prompts(&self) -> &ViewPrompts {
        self.places.prompts()
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

    /// Views of a row that the prior sees together.
    pub(crate) fn views_together(&self, prior: &dyn Prior) -> usize {
        if self.config.camera_aware {
            prior.spec().views_per_group
        } else {
            1
        }
    }

    /// The images that the prior is shown, and how it has read them on the first device.
    pub(crate) fn shown(&self) -> Option<(&Reference, &References)> {
        self.reference.as_ref().zip(self.places.references())
    }

    /// What the prior is told of views, if it hears of cameras at all.
    pub(crate) fn views<'a>(&self, prior: &dyn Prior, told: &'a [Told]) -> Views<'a> {
        if self.config.camera_aware {
            Views::of(told, self.views_together(prior))
        } else {
            Views::Unknown
        }
    }

    /// Makes the field again from the optimizer's numbers.
    pub(crate) fn refresh_field(&mut self) {
        self.field = SceneField::from_parameters(&self.config.scene, self.optimizer.values());
    }
}
