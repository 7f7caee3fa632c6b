//! A prior that knows the answer. What a run makes of it is the pipeline's own share of every error: cameras,
//! renderer, distillation and mesher are judged without any training.

use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::Camera;
use dreamfuse_diffusion::{FrozenPrior, NoiseSchedule, ReadText, ScheduleConfig};
use dreamfuse_toybox::{Look, ParseError, Scene, parse, render};

/// Sees the canonical scene of one sentence, in albedo, in every noisy picture of a known camera.
pub struct GroundTruthPrior {
    scene: Scene,
    size: usize,
    schedule: NoiseSchedule,
}

impl GroundTruthPrior {
    /// The prior of a sentence of the toybox, for pictures of `size × size`.
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

    /// Planes of the true picture in `[−1, 1]`, before the background that shows through the noise: the mean of
    /// the pixels where the scene is not.
    fn clean(&self, noisy: &[f32], signal: f32, camera: &Camera) -> Vec<f32> {
        let area = self.size * self.size;
        let look = Look::albedo(camera);
        let empty = render(
            &self.scene,
            camera,
            &Look {
                background: [0.0; 3],
                ..look
            },
            self.size,
        );
        let seen = |channel: usize| {
            let pixels = noisy[channel * area..][..area].iter().zip(&empty.opacity);
            let (sum, count) = pixels
                .filter(|(_, a)| **a == 0.0)
                .fold((0.0, 0), |(s, n), (v, _)| (s + v, n + 1));
            (sum / signal / count.max(1) as f32 + 1.0) / 2.0
        };
        let background = [0, 1, 2].map(seen);
        let plane = |channel: usize| {
            let pixels = empty.picture.pixels.iter().zip(&empty.opacity);
            pixels.map(move |(pixel, a)| {
                2.0 * (pixel[channel] + (1.0 - a) * background[channel]) - 1.0
            })
        };
        (0..3).flat_map(plane).collect()
    }
}

impl FrozenPrior for GroundTruthPrior {
    fn device(&self) -> Device {
        Device::flex()
    }

    fn resolution(&self) -> usize {
        self.size
    }

    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    fn encode(&self, _: &[String]) -> Result<ReadText, String> {
        Ok(ReadText::none())
    }

    /// Where no cameras are told it has no opinion, and sees no noise.
    fn noise(
        &self,
        noisy: Tensor<4>,
        timesteps: &[usize],
        _: ReadText,
        cameras: Option<&[Camera]>,
    ) -> Tensor<4> {
        let (shape, device) = (noisy.dims(), noisy.device());
        let (signal, sigma) = self.schedule.coefficients(timesteps, &device);
        let Some(cameras) = cameras else {
            return noisy.zeros_like();
        };
        let values = noisy
            .clone()
            .into_data()
            .try_to_vec::<f32>()
            .expect("pictures are f32");
        let pictures = values.chunks_exact(3 * self.size * self.size);
        let clean =
            pictures
                .zip(cameras)
                .zip(timesteps)
                .flat_map(|((picture, camera), timestep)| {
                    self.clean(
                        picture,
                        self.schedule.alpha_cumprod(*timestep).sqrt() as f32,
                        camera,
                    )
                });
        let clean = Tensor::<4>::from_data(TensorData::new(clean.collect(), shape), &device);
        (noisy - signal * clean) / sigma
    }
}
