//! Why score distillation works, seen: what noise leaves of an image, what the prior makes of that, and where it pushes.

use crate::guidance::{GuidanceConfig, GuidanceRequest, ViewConditioning, image_gradient};
use crate::spectrum::power_spectrum;
use burn::tensor::Tensor;
use dreamfuse_core::{Camera, Image, Told};
use dreamfuse_prior::sampler::normal;
use dreamfuse_prior::{Guided, Prior, Views, batch_of};

/// What is inspected.
pub struct Inspected<'a> {
    /// As large as the prior's images.
    pub image: &'a Image,
    /// With its view word.
    pub prompt: String,
    pub camera: Option<Camera>,
    /// In diffusers' convention.
    pub guidance_scale: f64,
    /// Of the noise, which is the same at all levels.
    pub seed: u64,
}

/// One noise level.
pub struct Level {
    /// In `[0, 1]`.
    pub t: f64,
    /// x_t.
    pub noisy: Image,
    /// x̂_0, the image that the guided answer stands for.
    pub estimate: Image,
    /// Where a step of gradient descent moves the image, scaled to its own largest value around grey.
    pub push: Image,
    /// Root mean square of the gradient.
    pub gradient: f64,
    /// Power by frequency of √ᾱ x_0 and of σ ε, in waves an image, over the prior's own channels.
    pub signal: Vec<f64>,
    pub noise: Vec<f64>,
}

impl Level {
    /// The lowest frequency at which the noise is stronger than the image; one past the last if there is none.
    pub fn drowned_from(&self) -> usize {
        let drowned = |k: &usize| self.noise[*k] > self.signal[*k];
        (1..self.signal.len())
            .find(drowned)
            .unwrap_or(self.signal.len())
    }
}

/// Looks at an image through the prior at each of the noise levels `ts`.
///
/// # Errors
/// When the prompt is too long for the prior.
pub fn inspect(prior: &dyn Prior, inspected: &Inspected, ts: &[f64]) -> Result<Vec<Level>, String> {
    let (spec, device) = (prior.spec(), prior.device());
    let size = spec.resolution;
    let image = batch_of([inspected.image], &device);
    let text = (
        prior.condition(std::slice::from_ref(&inspected.prompt))?,
        prior.condition(&[String::new()])?,
    );
    let told = inspected.camera.map(|camera| [Told::camera(camera)]);
    // One image by itself, even for a prior of several views.
    let views = told
        .as_ref()
        .map_or(Views::Unknown, |told| Views::Each(told));
    let [channels, height, width] = spec.sample_shape;
    let noise = normal([1, channels, height, width], inspected.seed, 0, &device);
    let level = |t: &f64| {
        let timesteps = [prior.schedule().timestep(*t)];
        let (signal, sigma) = prior.schedule().coefficients(&timesteps, &device);
        let clean = prior.encode(image.clone()).samples;
        let noisy = prior
            .schedule()
            .add_noise(clean.clone(), noise.clone(), &timesteps);
        let guided = Guided {
            prior,
            texts: [&text.0, &text.1],
            known: views.into(),
            guidance_scale: inspected.guidance_scale,
        };
        let guided = guided.noise(noisy.clone(), &timesteps);
        let estimate = prior.schedule().clean_of(noisy.clone(), guided, &timesteps);
        let request = GuidanceRequest {
            timesteps: &timesteps,
            noise: noise.clone(),
            texts: ViewConditioning::of(text.0.clone(), text.1.clone()),
            known: views.into(),
            guidance_scale: inspected.guidance_scale,
            clip: f64::INFINITY,
        };
        let mut guidance = GuidanceConfig::default().build();
        let gradient = image_gradient(&mut *guidance, prior, image.clone(), &request);
        let gradient = values(gradient);
        let largest = gradient
            .iter()
            .fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let push: Vec<f32> = gradient
            .iter()
            .map(|value| 0.5 - 0.5 * value / largest)
            .collect();
        let squares: f64 = gradient.iter().map(|value| f64::from(*value).powi(2)).sum();
        Level {
            t: *t,
            noisy: shown(prior, noisy),
            estimate: shown(prior, estimate),
            push: Image::from_planes(size, &push),
            gradient: (squares / gradient.len() as f64).sqrt(),
            signal: power_spectrum(&values(signal * clean), width),
            noise: power_spectrum(&values(sigma * noise.clone()), width),
        }
    };
    Ok(ts.iter().map(level).collect())
}

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor
        .into_data()
        .try_to_vec::<f32>()
        .expect("images are f32")
}

/// A sample of the prior's, as an image.
fn shown(prior: &dyn Prior, own: Tensor<4>) -> Image {
    Image::from_planes(
        prior.spec().resolution,
        &values(prior.decode(own).clamp(0.0, 1.0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Constant;

    #[test]
    fn the_estimate_is_the_priors_and_the_push_goes_there_and_high_frequencies_drown_first() {
        let prior = Constant::new(16, 0.5);
        let mut image = Image::filled(16, 16, [0.25; 3]);
        image.pixels[16 * 6 + 4..16 * 6 + 11].fill([0.9; 3]);
        let inspected = Inspected {
            image: &image,
            prompt: String::new(),
            camera: None,
            guidance_scale: 1.0,
            seed: 0,
        };
        let levels = inspect(&prior, &inspected, &[0.1, 0.5, 0.9]).unwrap();
        for level in &levels {
            assert!(
                level
                    .estimate
                    .pixels
                    .iter()
                    .all(|pixel| (pixel[0] - 0.75).abs() < 1e-3),
                "at {}",
                level.t
            );
            // Up where the image is darker than the answer, down where it is brighter.
            assert!(level.push.pixels[0][0] > 0.6 && level.push.pixels[16 * 6 + 6][0] < 0.5);
            assert!(level.gradient > 0.0);
        }
        let drowned: Vec<usize> = levels.iter().map(Level::drowned_from).collect();
        assert!(
            drowned[0] > drowned[1] && drowned[1] >= drowned[2] && drowned[2] <= 2,
            "{drowned:?}"
        );
    }
}
