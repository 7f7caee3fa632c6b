//! Batches of images with captions and cameras, drawn on all cores as they are needed.

use crate::buffers;
use crate::config::TrainConfig;
use dreamfuse_core::{Camera, Purpose, Shading, Told, ViewWord, random_background, stream};
use dreamfuse_diffusion::Tokenizer;
use dreamfuse_toybox::{Caption, CaptionSampler, Look, Scene, parse, render};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// What one step of training needs; the image's values are in `[−1, 1]`.
#[derive(Clone)]
pub(crate) struct Batch {
    /// `[batch, 3, size, size]`.
    pub clean: Vec<f32>,
    /// `[batch, 3, size, size]`, standard normal.
    pub noise: Vec<f32>,
    pub timesteps: Vec<usize>,
    /// `[batch, tokens]`.
    pub ids: Vec<i64>,
    /// What is told of each image.
    pub told: Vec<Told>,
    /// `[batch, BUFFERS, size, size]`, see [`crate::buffers`].
    pub buffers: Vec<f32>,
    /// Mean over the images, those of other shards too.
    pub mean_opacity: f32,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.timesteps.len()
    }

    /// The batch in parts of at most `count` images.
    pub(crate) fn shards(&self, count: usize) -> Vec<Self> {
        let part = |first: usize| {
            let last = (first + count).min(self.len());
            let rows = |list: &[f32]| {
                list[first * list.len() / self.len()..last * list.len() / self.len()].to_vec()
            };
            let tokens = self.ids.len() / self.len();
            Self {
                clean: rows(&self.clean),
                noise: rows(&self.noise),
                timesteps: self.timesteps[first..last].to_vec(),
                ids: self.ids[first * tokens..last * tokens].to_vec(),
                told: self.told[first..last].to_vec(),
                buffers: rows(&self.buffers),
                mean_opacity: self.mean_opacity,
            }
        };
        (0..self.len()).step_by(count).map(part).collect()
    }
}

struct Example {
    clean: Vec<f32>,
    noise: Vec<f32>,
    ids: Vec<i64>,
    told: Told,
    buffers: Vec<f32>,
}

/// The batch of step `step`: the same for the same configuration and seed.
pub(crate) fn draw(
    config: &TrainConfig,
    captions: &CaptionSampler,
    tokenizer: &Tokenizer,
    timesteps: usize,
    step: u64,
) -> Batch {
    let examples: Vec<Example> = (0..config.batch)
        .into_par_iter()
        .map(|index| example(config, captions, tokenizer, step, index))
        .collect();
    let mut rng = stream(config.seed, Purpose::Timestep, 0, step);
    let timestep = |z: f64| {
        let t = 1.0 / (1.0 + (-config.time_mean - config.time_deviation * z).exp());
        ((t * timesteps as f64) as usize).min(timesteps - 1)
    };
    Batch {
        timesteps: (0..config.batch)
            .map(|_| timestep(rng.sample(StandardNormal)))
            .collect(),
        clean: examples
            .iter()
            .flat_map(|e| e.clean.iter().copied())
            .collect(),
        noise: examples
            .iter()
            .flat_map(|e| e.noise.iter().copied())
            .collect(),
        ids: examples
            .iter()
            .flat_map(|e| e.ids.iter().copied())
            .collect(),
        told: examples.iter().map(|e| e.told).collect(),
        mean_opacity: mean_opacity(&examples),
        buffers: examples
            .iter()
            .flat_map(|e| e.buffers.iter().copied())
            .collect(),
    }
}

fn example(
    config: &TrainConfig,
    captions: &CaptionSampler,
    tokenizer: &Tokenizer,
    step: u64,
    index: usize,
) -> Example {
    let mut rng = stream(config.seed, Purpose::Caption, step, index as u64);
    let caption = caption(config, captions, &mut rng);
    let (is_canonical, instance) = (rng.random_bool(config.canonical), rng.random());
    let scene = if is_canonical {
        Scene::canonical(&caption.sentence)
    } else {
        Scene::instance(&caption.sentence, instance)
    };
    let camera = config.cameras.sample(0, 1, &mut rng);
    let look = look(config, &camera, &mut rng);
    let view = render(&scene, &camera, &look, config.size);
    let mut planes = Vec::with_capacity(3 * config.size * config.size);
    view.image.push_planes(&mut planes);
    let mut text = caption.text;
    if rng.random_bool(config.view_words) {
        text.push_str(ViewWord::of(camera.azimuth, camera.elevation).suffix());
    }
    if rng.random_bool(config.drop_text) {
        text.clear();
    }
    let told = told(config, &camera, &look, is_canonical, &mut rng);
    Example {
        clean: planes.iter().map(|v| 2.0 * v - 1.0).collect(),
        noise: rng.sample_iter(StandardNormal).take(planes.len()).collect(),
        ids: tokenizer
            .encode(&text)
            .expect("captions of the grammar fit"),
        told,
        buffers: buffers::of(&view, &camera),
    }
}

fn mean_opacity(examples: &[Example]) -> f32 {
    let opacity = |example: &Example| {
        let pixels = example.buffers.len() / buffers::BUFFERS;
        example.buffers[..pixels].iter().sum::<f32>() / pixels as f32
    };
    examples.iter().map(opacity).sum::<f32>() / examples.len() as f32
}

/// A caption of the grammar, or of the configuration's own sentences.
fn caption(config: &TrainConfig, captions: &CaptionSampler, rng: &mut impl Rng) -> Caption {
    let sentences = &config.sentences;
    if sentences.is_empty() {
        return captions.sample(rng);
    }
    let text = sentences[rng.random_range(0..sentences.len())].clone();
    let sentence = parse(&text).expect("the configuration was checked");
    Caption { sentence, text }
}

/// What the network is told of an image: groups are left out at random, so that it can do without each.
fn told(
    config: &TrainConfig,
    camera: &Camera,
    look: &Look,
    is_canonical: bool,
    rng: &mut impl Rng,
) -> Told {
    let camera = (!rng.random_bool(config.drop_camera)).then_some(*camera);
    if !config.told {
        return Told {
            camera,
            ..Told::default()
        };
    }
    let mut is_known = || !rng.random_bool(config.drop_told);
    Told {
        camera,
        shading: is_known().then_some(look.shading),
        light: is_known().then_some(look.light),
        background: is_known().then_some(look.background),
        canonical: is_known().then_some(is_canonical),
    }
}

fn look(config: &TrainConfig, camera: &Camera, rng: &mut impl Rng) -> Look {
    let roll = rng.random::<f64>();
    let shading = if roll < config.albedo {
        Shading::Albedo
    } else if roll < config.albedo + config.textureless {
        Shading::Textureless
    } else {
        Shading::Lambertian
    };
    let light = config.lights.sample(camera, rng);
    Look {
        shading,
        light,
        background: random_background(rng),
    }
}
