//! What a benchmark comes to: means with intervals, controls, a table.

use crate::agreement::Agreement;
use crate::bootstrap::{Interval, mean_interval};
use crate::controls::Controls;
use crate::toybench::{Bench, EvalError, Score};
use serde::Serialize;

/// All scores and what they come to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub scores: Vec<Score>,
    pub volume: MeanAgreement,
    pub mesh: MeanAgreement,
    pub chamfer: Option<Interval>,
    pub janus: Option<Interval>,
    pub r_precision: Option<Interval>,
    pub r_precision_textureless: Option<Interval>,
    /// Against the pool of captions, where the list has one.
    pub r_precision_pool: Option<Interval>,
    /// R-Precision when each run is asked for the next prompt's caption: chance is one in forty.
    pub r_precision_shuffled: Option<Interval>,
    pub seconds: Option<Interval>,
    pub controls: Option<Controls>,
}

/// The means of an [`Agreement`].
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MeanAgreement {
    pub iou: Option<Interval>,
    pub psnr: Option<Interval>,
    pub ssim: Option<Interval>,
    pub sharpness: Option<Interval>,
}

fn as_share(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

impl Report {
    /// Sums up.
    ///
    /// # Errors
    /// When a score is none of the benchmark's.
    pub fn new(
        bench: &Bench,
        scores: Vec<Score>,
        controls: Option<Controls>,
    ) -> Result<Self, EvalError> {
        let indices = scores
            .iter()
            .map(|score| bench.index_of(&score.prompt))
            .collect::<Result<Vec<_>, _>>()?;
        // The seeds of a prompt are alike: what an interval is about is other prompts.
        let mean_of_some = |f: &dyn Fn(usize, &Score) -> Option<f64>| {
            let mut of_prompts = vec![Vec::new(); bench.prompts.len()];
            for (&index, score) in indices.iter().zip(&scores) {
                of_prompts[index].extend(f(index, score));
            }
            mean_interval(&of_prompts)
        };
        let mean =
            |f: &dyn Fn(usize, &Score) -> f64| mean_of_some(&|index, score| Some(f(index, score)));
        let agreement = |of: &dyn Fn(&Score) -> Agreement| MeanAgreement {
            iou: mean(&|_, score| of(score).iou),
            psnr: mean(&|_, score| of(score).psnr),
            ssim: mean(&|_, score| of(score).ssim),
            sharpness: mean(&|_, score| of(score).sharpness),
        };
        let next = |index: usize| (index + 1) % bench.prompts.len();
        Ok(Self {
            volume: agreement(&|score| score.volume),
            mesh: agreement(&|score| score.mesh),
            chamfer: mean(&|_, score| score.chamfer),
            janus: mean_of_some(&|_, score| score.janus),
            r_precision: mean(&|index, score| as_share(Bench::is_found(index, &score.distances))),
            r_precision_textureless: mean(&|index, score| {
                as_share(Bench::is_found(index, &score.distances_textureless))
            }),
            r_precision_pool: mean_of_some(&|_, score| score.found_in_pool.map(as_share)),
            r_precision_shuffled: mean(&|index, score| {
                as_share(Bench::is_found(next(index), &score.distances))
            }),
            seconds: mean(&|_, score| score.cost.seconds),
            controls,
            scores,
        })
    }
}

/// The report as Markdown.
pub fn table(bench: &Bench, report: &Report) -> String {
    let mut text = String::from(
        "| prompt | seed | held out | IoU | PSNR (dB) | SSIM | sharpness | mesh IoU | \
         mesh PSNR (dB) | Chamfer | Janus | looks like | shaped like | first of 1,000 | seconds | \
         peak MiB so far |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | \
         --- |\n",
    );
    for score in &report.scores {
        text += &row_of(bench, score);
    }
    text + "\n" + &summary(bench, report)
}

fn row_of(bench: &Bench, score: &Score) -> String {
    let seems = |distances: &[f64]| {
        let index = crate::retrieval::nearest(distances);
        let name = bench.prompts[index].as_str();
        if name == score.prompt {
            "itself".into()
        } else {
            format!("*{name}*")
        }
    };
    let yes = |is_so: bool| if is_so { "yes" } else { "" };
    let or_dash = |value: Option<String>| value.unwrap_or("–".into());
    let cells = [
        score.prompt.clone(),
        score.seed.to_string(),
        yes(score.held_out).into(),
        format!("{:.3}", score.volume.iou),
        format!("{:.1}", score.volume.psnr),
        format!("{:.3}", score.volume.ssim),
        format!("{:.2}", score.volume.sharpness),
        format!("{:.3}", score.mesh.iou),
        format!("{:.1}", score.mesh.psnr),
        format!("{:.3}", score.chamfer),
        or_dash(score.janus.map(|janus| format!("{janus:.2}"))),
        seems(&score.distances),
        seems(&score.distances_textureless),
        or_dash(score.found_in_pool.map(|found| yes(found).into())),
        format!("{:.0}", score.cost.seconds),
        or_dash(score.cost.peak_mib.map(|peak| format!("{peak:.0}"))),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// Name, figure, what it is multiplied by, and digits.
type Row = (&'static str, Option<Interval>, f64, usize);

fn rows(report: &Report) -> [Row; 15] {
    let (volume, mesh) = (&report.volume, &report.mesh);
    let shuffled = "control: R-Precision with shuffled captions (%)";
    [
        (
            "R-Precision of 40, colour (%)",
            report.r_precision,
            100.0,
            1,
        ),
        (
            "R-Precision of 40, textureless (%)",
            report.r_precision_textureless,
            100.0,
            1,
        ),
        (
            "R-Precision of 1,000, colour (%)",
            report.r_precision_pool,
            100.0,
            1,
        ),
        ("silhouette IoU", volume.iou, 1.0, 3),
        ("PSNR (dB)", volume.psnr, 1.0, 1),
        ("SSIM", volume.ssim, 1.0, 3),
        ("sharpness", volume.sharpness, 1.0, 2),
        ("mesh: silhouette IoU", mesh.iou, 1.0, 3),
        ("mesh: PSNR (dB)", mesh.psnr, 1.0, 1),
        ("mesh: SSIM", mesh.ssim, 1.0, 3),
        ("mesh: sharpness", mesh.sharpness, 1.0, 2),
        ("mesh: Chamfer distance", report.chamfer, 1.0, 3),
        ("Janus", report.janus, 1.0, 2),
        ("seconds", report.seconds, 1.0, 0),
        (shuffled, report.r_precision_shuffled, 100.0, 1),
    ]
}

fn summary(bench: &Bench, report: &Report) -> String {
    let mut text = format!(
        "Means of {} runs with 95 % bootstrap intervals over prompts:\n\n\
         | | mean | interval |\n| --- | --- | --- |\n",
        report.scores.len()
    );
    for (name, interval, scale, digits) in rows(report) {
        if let Some(Interval { mean, low, high }) = interval {
            let [mean, low, high] =
                [mean, low, high].map(|value| format!("{:.digits$}", scale * value));
            text += &format!("| {name} | {mean} | {low} to {high} |\n");
        }
    }
    if let Some(controls) = &report.controls {
        text += &controls_text(bench, report, controls);
    }
    text
}

/// The controls, over all prompts of the list, and how many runs are above the flat one.
fn controls_text(bench: &Bench, report: &Report, controls: &Controls) -> String {
    let mean = |all: &[Agreement], value: fn(&Agreement) -> f64| {
        all.iter().map(value).sum::<f64>() / all.len().max(1) as f64
    };
    let line = |name: &str, all: &[Agreement]| {
        format!(
            "| control: {name} | IoU {:.3}, {:.1} dB, SSIM {:.3}, sharpness {:.2} | |\n",
            mean(all, |a| a.iou),
            mean(all, |a| a.psnr),
            mean(all, |a| a.ssim),
            mean(all, |a| a.sharpness),
        )
    };
    let is_above = |score: &&Score| {
        let index = bench.index_of(&score.prompt);
        index.is_ok_and(|index| score.volume.psnr > controls.flat[index].psnr)
    };
    let above = report.scores.iter().filter(is_above).count();
    let pool = controls.truth_pool.map_or(String::new(), |found| {
        format!(", {:.1} of 1,000", 100.0 * found)
    });
    format!(
        "| control: R-Precision of the truth (%) | {:.1} in colour, {:.1} textureless{pool} | |\n",
        100.0 * controls.truth,
        100.0 * controls.truth_textureless,
    ) + &line("the true silhouette in one colour", &controls.flat)
        + &line("the truth blurred by 6 pixels of 64", &controls.blurred)
        + &format!(
            "| runs above the silhouette in one colour (PSNR) | {above} of {} | |\n",
            report.scores.len()
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toybench::Measured;

    #[test]
    fn the_truth_is_found_with_and_without_colour_and_flat_or_soft_ones_agree_less() {
        let controls = Controls::measure(&Bench::toybench().unwrap()).unwrap();
        assert_eq!(
            (
                controls.truth,
                controls.truth_textureless,
                controls.truth_pool
            ),
            (1.0, 1.0, Some(1.0))
        );
        assert_eq!((controls.flat.len(), controls.blurred.len()), (40, 40));
        for (flat, soft) in controls.flat.iter().zip(&controls.blurred) {
            assert!(
                (flat.iou - 1.0).abs() < 1e-9 && flat.psnr < 45.0,
                "{flat:?}"
            );
            assert!(soft.sharpness < 0.1 && soft.iou > 0.2, "{soft:?}");
        }
    }

    #[test]
    fn a_report_counts_what_is_found() {
        let bench = Bench::toybench().unwrap();
        let agreement = |iou: f64| Agreement {
            iou,
            psnr: 10.0,
            ssim: 0.7,
            sharpness: 0.2,
        };
        let score = |prompt: usize, nearest: usize| {
            let distances: Vec<f64> = (0..bench.prompts.len())
                .map(|i| if i == nearest { 0.1 } else { 0.2 })
                .collect();
            Score {
                prompt: bench.prompts[prompt].clone(),
                seed: 0,
                held_out: false,
                volume: agreement(0.5),
                mesh: agreement(0.4),
                chamfer: 0.1,
                janus: (prompt == 0).then_some(0.4),
                distances_textureless: distances.clone(),
                distances,
                found_in_pool: Some(prompt == 1),
                cost: Measured {
                    seconds: 60.0,
                    peak_mib: None,
                },
            }
        };
        let report = Report::new(
            &bench,
            vec![score(0, 0), score(1, 1), score(2, 9), score(3, 4)],
            None,
        )
        .unwrap();
        let mean = |interval: Option<Interval>| interval.unwrap().mean;
        assert_eq!(
            (mean(report.r_precision), mean(report.r_precision_shuffled)),
            (0.5, 0.25)
        );
        assert_eq!((mean(report.janus), mean(report.volume.iou)), (0.4, 0.5));
        let again = [0.4, 0.6].map(|iou| Score {
            volume: agreement(iou),
            ..score(0, 0)
        });
        let iou = Report::new(&bench, again.into(), None)
            .unwrap()
            .volume
            .iou
            .unwrap();
        assert!(
            iou.low == iou.high && (iou.mean - 0.5).abs() < 1e-12,
            "seeds of one prompt are no prompts: {iou:?}"
        );
        let text = table(&bench, &report);
        assert!(
            text.contains(
                "| a squirrel | 0 |  | 0.500 | 10.0 | 0.700 | 0.20 | 0.400 | 10.0 | 0.100 | 0.40 | itself \
                 | itself |  | 60 | – |"
            ),
            "{text}"
        );
        assert!(
            text.contains("| R-Precision of 40, colour (%) | 50.0 |")
                && text.contains("*a giraffe*"),
            "{text}"
        );
        assert!(
            Report::new(
                &bench,
                vec![Score {
                    prompt: "a unicorn".into(),
                    ..score(0, 0)
                }],
                None
            )
            .is_err()
        );
    }
}
