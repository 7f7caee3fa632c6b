//! What a step draws at random: its views, their noise levels, the noise.

use crate::config::RunConfig;
use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::{Camera, Purpose, Shading, random_background, view_stream};
use dreamfuse_prior::NoiseSchedule;
use dreamfuse_scene::ViewSettings;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The random numbers of one step. Each view has its own, so that views can be shared out.
#[derive(Clone, Copy)]
pub(crate) struct Draw<'a> {
    pub config: &'a RunConfig,
    pub attempt: u64,
    pub step: u64,
    /// Views that the prior sees together; they share a noise level.
    pub together: usize,
}

impl Draw<'_> {
    /// The random numbers of a view of this step.
    pub(crate) fn random(&self, purpose: Purpose, view: usize) -> ChaCha8Rng {
        view_stream(self.config.seed, purpose, self.attempt, self.step, view)
    }

    /// Part of the run that is done.
    pub(crate) fn progress(&self) -> f64 {
        self.step as f64 / self.config.steps as f64
    }

    /// How far scheduled settings have moved from their start to their end.
    pub(crate) fn ramp(&self) -> f64 {
        self.config.guidance.ramp_at(self.progress())
    }

    pub(crate) fn views(&self) -> Vec<ViewSettings> {
        let config = self.config;
        let cameras = config
            .cameras
            .sample_rows(config.views, self.together, |view| {
                self.random(Purpose::Camera, view)
            });
        let view = |(index, camera): (usize, Camera)| {
            let mut light = self.random(Purpose::Light, index);
            ViewSettings {
                camera,
                light: config.lights.sample(&camera, &mut light),
                shading: self.shading(&mut self.random(Purpose::Shading, index)),
                background: random_background(&mut self.random(Purpose::Background, index)),
            }
        };
        cameras.into_iter().enumerate().map(view).collect()
    }

    fn shading(&self, rng: &mut impl Rng) -> Shading {
        let (lit, textureless) = (rng.random::<f64>(), rng.random::<f64>());
        if self.progress() < self.config.albedo_only || lit >= self.config.lit {
            Shading::Albedo
        } else if textureless < self.config.textureless {
            Shading::Textureless
        } else {
            Shading::Lambertian
        }
    }

    /// One a view; those of views that the prior sees together are the same.
    pub(crate) fn timesteps(&self, schedule: &NoiseSchedule, views: usize) -> Vec<usize> {
        let [low, high] = self.config.time.bounds(self.progress());
        let of_group = |group: usize| {
            let mut times = self.random(Purpose::Timestep, group * self.together);
            schedule.timestep(times.random_range(low..=high))
        };
        (0..views / self.together)
            .map(of_group)
            .flat_map(|timestep| std::iter::repeat_n(timestep, self.together))
            .collect()
    }

    /// Gaussian noise for `count` views from number `first`, of `shape` each.
    pub(crate) fn noise(
        &self,
        [first, count]: [usize; 2],
        [channels, height, width]: [usize; 3],
        device: &Device,
    ) -> Tensor<4> {
        let of_view = |view: usize| {
            let numbers = self.random(Purpose::Noise, view);
            let values = numbers.sample_iter(StandardNormal);
            values.take(channels * height * width)
        };
        let values: Vec<f32> = (first..first + count).flat_map(of_view).collect();
        let shape = [count, channels, height, width];
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}
