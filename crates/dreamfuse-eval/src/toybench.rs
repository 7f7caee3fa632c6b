//! ToyBench: forty prompts of the toybox world, each run compared with the truth and told from the other prompts' truths.

use crate::chamfer::{chamfer, surface};
use crate::janus::janus;
use crate::retrieval::{distances, nearest};
use crate::silhouette::agreement;
use crate::views::{Mode, RING, Subject, VIEWS, cameras};
use dreamfuse_core::Picture;
use dreamfuse_mesh::{Mesh, MeshError};
use dreamfuse_toybox::{CaptionSampler, CaptionShares, ParseError, Scene, Sentence, parse};
use serde::{Deserialize, Serialize};

/// A run cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("{prompt:?} is no sentence of the toybox: {reason}")]
    NoTruth { prompt: String, reason: ParseError },
    #[error("{0:?} is no prompt of ToyBench")]
    NoPrompt(String),
    #[error("the truth has no surface: {0}")]
    Surface(#[from] MeshError),
}

/// The prompts of a list: its lines without comments.
fn lines(list: &str) -> Vec<String> {
    list.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Into::into)
        .collect()
}

/// All prompts.
pub fn prompts() -> Vec<String> {
    lines(include_str!("../../../prompts/toybench.txt"))
}

/// The prompts of the daily version.
pub fn quick_prompts() -> Vec<String> {
    lines(include_str!("../../../prompts/toybench-6.txt"))
}

/// What a run cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub seconds: f64,
    /// The most memory that the process has held so far, where the system tells.
    pub peak_mib: Option<f64>,
}

/// One run's figures, means over [`VIEWS`] views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub prompt: String,
    pub seed: u64,
    /// Whether training never saw the combination.
    pub held_out: bool,
    /// Intersection over union of the silhouettes.
    pub iou: f64,
    /// Of albedo on neutral grey, inside the union of the silhouettes, in dB.
    pub psnr: f64,
    /// In units of the world, whose scenes have a radius of 0.85.
    pub chamfer: f64,
    /// See [`janus`].
    pub janus: Option<f64>,
    /// Distances from the scenes of all prompts, in their order.
    pub distances: Vec<f64>,
    pub distances_textureless: Vec<f64>,
    pub cost: Measured,
}

/// The prompts with their scenes.
pub struct Bench {
    pub prompts: Vec<String>,
    sentences: Vec<Sentence>,
    scenes: Vec<Scene>,
    captions: CaptionSampler,
}

impl Bench {
    /// The forty prompts.
    ///
    /// # Errors
    /// When one has no ground truth.
    pub fn load() -> Result<Self, EvalError> {
        let prompts = prompts();
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
        let scenes = sentences.iter().map(Scene::canonical).collect();
        Ok(Self {
            prompts,
            sentences,
            scenes,
            captions: CaptionSampler::new(CaptionShares::default()),
        })
    }

    /// The scenes, in the order of the prompts.
    pub fn scenes(&self) -> &[Scene] {
        &self.scenes
    }

    /// The number of a prompt.
    ///
    /// # Errors
    /// When it is none of the forty.
    pub fn index_of(&self, prompt: &str) -> Result<usize, EvalError> {
        let found = self.prompts.iter().position(|other| other == prompt);
        found.ok_or_else(|| EvalError::NoPrompt(prompt.into()))
    }

    /// Compares what a run made of a prompt with the truth. A run without a surface has an empty mesh.
    ///
    /// # Errors
    /// When the prompt is none of the forty.
    pub fn score(
        &self,
        prompt: &str,
        seed: u64,
        run: &dyn Subject,
        mesh: &Mesh,
        cost: Measured,
    ) -> Result<Score, EvalError> {
        let index = self.index_of(prompt)?;
        let truth = &self.scenes[index];
        let agreements = cameras().into_iter().map(|camera| {
            agreement(
                &run.image(&camera, Mode::Albedo),
                &truth.image(&camera, Mode::Albedo),
            )
        });
        let (iou, psnr) =
            agreements.fold((0.0, 0.0), |sum, (iou, psnr)| (sum.0 + iou, sum.1 + psnr));
        let from_all = |mode| distances(&[run], &self.scenes, mode).swap_remove(0);
        Ok(Score {
            prompt: prompt.into(),
            seed,
            held_out: self.captions.is_held_out(&self.sentences[index]),
            iou: iou / VIEWS as f64,
            psnr: psnr / VIEWS as f64,
            chamfer: chamfer(mesh, &surface(truth)?),
            janus: janus(run, truth),
            distances: from_all(Mode::Albedo),
            distances_textureless: from_all(Mode::Textureless),
            cost,
        })
    }

    /// Four views of a run, then the same four of the truth.
    ///
    /// # Errors
    /// When the prompt is none of the forty.
    pub fn sheet_row(&self, prompt: &str, run: &dyn Subject) -> Result<Vec<Picture>, EvalError> {
        let truth = &self.scenes[self.index_of(prompt)?];
        let shown = cameras().into_iter().skip(RING).step_by(2).take(RING / 2);
        let views = |subject: &dyn Subject| -> Vec<Picture> {
            shown
                .clone()
                .map(|camera| subject.image(&camera, Mode::Albedo).picture())
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

    #[test]
    fn the_lists_are_whole_and_a_quarter_is_held_out() {
        let bench = Bench::load().unwrap();
        assert_eq!((bench.prompts.len(), quick_prompts().len()), (40, 6));
        assert!(
            quick_prompts()
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
        let bench = Bench::load().unwrap();
        let cost = Measured {
            seconds: 0.0,
            peak_mib: None,
        };
        let score = |scene: &Scene| {
            bench
                .score("a red car", 0, scene, &surface(scene).unwrap(), cost)
                .unwrap()
        };
        let truth = score(&bench.scenes[bench.index_of("a red car").unwrap()]);
        assert!(
            truth.iou == 1.0
                && truth.psnr > 90.0
                && truth.chamfer < 0.03
                && truth.janus == Some(0.0),
            "{truth:?}"
        );
        let other = score(&bench.scenes[bench.index_of("a blue umbrella").unwrap()]);
        assert!(
            other.iou < 0.6 && other.psnr < 15.0 && other.chamfer > 0.08,
            "{other:?}"
        );
        let index = bench.index_of("a red car").unwrap();
        assert!(
            Bench::is_found(index, &truth.distances) && !Bench::is_found(index, &other.distances)
        );
    }
}
