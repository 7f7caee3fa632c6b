//! The Janus problem as the prior itself sees it: which view explains a picture better? The view word, and the camera
//! where it is told, under which the prior predicts the noise best is its answer (a diffusion classifier: Li et al. 2023).

use crate::export::picture_and_opacity;
use crate::run::Run;
use burn::tensor::{Device, Tensor};
use dreamfuse_core::{Camera, Picture};
use dreamfuse_diffusion::FrozenPrior;
use dreamfuse_diffusion::sampler::normal;
use dreamfuse_distill::ViewPrompts;
use dreamfuse_scene::ViewSettings;
use std::f32::consts::PI;

/// Noise levels at which the prior is asked: where views differ and shapes are still decided.
const LEVELS: [f64; 4] = [0.4, 0.55, 0.7, 0.85];

/// The error has to differ by this part to be a preference.
const MARGIN: f64 = 0.01;

/// Elevation of the views.
const ELEVATION: f32 = 0.2;

/// Whether the prior calls the scene's back a front.
pub(super) fn is_seen(run: &Run, prior: &dyn FrozenPrior) -> bool {
    let view =
        |camera| picture_and_opacity(run, &ViewSettings::albedo(camera), run.picture_size(prior)).0;
    let device = run.field().table.clone().without_autodiff().device();
    let opinion = Opinion {
        prior,
        prompts: run.prompts(),
        camera_aware: run.config.camera_aware,
        device,
    };
    opinion.takes_back_for_front(&view(front()), &view(back()))
}

fn front() -> Camera {
    Camera::orbit(0.0, ELEVATION)
}

fn back() -> Camera {
    Camera::orbit(PI, ELEVATION)
}

/// A prior that is asked what it sees.
pub struct Opinion<'a> {
    pub prior: &'a dyn FrozenPrior,
    pub prompts: &'a ViewPrompts,
    /// Say where the camera would stand, too.
    pub camera_aware: bool,
    /// The prior's.
    pub device: Device,
}

impl Opinion<'_> {
    /// Whether it calls the picture from behind a front, and the one in front too: a prior that has no opinion, or the
    /// opposite one, says nothing.
    pub fn takes_back_for_front(&self, from_front: &Picture, from_behind: &Picture) -> bool {
        self.calls_front(from_front) && self.calls_front(from_behind)
    }

    fn calls_front(&self, picture: &Picture) -> bool {
        self.error(picture, front()) < (1.0 - MARGIN) * self.error(picture, back())
    }

    /// Mean squared error of the predicted noise, were the picture from this camera.
    fn error(&self, picture: &Picture, camera: Camera) -> f64 {
        let (device, count, [channels, height, width]) =
            (&self.device, LEVELS.len(), self.prior.sample_shape());
        let mut planes = Vec::new();
        picture.push_planes(&mut planes);
        let pixels = Tensor::<1>::from_floats(planes.as_slice(), device).reshape([
            1,
            3,
            picture.height,
            picture.width,
        ]);
        let timesteps = LEVELS.map(|t| self.prior.schedule().timestep(t));
        let noise = normal([count, channels, height, width], 0, 0, device);
        let clean = self.prior.to_own_space(pixels).repeat_dim(0, count);
        let noisy = self
            .prior
            .schedule()
            .add_noise(clean, noise.clone(), &timesteps);
        let cameras = [camera; LEVELS.len()];
        let text = self.prompts.for_cameras(&cameras).positive;
        let answer = self.prior.noise(
            noisy,
            &timesteps,
            text,
            self.camera_aware.then_some(&cameras),
        );
        f64::from((answer - noise).powi_scalar(2).mean().into_scalar::<f32>())
    }
}
