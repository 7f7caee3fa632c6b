//! The paper's ablation (Poole et al. 2022, figure 6), and the settings that matter most beside it.

use crate::report::Report;
use dreamfuse_core::CameraRange;
use dreamfuse_distill::TimeSchedule;
use dreamfuse_engine::RunConfig;

/// What is tried, by name: first the paper's means against the Janus problem, each added to the last, with a prior that
/// is not told the camera, as the paper's; then single changes of the whole.
pub fn variants(base: &RunConfig) -> Vec<(String, RunConfig)> {
    let text_only = RunConfig { camera_aware: false, ..base.clone() };
    let textured = RunConfig { textureless: 0.0, ..text_only.clone() };
    let unlit = RunConfig { lit: 0.0, ..textured.clone() };
    let unnamed = RunConfig { view_prompts: false, ..unlit.clone() };
    let cameras = CameraRange { azimuth: [-60.0, 60.0], elevation: [0.0, 30.0], ..base.cameras.clone() };
    let narrow = RunConfig { cameras, ..unnamed.clone() };
    let uniform = TimeSchedule { min: [0.02; 2], max: [0.98; 2], ..base.time.clone() };
    let named = [
        ("narrow cameras", narrow),
        ("+ wide cameras", unnamed),
        ("+ view-dependent prompts", unlit),
        ("+ lighting", textured),
        ("+ textureless renders", text_only),
        ("+ the camera told to the prior (the defaults)", base.clone()),
        ("t uniform, not annealed", RunConfig { time: uniform, ..base.clone() }),
    ];
    let scales = [3.0, 7.5, 20.0, 50.0, 100.0]
        .map(|scale| (format!("guidance scale {scale}"), RunConfig { guidance_scale: scale, ..base.clone() }));
    named.into_iter().map(|(name, config)| (name.to_owned(), config)).chain(scales).collect()
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
                let [mean, low, high] = [i.mean, i.low, i.high].map(|value| format!("{:.digits$}", scale * value));
                format!("{mean} ({low} to {high})")
            })
        };
        text += &format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
            report.scores.len(),
            cell(report.r_precision, 100.0, 0),
            cell(report.r_precision_textureless, 100.0, 0),
            cell(report.iou, 1.0, 3),
            cell(report.psnr, 1.0, 1),
            cell(report.chamfer, 1.0, 3),
            cell(report.janus, 1.0, 2),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_the_ladder_changes_one_thing_and_the_last_is_the_defaults() {
        let base = RunConfig { prompt: "a car".into(), ..RunConfig::default() };
        let variants = variants(&base);
        let lines = |config: &RunConfig| config.to_toml().lines().map(str::to_owned).collect::<Vec<_>>();
        for pair in variants[..6].windows(2) {
            let (before, after) = (lines(&pair[0].1), lines(&pair[1].1));
            assert_ne!(before, after, "{}", pair[1].0);
        }
        assert_eq!(variants[5].1, base);
        for (name, config) in &variants {
            assert!(config.check().is_ok(), "{name}");
            assert_eq!(variants.iter().filter(|(_, other)| other == config).count(), 1, "{name} is there twice");
        }
    }
}
