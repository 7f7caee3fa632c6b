//! ToyBench: forty prompts of the toybox world, each run compared with the truth and told from the other prompts' truths.

use crate::agreement::{Agreement, agreement};
use crate::chamfer::{chamfer, surface};
use crate::janus::janus;
use crate::lists::{toybench_prompts, validation_prompts};
use crate::pool::Pool;
use crate::retrieval::{distances, nearest};
use crate::views::{Mode, RING, Subject, cameras};
use dreamfuse_core::Image;
use dreamfuse_core::files::FileError;
use dreamfuse_engine::EngineError;
use dreamfuse_mesh::{MeshError, Model};
use dreamfuse_toybox::{CaptionSampler, CaptionShares, ParseError, Scene, Sentence, parse};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::OnceLock;

/// A run cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("{prompt:?} is no sentence of the toybox: {reason}")]
    NoTruth { prompt: String, reason: ParseError },
    #[error("{0:?} is not in the list of prompts")]
    NoPrompt(String),
    #[error("{0}")]
    Prompt(String),
    #[error("the truth has no surface: {0}")]
    Surface(#[from] MeshError),
    #[error("{0} was run with another configuration; choose another --out")]
    OtherConfig(PathBuf),
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("{0}")]
    Written(#[from] FileError),
    #[error("{0}")]
    Engine(#[from] EngineError),
}

/// What a run cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub seconds: f64,
    /// The most memory that the process has held so far, where the system tells.
    pub peak_mib: Option<f64>,
}

/// One run's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub prompt: String,
    pub seed: u64,
    /// Whether training never saw the combination.
    pub held_out: bool,
    /// The volume beside the truth.
    pub volume: Agreement,
    /// The exported mesh beside the truth.
    pub mesh: Agreement,
    /// Of the mesh, in units of the world, whose scenes have a radius of 0.85.
    pub chamfer: f64,
    /// See [`janus`].
    pub janus: Option<f64>,
    /// Distances from the scenes of all prompts, in their order.
    pub distances: Vec<f64>,
    pub distances_textureless: Vec<f64>,
    /// Whether the prompt's own caption is the nearest of the pool, where the list has one.
    pub found_in_pool: Option<bool>,
    pub cost: Measured,
}

/// Prompts with their scenes.
pub struct Bench {
    pub prompts: Vec<String>,
    sentences: Vec<Sentence>,
    scenes: Vec<Scene>,
    captions: CaptionSampler,
    /// Whether [`Pool`]'s first captions are the prompts.
    has_pool: bool,
    pool: OnceLock<Pool>,
}

impl Bench {
    /// ToyBench's forty prompts.
    ///
    /// # Errors
    /// When one has no ground truth.
    pub fn toybench() -> Result<Self, EvalError> {
        Self::new(toybench_prompts(), true)
    }

    /// The forty prompts by which choices are made.
    ///
    /// # Errors
    /// When one has no ground truth.
    pub fn validation() -> Result<Self, EvalError> {
        Self::new(validation_prompts(), false)
    }

    fn new(prompts: Vec<String>, has_pool: bool) -> Result<Self, EvalError> {
        let sentence = |prompt: &String| {
            parse(prompt).map_err(|reason| EvalError::NoTruth {
                prompt: prompt.clone(),
                reason,
            })
        };
        let sentences = prompts
            .iter()
            .map(sentence)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            scenes: sentences.iter().map(Scene::canonical).collect(),
            prompts,
            sentences,
            captions: CaptionSampler::new(CaptionShares::default()),
            has_pool,
            pool: OnceLock::new(),
        })
    }

    /// The scenes, in the order of the prompts.
    pub fn scenes(&self) -> &[Scene] {
        &self.scenes
    }

    /// The captions of R-Precision's pool, drawn once; none for lists without one.
    ///
    /// # Errors
    /// When a caption has no ground truth.
    pub fn pool(&self) -> Result<Option<&Pool>, EvalError> {
        if !self.has_pool {
            return Ok(None);
        }
        if let Some(pool) = self.pool.get() {
            return Ok(Some(pool));
        }
        let pool = Pool::load()?;
        Ok(Some(self.pool.get_or_init(|| pool)))
    }

    /// The number of a prompt.
    ///
    /// # Errors
    /// When it is not in the list.
    pub fn index_of(&self, prompt: &str) -> Result<usize, EvalError> {
        let found = self.prompts.iter().position(|other| other == prompt);
        found.ok_or_else(|| EvalError::NoPrompt(prompt.into()))
    }

    /// Compares what a run made of a prompt with the truth. A run without a surface has an empty mesh.
    ///
    /// # Errors
    /// When the prompt is not in the list.
    pub fn score(
        &self,
        prompt: &str,
        seed: u64,
        run: &dyn Subject,
        model: &Model,
        cost: Measured,
    ) -> Result<Score, EvalError> {
        let index = self.index_of(prompt)?;
        let truth = &self.scenes[index];
        let from_all = |mode| distances(&[run], &self.scenes, mode).swap_remove(0);
        Ok(Score {
            prompt: prompt.into(),
            seed,
            held_out: self.captions.is_held_out(&self.sentences[index]),
            volume: agreement(run, truth),
            mesh: agreement(model, truth),
            chamfer: chamfer(&model.mesh, &surface(truth)?),
            janus: janus(run, truth),
            distances: from_all(Mode::Albedo),
            distances_textureless: from_all(Mode::Textureless),
            found_in_pool: self.pool()?.map(|pool| pool.nearest(run) == index),
            cost,
        })
    }

    /// Four views of a run, then the same four of the truth.
    ///
    /// # Errors
    /// When the prompt is not in the list.
    pub fn sheet_row(&self, prompt: &str, run: &dyn Subject) -> Result<Vec<Image>, EvalError> {
        let truth = &self.scenes[self.index_of(prompt)?];
        let shown = cameras().into_iter().skip(RING).step_by(2).take(RING / 2);
        let views = |subject: &dyn Subject| -> Vec<Image> {
            shown
                .clone()
                .map(|camera| subject.image(&camera, Mode::Albedo).image())
                .collect()
        };
        Ok([views(run), views(truth)].concat())
    }

    /// Whether the nearest of all scenes is the one of prompt number `index`.
    pub(crate) fn is_found(index: usize, distances: &[f64]) -> bool {
        nearest(distances) == index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::daily_prompts;

    #[test]
    fn the_lists_are_whole_and_a_quarter_is_held_out() {
        let bench = Bench::toybench().unwrap();
        assert_eq!((bench.prompts.len(), daily_prompts().len()), (40, 6));
        assert!(
            daily_prompts()
                .iter()
                .all(|prompt| bench.index_of(prompt).is_ok())
        );
        let held_out = bench
            .sentences
            .iter()
            .filter(|sentence| bench.captions.is_held_out(sentence))
            .count();
        assert_eq!(held_out, 10);
        assert!(bench.index_of("a unicorn").is_err());
    }

    #[test]
    fn the_truth_is_perfect_and_another_scene_is_not() {
        let bench = Bench::toybench().unwrap();
        let cost = Measured {
            seconds: 0.0,
            peak_mib: None,
        };
        let score = |scene: &Scene| {
            let mesh = surface(scene).unwrap();
            let model = Model::plain(dreamfuse_mesh::Mesh {
                colors: vec![[0.5; 3]; mesh.positions.len()],
                ..mesh
            });
            bench.score("a red car", 0, scene, &model, cost).unwrap()
        };
        let truth = score(&bench.scenes[bench.index_of("a red car").unwrap()]);
        assert!(
            truth.volume.iou > 0.999_999
                && truth.volume.psnr > 90.0
                && truth.chamfer < 0.03
                && truth.janus == Some(0.0)
                && truth.found_in_pool == Some(true),
            "{truth:?}"
        );
        // Cut from the truth's distances on a grid, in its colours.
        assert!(
            truth.mesh.iou > 0.9 && truth.mesh.iou < 1.0,
            "{:?}",
            truth.mesh
        );
        let other = score(&bench.scenes[bench.index_of("a blue umbrella").unwrap()]);
        assert!(
            other.volume.iou < 0.6 && other.volume.psnr < 15.0 && other.chamfer > 0.08,
            "{other:?}"
        );
        assert_eq!(other.found_in_pool, Some(false));
        let index = bench.index_of("a red car").unwrap();
        assert!(
            Bench::is_found(index, &truth.distances) && !Bench::is_found(index, &other.distances)
        );
    }
}
