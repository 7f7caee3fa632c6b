//! What a benchmark's figures are held against: the truth itself, and what little knowledge of it
//! would score.

use crate::agreement::{Agreement, agreement, blurred};
use crate::pool::Pool;
use crate::retrieval::distances;
use crate::toybench::{Bench, EvalError};
use crate::views::{Mode, Premultiplied, SIZE, Subject, is_covered};
use dreamfuse_core::Camera;
use dreamfuse_toybox::Scene;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The controls of a list of prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    /// R-Precision of the truth itself, which shows what the measure can tell apart.
    pub truth: f64,
    pub truth_textureless: f64,
    /// The same against the pool of captions, where the list has one.
    pub truth_pool: Option<f64>,
    /// For each prompt: the true silhouette filled with one colour, the mean of the true view.
    pub flat: Vec<Agreement>,
    /// For each prompt: the truth blurred by `BLUR` pixels.
    pub blurred: Vec<Agreement>,
}

/// Deviation of the blurred control, in pixels of 64.
pub const BLUR: f64 = 6.0;

impl Controls {
    /// Measures them: a minute or so.
    ///
    /// # Errors
    /// When the pool cannot be drawn.
    pub fn measure(bench: &Bench) -> Result<Self, EvalError> {
        let scenes = bench.scenes();
        let subjects: Vec<&dyn Subject> =
            scenes.iter().map(|scene| scene as &dyn Subject).collect();
        let found = |mode| {
            let rows = distances(&subjects, scenes, mode);
            let found = rows
                .iter()
                .enumerate()
                .filter(|(index, row)| Bench::is_found(*index, row))
                .count();
            found as f64 / rows.len() as f64
        };
        let in_pool = |pool: &Pool| {
            let found = (0..scenes.len()).filter(|&index| pool.nearest(&scenes[index]) == index);
            found.count() as f64 / scenes.len() as f64
        };
        let each = |control: &(dyn Fn(&Scene) -> Agreement + Sync)| {
            scenes.par_iter().map(control).collect::<Vec<_>>()
        };
        Ok(Self {
            truth: found(Mode::Albedo),
            truth_textureless: found(Mode::Textureless),
            truth_pool: bench.pool()?.map(in_pool),
            flat: each(&|scene| agreement(&Flat(scene), scene)),
            blurred: each(&|scene| {
                let deviation = BLUR;
                agreement(&Blurred { scene, deviation }, scene)
            }),
        })
    }
}

/// A scene's silhouette in one colour, the mean of the view.
pub struct Flat<'a>(pub &'a Scene);

impl Subject for Flat<'_> {
    fn image(&self, camera: &Camera, mode: Mode) -> Premultiplied {
        let mut image = self.0.image(camera, mode);
        let covered = image.pixels.iter().filter(|pixel| is_covered(pixel));
        let (sum, opacity) = covered.fold(([0.0; 3], 0.0), |(sum, opacity), [r, g, b, a]| {
            ([sum[0] + r, sum[1] + g, sum[2] + b], opacity + a)
        });
        let mean = sum.map(|value| value / f32::max(opacity, 1e-6));
        for [r, g, b, a] in &mut image.pixels {
            [*r, *g, *b] = mean.map(|value| value * *a);
        }
        image
    }
}

/// A scene seen through a Gaussian blur, in pixels of the compared images.
pub struct Blurred<'a> {
    pub scene: &'a Scene,
    pub deviation: f64,
}

impl Subject for Blurred<'_> {
    fn image(&self, camera: &Camera, mode: Mode) -> Premultiplied {
        let image = self.scene.image(camera, mode);
        let reach = (3.0 * self.deviation).ceil() as usize;
        let channels: [Vec<f64>; 4] = std::array::from_fn(|c| {
            let values: Vec<f64> = image.pixels.iter().map(|p| f64::from(p[c])).collect();
            blurred(&values, SIZE, self.deviation, reach)
        });
        Premultiplied {
            pixels: (0..image.pixels.len())
                .map(|i| std::array::from_fn(|c| channels[c][i] as f32))
                .collect(),
        }
    }
}
