//! Drawing images from a prior.

use crate::{Guided, Prior, Views, images_of};
use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::{Camera, Image, Purpose, Told, stream};
use rand::RngExt;
use rand_distr::StandardNormal;

/// How a step goes from x_t to less noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// Deterministic (Song et al. 2021, η = 0).
    Ddim,
    /// Ancestral, with the posterior's variance (Ho et al. 2020, Algorithm 2).
    Ddpm,
}

/// What to draw.
pub struct SampleOptions<'a> {
    pub prompts: &'a [String],
    /// One a prompt, or none at all.
    pub cameras: Option<&'a [Camera]>,
    pub steps: usize,
    pub sampler: Sampler,
    pub guidance_scale: f64,
    pub seed: u64,
}

/// Draws one image a prompt.
///
/// # Errors
/// When a prompt is too long.
pub fn sample(prior: &dyn Prior, options: &SampleOptions) -> Result<Vec<Image>, String> {
    let (spec, device) = (prior.spec(), prior.device());
    let count = options.prompts.len();
    let text = prior.condition(options.prompts)?;
    let empty = prior.condition(&vec![String::new(); count])?;
    let told: Option<Vec<Told>> = options
        .cameras
        .map(|cameras| cameras.iter().copied().map(Told::camera).collect());
    let views = match &told {
        None => Views::Unknown,
        Some(told) => Views::of(told, spec.views_per_group),
    };
    let [channels, height, width] = spec.sample_shape;
    let shape = [count, channels, height, width];
    let x = normal(shape, options.seed, 0, &device);
    let timesteps = spaced(prior.schedule().steps(), options.steps);
    let guided = Guided {
        prior,
        texts: [&text, &empty],
        known: views.into(),
        guidance_scale: options.guidance_scale,
    };
    let x = guided.follow(x, &timesteps, |i, x, clean, alphas| {
        let z = normal(shape, options.seed, i as u64 + 1, &device);
        step(options.sampler, x, clean, alphas, z)
    });
    Ok(decoded(prior, x))
}

/// Images of a prior's samples, clamped to what an image holds.
pub fn decoded(prior: &dyn Prior, samples: Tensor<4>) -> Vec<Image> {
    images_of(prior.decode(samples).clamp(0.0, 1.0))
}

impl Guided<'_> {
    /// Clean samples from x_t at the first of `timesteps`, by DDIM (Song et al. 2021, η = 0).
    pub fn denoise(&self, x: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        self.follow(x, timesteps, |_, x, clean, alphas| ddim(x, clean, alphas))
    }

    /// The clean samples that are seen in noisy ones, kept where clean samples are.
    pub(crate) fn clean(&self, x: Tensor<4>, times: &[usize]) -> Tensor<4> {
        let noise = self.noise(x.clone(), times);
        let clean = self.prior.schedule().clean_of(x, noise, times);
        self.prior.clamp_clean(clean)
    }

    /// `next` goes from x_t and x̂_0 at a noise level ᾱ to the next one, and knows the number of the step.
    fn follow(
        &self,
        mut x: Tensor<4>,
        timesteps: &[usize],
        mut next: impl FnMut(usize, Tensor<4>, Tensor<4>, [f64; 2]) -> Tensor<4>,
    ) -> Tensor<4> {
        let schedule = self.prior.schedule();
        let alpha = |t: &usize| schedule.alpha_cumprod(*t);
        for (i, t) in timesteps.iter().enumerate() {
            let times = vec![*t; x.dims()[0]];
            let clean = self.clean(x.clone(), &times);
            x = next(
                i,
                x,
                clean,
                [alpha(t), timesteps.get(i + 1).map_or(1.0, alpha)],
            );
        }
        x
    }
}

/// `count` timesteps from the last one down, evenly spaced ("trailing" in diffusers).
pub fn spaced(total: usize, count: usize) -> Vec<usize> {
    let count = count.clamp(1, total);
    (0..count)
        .map(|i| ((count - i) * total).div_ceil(count) - 1)
        .collect()
}

/// From noise level ᾱ to ᾱ'.
fn step(
    sampler: Sampler,
    x: Tensor<4>,
    clean: Tensor<4>,
    [alpha, next]: [f64; 2],
    z: Tensor<4>,
) -> Tensor<4> {
    match sampler {
        Sampler::Ddim => ddim(x, clean, [alpha, next]),
        Sampler::Ddpm => {
            // The posterior q(x_s | x_t, x_0) (Ho et al. 2020, equations 6 and 7).
            let beta = 1.0 - alpha / next;
            let mean = clean * (next.sqrt() * beta / (1.0 - alpha))
                + x * ((alpha / next).sqrt() * (1.0 - next) / (1.0 - alpha));
            mean + z * (beta * (1.0 - next) / (1.0 - alpha)).max(0.0).sqrt()
        }
    }
}

/// DDIM's step from noise level ᾱ to ᾱ' (Song et al. 2021, η = 0).
pub(crate) fn ddim(x: Tensor<4>, clean: Tensor<4>, [alpha, next]: [f64; 2]) -> Tensor<4> {
    let noise = (x - clean.clone() * alpha.sqrt()) / (1.0 - alpha).sqrt();
    clean * next.sqrt() + noise * (1.0 - next).sqrt()
}

/// Standard normal numbers of stream `index`.
pub fn normal(shape: [usize; 4], seed: u64, index: u64, device: &Device) -> Tensor<4> {
    let rng = stream(seed, Purpose::Sampling, 0, index);
    let values: Vec<f32> = rng
        .sample_iter(StandardNormal)
        .take(shape.iter().product())
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Conditioning, NoiseSchedule, PriorSpec, ScheduleConfig};

    #[test]
    fn timesteps_go_from_the_last_to_near_the_first() {
        assert_eq!(spaced(1000, 4), [999, 749, 499, 249]);
        assert_eq!(spaced(1000, 1000), (0..1000).rev().collect::<Vec<_>>());
        assert_eq!(spaced(10, 99).len(), 10);
    }

    /// A prior that knows the exact score of images of one grey value each.
    struct Grey(NoiseSchedule, f64);

    impl Prior for Grey {
        fn spec(&self) -> PriorSpec {
            PriorSpec::of_images(4)
        }
        fn device(&self) -> Device {
            Device::flex()
        }
        fn schedule(&self) -> &NoiseSchedule {
            &self.0
        }
        fn condition(&self, _: &[String]) -> Result<Conditioning, String> {
            Ok(Conditioning::none())
        }
        fn predict(&self, batch: &Batch) -> Tensor<4> {
            let noisy = batch.samples().clone();
            let (signal, sigma) = self.0.coefficients(batch.timesteps(), &noisy.device());
            (noisy - signal * self.1) / sigma
        }
    }

    #[test]
    fn both_samplers_arrive_at_what_an_exact_prior_knows() {
        let prior = Grey(NoiseSchedule::new(ScheduleConfig::cosine_v()), 0.5);
        for sampler in [Sampler::Ddim, Sampler::Ddpm] {
            let prompts = vec![String::new(); 2];
            let options = SampleOptions {
                prompts: &prompts,
                cameras: None,
                steps: 20,
                sampler,
                guidance_scale: 3.0,
                seed: 1,
            };
            for image in sample(&prior, &options).unwrap() {
                assert!(
                    image
                        .pixels
                        .iter()
                        .flatten()
                        .all(|v| (v - 0.75).abs() < 0.01),
                    "{sampler:?}: {:?}",
                    image.pixels[0]
                );
            }
        }
    }

    #[test]
    fn a_part_of_the_path_leads_to_the_same_image() {
        let prior = Grey(NoiseSchedule::new(ScheduleConfig::cosine_v()), 0.5);
        let text = Conditioning::none();
        let path = Guided {
            prior: &prior,
            texts: [&text, &text],
            known: Views::Unknown.into(),
            guidance_scale: 1.0,
        };
        let timesteps = spaced(1000, 20);
        let rest = &timesteps[15..];
        let clean = Tensor::<4>::full([1, 3, 4, 4], 0.1, &Device::flex());
        let (signal, sigma) = prior.0.coefficients(&rest[..1], &Device::flex());
        let noisy = clean * signal + normal([1, 3, 4, 4], 1, 0, &Device::flex()) * sigma;
        let found = path
            .denoise(noisy, rest)
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        assert!(found.iter().all(|v| (v - 0.5).abs() < 1e-3), "{found:?}");
    }
}
