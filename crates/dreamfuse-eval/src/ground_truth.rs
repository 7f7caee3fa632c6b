//! A prior that knows the answer. What a run makes of it is the pipeline's own share of every error: cameras,
//! renderer, distillation and mesher are judged without any training.

use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::Told;
use dreamfuse_prior::{Batch, Conditioning, NoiseSchedule, Prior, PriorSpec, ScheduleConfig};
use dreamfuse_toybox::{Look, ParseError, Scene, parse, render};

/// Sees the canonical scene of one sentence, in albedo, in every noisy image of a known camera.
pub struct GroundTruthPrior {
    scene: Scene,
    size: usize,
    schedule: NoiseSchedule,
}

impl GroundTruthPrior {
    /// The prior of a sentence of the toybox, for images of `size × size`.
    ///
    /// # Errors
    /// When the prompt is no such sentence.
    pub fn new(prompt: &str, size: usize) -> Result<Self, ParseError> {
        Ok(Self::of_scene(Scene::canonical(&parse(prompt)?), size))
    }

    /// The prior of any scene.
    pub fn of_scene(scene: Scene, size: usize) -> Self {
        Self {
            scene,
            size,
            schedule: NoiseSchedule::new(ScheduleConfig::cosine_v()),
        }
    }

    /// Planes of the true image in `[−1, 1]`. A background that is not known is the mean of the
    /// noisy pixels where the scene is not.
    fn clean(&self, noisy: &[f32], signal: f32, told: &Told) -> Vec<f32> {
        let camera = told.camera.expect("views of a run have cameras");
        let look = Look {
            background: [0.0; 3],
            ..Look::albedo(&camera)
        };
        let empty = render(&self.scene, &camera, &look, self.size);
        let area = self.size * self.size;
        let seen = |channel: usize| {
            let pixels = noisy[channel * area..][..area].iter().zip(&empty.opacity);
            let outside = pixels.filter(|(_, opacity)| **opacity == 0.0);
            let (sum, count) = outside.fold((0.0, 0), |(sum, count), (value, _)| {
                (sum + value, count + 1)
            });
            (sum / signal / count.max(1) as f32 + 1.0) / 2.0
        };
        let background = told.background.unwrap_or_else(|| [0, 1, 2].map(seen));
        let plane = |channel: usize| {
            let pixels = empty.image.pixels.iter().zip(&empty.opacity);
            pixels.map(move |(pixel, a)| {
                2.0 * (pixel[channel] + (1.0 - a) * background[channel]) - 1.0
            })
        };
        (0..3).flat_map(plane).collect()
    }
}

impl Prior for GroundTruthPrior {
    fn spec(&self) -> PriorSpec {
        PriorSpec {
            takes_camera: true,
            takes_references: false,
            needs_references: false,
            ..PriorSpec::of_images(self.size)
        }
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    fn condition(&self, _: &[String]) -> Result<Conditioning, String> {
        Ok(Conditioning::none())
    }

    /// Where the camera is unknown it has no opinion, and sees no noise.
    fn predict(&self, batch: &Batch) -> Tensor<4> {
        let noisy = batch.samples().clone();
        let (shape, device) = (noisy.dims(), noisy.device());
        let Some(told) = batch.views().told() else {
            return noisy.zeros_like();
        };
        let (signal, sigma) = self.schedule.coefficients(batch.timesteps(), &device);
        let values = noisy.clone().into_data();
        let values = values.try_to_vec::<f32>().expect("images are f32");
        let images = values.chunks_exact(3 * self.size * self.size);
        let mut clean = Vec::with_capacity(values.len());
        for ((image, told), timestep) in images.zip(told).zip(batch.timesteps()) {
            let signal = self.schedule.alpha_cumprod(*timestep).sqrt() as f32;
            clean.extend(self.clean(image, signal, told));
        }
        let clean = Tensor::<4>::from_data(TensorData::new(clean, shape), &device);
        (noisy - signal * clean) / sigma
    }
}
