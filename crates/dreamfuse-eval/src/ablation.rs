//! Settings tried against each other: the paper's ablation (Poole et al. 2022, figure 6), and what two things in one scene
//! need.

use crate::lists::daily_prompts;
use crate::report::Report;
use dreamfuse_core::{CameraRange, Scheduled};
use dreamfuse_distill::{GuidanceConfig, TimeSchedule};
use dreamfuse_engine::{LossWeights, RunConfig};
use dreamfuse_scene::SceneConfig;

/// A question that variants answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Study {
    /// Which of the paper's means matter, and how strong guidance should be.
    Paper,
    /// What puts two things where they belong instead of one in the middle.
    Pairs,
}

impl Study {
    /// What is run with every variant.
    pub fn prompts(self) -> Vec<String> {
        match self {
            Self::Paper => daily_prompts(),
            Self::Pairs => [
                "a squirrel at an easel",
                "a robot and dinosaur playing chess",
                "a pig next to a mushroom",
                "a bee above a flower",
            ]
            .map(String::from)
            .into(),
        }
    }

    /// What is tried, by name.
    pub fn variants(self, base: &RunConfig) -> Vec<(String, RunConfig)> {
        match self {
            Self::Paper => paper(base),
            Self::Pairs => pairs(base),
        }
    }
}

/// First the paper's means against the Janus problem, each added to the last, with a prior that is not told the camera, as
/// the paper's; then single changes of the whole.
fn paper(base: &RunConfig) -> Vec<(String, RunConfig)> {
    let text_only = RunConfig {
        camera_aware: false,
        ..base.clone()
    };
    let textured = RunConfig {
        textureless: 0.0,
        ..text_only.clone()
    };
    let unlit = RunConfig {
        lit: 0.0,
        ..textured.clone()
    };
    let unnamed = RunConfig {
        view_prompts: false,
        ..unlit.clone()
    };
    let cameras = CameraRange {
        azimuth: [-60.0, 60.0],
        elevation: [0.0, 30.0],
        ..base.cameras.clone()
    };
    let narrow = RunConfig {
        cameras,
        ..unnamed.clone()
    };
    let guidance = GuidanceConfig {
        clip: f64::INFINITY.into(),
        ..base.guidance.clone()
    };
    let unclipped = RunConfig {
        guidance,
        ..base.clone()
    };
    let named = [
        ("narrow cameras", narrow),
        ("+ wide cameras", unnamed),
        ("+ view-dependent prompts", unlit),
        ("+ lighting", textured),
        ("+ textureless renders", text_only),
        (
            "+ the camera told to the prior (the defaults)",
            base.clone(),
        ),
        ("t uniform, not annealed", uniform_times(base)),
        ("gradients as they are, not clipped", unclipped),
    ];
    let scales = [3.0, 7.5, 20.0, 50.0, 100.0].map(|scale| {
        (
            format!("guidance scale {scale}"),
            RunConfig {
                guidance_scale: scale.into(),
                ..base.clone()
            },
        )
    });
    named
        .into_iter()
        .map(|(name, config)| (name.to_owned(), config))
        .chain(scales)
        .collect()
}

fn uniform_times(base: &RunConfig) -> RunConfig {
    RunConfig {
        time: TimeSchedule {
            min: [0.02; 2],
            max: [0.98; 2],
            ..base.time.clone()
        },
        ..base.clone()
    }
}

/// Changes of the defaults: the start, the noise levels, the views, the rates, the penalty on opacity, and strong guidance with
/// penalties that keep up with it.
fn pairs(base: &RunConfig) -> Vec<(String, RunConfig)> {
    let start = |blob: f32, blob_radius: f32| RunConfig {
        scene: SceneConfig {
            blob,
            blob_radius,
            ..base.scene.clone()
        },
        ..base.clone()
    };
    let rates = |factor: f32| RunConfig {
        table_rate: factor * base.table_rate,
        mlp_rate: factor * base.mlp_rate,
        ..base.clone()
    };
    let opacity = |opacity: Scheduled| RunConfig {
        losses: LossWeights {
            opacity,
            ..base.losses.clone()
        },
        ..base.clone()
    };
    let losses = LossWeights {
        opacity: 0.005.into(),
        binary: 0.05.into(),
        orientation: 0.01.into(),
        ..base.losses.clone()
    };
    let strong = RunConfig {
        guidance_scale: 30.0.into(),
        losses,
        ..base.clone()
    };
    let views = |views: usize| RunConfig {
        views,
        ..base.clone()
    };
    let named = [
        ("the defaults", base.clone()),
        (
            "start: a third of the blob's density",
            start(base.scene.blob / 3.0, base.scene.blob_radius),
        ),
        (
            "start: twice as wide a blob",
            start(base.scene.blob, 2.0 * base.scene.blob_radius),
        ),
        ("t uniform, not annealed", uniform_times(base)),
        ("one view a step", views(1)),
        ("eight views a step", views(8)),
        ("a quarter of the rates", rates(0.25)),
        ("twice the rates", rates(2.0)),
        ("no penalty on opacity", opacity(0.0.into())),
        (
            "ten times the penalty on opacity",
            opacity((10.0 * base.losses.opacity.start).into()),
        ),
        ("guidance scale 30 and larger penalties", strong),
    ];
    named
        .into_iter()
        .map(|(name, config)| (name.to_owned(), config))
        .collect()
}

/// A row a variant.
pub fn ablation_table(rows: &[(String, Report)]) -> String {
    let mut text = String::from(
        "| | runs | R-Precision (%) | textureless (%) | IoU | PSNR (dB) | Chamfer | Janus |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, report) in rows {
        let cell = |interval: Option<crate::Interval>, scale: f64, digits: usize| {
            interval.map_or("–".into(), |i| {
                let [mean, low, high] =
                    [i.mean, i.low, i.high].map(|value| format!("{:.digits$}", scale * value));
                format!("{mean} ({low} to {high})")
            })
        };
        text += &format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
            report.scores.len(),
            cell(report.r_precision, 100.0, 0),
            cell(report.r_precision_textureless, 100.0, 0),
            cell(report.volume.iou, 1.0, 3),
            cell(report.volume.psnr, 1.0, 1),
            cell(report.chamfer, 1.0, 3),
            cell(report.janus, 1.0, 2),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::toybench_prompts;

    #[test]
    fn every_variant_can_run_and_is_there_once_and_the_defaults_are_among_them() {
        let base = RunConfig {
            prompt: "a car".into(),
            ..RunConfig::default()
        };
        for study in [Study::Paper, Study::Pairs] {
            let variants = study.variants(&base);
            assert!(variants.iter().any(|(_, config)| *config == base));
            for (name, config) in &variants {
                assert!(config.check().is_ok(), "{name}");
                assert_eq!(
                    variants.iter().filter(|(_, other)| other == config).count(),
                    1,
                    "{name} is there twice"
                );
                assert_eq!(
                    variants.iter().filter(|(other, _)| other == name).count(),
                    1,
                    "{name} is there twice"
                );
            }
            assert!(
                study
                    .prompts()
                    .iter()
                    .all(|prompt| toybench_prompts().contains(prompt))
            );
        }
    }
}
