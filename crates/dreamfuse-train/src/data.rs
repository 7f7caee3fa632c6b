//! Batches of images with captions and cameras, drawn on all cores as they are needed.

use crate::buffers;
use crate::config::TrainConfig;
use crate::rows::{self, References};
use dreamfuse_core::{Camera, Purpose, Shading, Told, ViewWord, random_background, stream};
use dreamfuse_diffusion::Tokenizer;
use dreamfuse_toybox::{Caption, CaptionSampler, Look, Scene, View, parse, render};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use rayon::prelude::*;
use std::ops::Range;

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
    pub references: Option<ReferenceBatch>,
}

/// Reference images of a batch, `per_set` for each image.
#[derive(Clone)]
pub(crate) struct ReferenceBatch {
    pub per_set: usize,
    /// `[batch · per_set, 3, size, size]`.
    pub clean: Vec<f32>,
    /// Standard normal, as many.
    pub noise: Vec<f32>,
    pub timesteps: Vec<usize>,
    pub told: Vec<Told>,
    /// The tokens of the empty text, under which references are read.
    pub empty: Vec<i64>,
    /// For each image the number of its references, or none where it comes without.
    pub sets: Vec<Option<usize>>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.timesteps.len()
    }

    /// The batch in parts of at most `count` images.
    pub(crate) fn shards(&self, count: usize) -> Vec<Self> {
        let all = self.len();
        let part = |first: usize| {
            let range = first..(first + count).min(all);
            Self {
                clean: rows(&self.clean, all, &range),
                noise: rows(&self.noise, all, &range),
                timesteps: rows(&self.timesteps, all, &range),
                ids: rows(&self.ids, all, &range),
                told: rows(&self.told, all, &range),
                buffers: rows(&self.buffers, all, &range),
                mean_opacity: self.mean_opacity,
                references: self.references.as_ref().map(|all| all.slice(&range)),
            }
        };
        (0..all).step_by(count).map(part).collect()
    }
}

impl ReferenceBatch {
    fn slice(&self, range: &Range<usize>) -> Self {
        let all = self.sets.len();
        let moved = |set: &Option<usize>| set.map(|set| set - range.start);
        Self {
            per_set: self.per_set,
            clean: rows(&self.clean, all, range),
            noise: rows(&self.noise, all, range),
            timesteps: rows(&self.timesteps, all, range),
            told: rows(&self.told, all, range),
            empty: self.empty.clone(),
            sets: self.sets[range.clone()].iter().map(moved).collect(),
        }
    }
}

/// Rows `range` of a list of `all` rows.
fn rows<T: Clone>(list: &[T], all: usize, range: &Range<usize>) -> Vec<T> {
    let width = list.len() / all;
    list[range.start * width..range.end * width].to_vec()
}

/// Where images come from.
pub(crate) struct Source<'a> {
    pub config: &'a TrainConfig,
    pub captions: &'a CaptionSampler,
    pub tokenizer: &'a Tokenizer,
    /// Of the noise schedule.
    pub timesteps: usize,
}

/// An image of a batch.
pub(crate) struct Example {
    pub clean: Vec<f32>,
    pub noise: Vec<f32>,
    pub ids: Vec<i64>,
    pub told: Told,
    pub buffers: Vec<f32>,
    pub references: Option<References>,
}

/// A view of a scene.
pub(crate) struct Frame {
    pub camera: Camera,
    pub look: Look,
    pub view: View,
    /// `[3, size, size]`, in `[−1, 1]`.
    pub clean: Vec<f32>,
}

impl Source<'_> {
    /// The batch of step `step`: the same for the same configuration and seed.
    pub(crate) fn draw(&self, step: u64) -> Batch {
        let config = self.config;
        let references = config
            .rows
            .as_ref()
            .map_or(0, |rows| rows.references(config.seed, step));
        let examples: Vec<Example> = (0..config.batch as u64)
            .into_par_iter()
            .map(|index| match &config.rows {
                Some(rows) if references > 0 => {
                    rows::example(self, rows, references, [step, index])
                }
                _ => self.example([step, index]),
            })
            .collect();
        self.batch(&examples, references, step)
    }

    /// Images with `references` each, at noise levels of step `step`.
    pub(crate) fn batch(&self, examples: &[Example], references: usize, step: u64) -> Batch {
        let config = self.config;
        let mut rng = stream(config.seed, Purpose::Timestep, 0, step);
        let timestep = |z: f64| {
            let t = 1.0 / (1.0 + (-config.time_mean - config.time_deviation * z).exp());
            self.timestep(t)
        };
        Batch {
            timesteps: (0..examples.len())
                .map(|_| timestep(rng.sample(StandardNormal)))
                .collect(),
            clean: joined(examples, |example| &example.clean),
            noise: joined(examples, |example| &example.noise),
            ids: joined(examples, |example| &example.ids),
            told: examples.iter().map(|example| example.told).collect(),
            mean_opacity: mean_opacity(examples),
            buffers: joined(examples, |example| &example.buffers),
            references: self.references(examples, references),
        }
    }

    /// The timestep of a noise level of `[0, 1]`.
    fn timestep(&self, level: f64) -> usize {
        ((level * self.timesteps as f64) as usize).min(self.timesteps - 1)
    }

    fn references(&self, examples: &[Example], per_set: usize) -> Option<ReferenceBatch> {
        let all: Option<Vec<&References>> = examples
            .iter()
            .map(|example| example.references.as_ref())
            .collect();
        let all = all?;
        let levels = all.iter().flat_map(|row| &row.levels);
        Some(ReferenceBatch {
            per_set,
            clean: joined(&all, |row| &row.clean),
            noise: joined(&all, |row| &row.noise),
            timesteps: levels.map(|level| self.timestep(*level)).collect(),
            told: joined(&all, |row| &row.told),
            empty: self.ids(""),
            sets: all
                .iter()
                .enumerate()
                .map(|(index, row)| row.is_shown.then_some(index))
                .collect(),
        })
    }

    fn ids(&self, text: &str) -> Vec<i64> {
        self.tokenizer
            .encode(text)
            .expect("captions of the grammar fit")
    }

    /// An image by itself.
    fn example(&self, [step, index]: [u64; 2]) -> Example {
        let config = self.config;
        let mut rng = stream(config.seed, Purpose::Caption, step, index);
        let caption = self.caption(&mut rng);
        let (is_canonical, instance) = (rng.random_bool(config.canonical), rng.random());
        let scene = if is_canonical {
            Scene::canonical(&caption.sentence)
        } else {
            Scene::instance(&caption.sentence, instance)
        };
        let frame = Frame::draw(config, &scene, &mut rng);
        let mut text = caption.text;
        if rng.random_bool(config.view_words) {
            text.push_str(frame.view_word());
        }
        if rng.random_bool(config.drop_text) {
            text.clear();
        }
        let told = frame.told(config, is_canonical, &mut rng);
        frame.example(self, &text, told, &mut rng)
    }

    /// A caption of the grammar, or of the configuration's own sentences.
    pub(crate) fn caption(&self, rng: &mut impl Rng) -> Caption {
        let sentences = &self.config.sentences;
        if sentences.is_empty() {
            return self.captions.sample(rng);
        }
        let text = sentences[rng.random_range(0..sentences.len())].clone();
        let sentence = parse(&text).expect("the configuration was checked");
        Caption { sentence, text }
    }
}

impl Frame {
    /// From a random camera, in a random light.
    pub(crate) fn draw(config: &TrainConfig, scene: &Scene, rng: &mut impl Rng) -> Self {
        let camera = config.cameras.sample(0, 1, rng);
        let look = look(config, &camera, rng);
        let view = render(scene, &camera, &look, config.size);
        let mut clean = Vec::with_capacity(3 * config.size * config.size);
        view.image.push_planes(&mut clean);
        clean
            .iter_mut()
            .for_each(|value| *value = 2.0 * *value - 1.0);
        Self {
            camera,
            look,
            view,
            clean,
        }
    }

    /// How a caption says where it is seen from.
    pub(crate) fn view_word(&self) -> &'static str {
        ViewWord::of(self.camera.azimuth, self.camera.elevation).suffix()
    }

    /// Standard normal numbers for it.
    pub(crate) fn noise(&self, rng: &mut impl Rng) -> Vec<f32> {
        rng.sample_iter(StandardNormal)
            .take(self.clean.len())
            .collect()
    }

    /// What the network is told of it: groups are left out at random, so that it can do without each.
    pub(crate) fn told(
        &self,
        config: &TrainConfig,
        is_canonical: bool,
        rng: &mut impl Rng,
    ) -> Told {
        let camera = (!rng.random_bool(config.drop_camera)).then_some(self.camera);
        if !config.told {
            return Told {
                camera,
                ..Told::default()
            };
        }
        let mut is_known = || !rng.random_bool(config.drop_told);
        Told {
            camera,
            shading: is_known().then_some(self.look.shading),
            light: is_known().then_some(self.look.light),
            background: is_known().then_some(self.look.background),
            canonical: is_known().then_some(is_canonical),
            is_turned: false,
        }
    }

    /// An image by itself of it.
    pub(crate) fn example(
        self,
        source: &Source,
        text: &str,
        told: Told,
        rng: &mut impl Rng,
    ) -> Example {
        Example {
            noise: self.noise(rng),
            ids: source.ids(text),
            told,
            buffers: buffers::of(&self.view, &self.camera),
            clean: self.clean,
            references: None,
        }
    }
}

/// A list of all, one after the other.
fn joined<A, T: Clone>(all: &[A], list: impl Fn(&A) -> &Vec<T>) -> Vec<T> {
    all.iter()
        .flat_map(|one| list(one).iter().cloned())
        .collect()
}

fn mean_opacity(examples: &[Example]) -> f32 {
    let opacity = |example: &Example| {
        let pixels = example.buffers.len() / buffers::BUFFERS;
        example.buffers[..pixels].iter().sum::<f32>() / pixels as f32
    };
    examples.iter().map(opacity).sum::<f32>() / examples.len() as f32
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
