//! The Janus problem as the prior itself sees it: which view explains an image better? The view word, and the camera
//! where it is told, under which the prior predicts the noise best is its answer (a diffusion classifier: Li et al. 2023).

use crate::run::Run;
use crate::snapshot::Snapshot;
use dreamfuse_core::{Camera, Image, Told};
use dreamfuse_distill::ViewPrompts;
use dreamfuse_prior::sampler::normal;
use dreamfuse_prior::{Batch, Prior, Views, batch_of};
use dreamfuse_scene::ViewSettings;
use std::f32::consts::PI;

/// Noise levels at which the prior is asked: where views differ and shapes are still decided.
const LEVELS: [f64; 4] = [0.4, 0.55, 0.7, 0.85];

/// The error has to differ by this part to be a preference.
const MARGIN: f64 = 0.01;

/// Elevation of the views.
const ELEVATION: f32 = 0.2;

/// Whether the prior calls the scene's back a front.
pub(super) fn is_seen(run: &Run, scene: &Snapshot, prior: &dyn Prior) -> bool {
    let size = run.image_size(prior);
    let view = |camera| {
        scene
            .image_and_opacity(&ViewSettings::albedo(camera), size)
            .0
    };
    let classifier = ViewClassifier {
        prior,
        prompts: run.prompts(),
        camera_aware: run.config.camera_aware,
    };
    classifier.sees_front_on_the_back(&view(front()), &view(back()))
}

fn front() -> Camera {
    Camera::orbit(0.0, ELEVATION)
}

fn back() -> Camera {
    Camera::orbit(PI, ELEVATION)
}

/// A prior that is asked what it sees.
pub struct ViewClassifier<'a> {
    pub prior: &'a dyn Prior,
    pub prompts: &'a ViewPrompts,
    /// Say where the camera would stand, too.
    pub camera_aware: bool,
}

impl ViewClassifier<'_> {
    /// Whether it calls the image from behind a front, and the one in front too: a prior that has no opinion, or the
    /// opposite one, says nothing.
    pub fn sees_front_on_the_back(&self, from_front: &Image, from_behind: &Image) -> bool {
        self.calls_front(from_front) && self.calls_front(from_behind)
    }

    fn calls_front(&self, image: &Image) -> bool {
        self.error(image, front()) < (1.0 - MARGIN) * self.error(image, back())
    }

    /// Mean squared error of the predicted noise, were the image from this camera.
    fn error(&self, image: &Image, camera: Camera) -> f64 {
        let (spec, device, count) = (self.prior.spec(), self.prior.device(), LEVELS.len());
        let pixels = batch_of([image], &device);
        let timesteps = LEVELS.map(|t| self.prior.schedule().timestep(t));
        let [channels, height, width] = spec.sample_shape;
        let noise = normal([count, channels, height, width], 0, 0, &device);
        let clean = self.prior.encode(pixels).samples.repeat_dim(0, count);
        let noisy = self
            .prior
            .schedule()
            .add_noise(clean, noise.clone(), &timesteps);
        let text = self.prompts.for_cameras(&[camera; LEVELS.len()]).positive;
        // Each by itself: in a group of views the least noisy one would tell the others the answer.
        let told = [Told::camera(camera); LEVELS.len()];
        let views = if self.camera_aware {
            Views::Each(&told)
        } else {
            Views::Unknown
        };
        let answer = self
            .prior
            .predict(&Batch::new(noisy, &timesteps, &text, views));
        f64::from((answer - noise).powi_scalar(2).mean().into_scalar::<f32>())
    }
}
