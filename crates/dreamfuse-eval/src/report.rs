//! What a benchmark comes to: means with intervals, controls, a table.

use crate::bootstrap::{Interval, mean_interval};
use crate::retrieval::distances;
use crate::toybench::{Bench, EvalError, Score};
use crate::views::{Mode, Subject};
use serde::{Deserialize, Serialize};

/// R-Precision of the truth itself, which shows what the measure can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    pub truth: f64,
    pub truth_textureless: f64,
}

impl Controls {
    /// Measures them: a minute or so.
    pub fn measure(bench: &Bench) -> Self {
        let of = |mode| {
            let subjects: Vec<&dyn Subject> = bench
                .scenes()
                .iter()
                .map(|scene| scene as &dyn Subject)
                .collect();
            let rows = distances(&subjects, bench.scenes(), mode);
            let found = rows
                .iter()
                .enumerate()
                .filter(|(index, row)| Bench::is_found(*index, row))
                .count();
            found as f64 / rows.len() as f64
        };
        Self {
            truth: of(Mode::Albedo),
            truth_textureless: of(Mode::Textureless),
        }
    }
}

/// All scores and what they come to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub scores: Vec<Score>,
    pub iou: Option<Interval>,
    pub psnr: Option<Interval>,
    pub chamfer: Option<Interval>,
    pub janus: Option<Interval>,
    pub r_precision: Option<Interval>,
    pub r_precision_textureless: Option<Interval>,
    /// R-Precision when each run is asked for the next prompt's caption: chance is one in forty.
    pub r_precision_shuffled: Option<Interval>,
    pub seconds: Option<Interval>,
    pub controls: Option<Controls>,
}

fn share(is_so: bool) -> f64 {
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
        let next = |index: usize| (index + 1) % bench.prompts.len();
        Ok(Self {
            iou: mean(&|_, score| score.iou),
            psnr: mean(&|_, score| score.psnr),
            chamfer: mean(&|_, score| score.chamfer),
            janus: mean_of_some(&|_, score| score.janus),
            r_precision: mean(&|index, score| share(Bench::is_found(index, &score.distances))),
            r_precision_textureless: mean(&|index, score| {
                share(Bench::is_found(index, &score.distances_textureless))
            }),
            r_precision_shuffled: mean(&|index, score| {
                share(Bench::is_found(next(index), &score.distances))
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
        "| prompt | seed | held out | IoU | PSNR (dB) | Chamfer | Janus | looks like | shaped like | seconds | peak MiB so far |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for score in &report.scores {
        let seems = |distances: &[f64]| {
            let index = crate::retrieval::nearest(distances);
            let name = bench.prompts[index].as_str();
            if name == score.prompt {
                "itself".into()
            } else {
                format!("*{name}*")
            }
        };
        text += &format!(
            "| {} | {} | {} | {:.3} | {:.1} | {:.3} | {} | {} | {} | {:.0} | {} |\n",
            score.prompt,
            score.seed,
            if score.held_out { "yes" } else { "" },
            score.iou,
            score.psnr,
            score.chamfer,
            score
                .janus
                .map_or("–".into(), |janus| format!("{janus:.2}")),
            seems(&score.distances),
            seems(&score.distances_textureless),
            score.cost.seconds,
            score
                .cost
                .peak_mib
                .map_or("–".into(), |peak| format!("{peak:.0}")),
        );
    }
    text + "\n" + &summary(report)
}

fn summary(report: &Report) -> String {
    let mut text = format!(
        "Means of {} runs with 95 % bootstrap intervals over prompts:\n\n| | mean | interval |\n| --- | --- | --- |\n",
        report.scores.len()
    );
    let mut row = |name: &str, interval: Option<Interval>, scale: f64, digits: usize| {
        if let Some(Interval { mean, low, high }) = interval {
            let [mean, low, high] =
                [mean, low, high].map(|value| format!("{:.digits$}", scale * value));
            text += &format!("| {name} | {mean} | {low} to {high} |\n");
        }
    };
    row("R-Precision, colour (%)", report.r_precision, 100.0, 1);
    row(
        "R-Precision, textureless (%)",
        report.r_precision_textureless,
        100.0,
        1,
    );
    row("silhouette IoU", report.iou, 1.0, 3);
    row("PSNR (dB)", report.psnr, 1.0, 1);
    row("Chamfer distance", report.chamfer, 1.0, 3);
    row("Janus", report.janus, 1.0, 2);
    row("seconds", report.seconds, 1.0, 0);
    row(
        "control: R-Precision with shuffled captions (%)",
        report.r_precision_shuffled,
        100.0,
        1,
    );
    if let Some(Controls {
        truth,
        truth_textureless,
    }) = report.controls
    {
        text += &format!(
            "| control: R-Precision of the truth (%) | {:.1} in colour, {:.1} textureless | |\n",
            100.0 * truth,
            100.0 * truth_textureless
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toybench::Measured;

    #[test]
    fn the_truth_is_told_from_all_other_prompts_with_and_without_colour() {
        let controls = Controls::measure(&Bench::load().unwrap());
        assert_eq!(
            controls,
            Controls {
                truth: 1.0,
                truth_textureless: 1.0
            }
        );
    }

    #[test]
    fn a_report_counts_what_is_found() {
        let bench = Bench::load().unwrap();
        let score = |prompt: usize, nearest: usize| {
            let distances: Vec<f64> = (0..bench.prompts.len())
                .map(|i| if i == nearest { 0.1 } else { 0.2 })
                .collect();
            Score {
                prompt: bench.prompts[prompt].clone(),
                seed: 0,
                held_out: false,
                iou: 0.5,
                psnr: 10.0,
                chamfer: 0.1,
                janus: (prompt == 0).then_some(0.4),
                distances_textureless: distances.clone(),
                distances,
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
        assert_eq!((mean(report.janus), mean(report.iou)), (0.4, 0.5));
        let again = [0.4, 0.6].map(|iou| Score { iou, ..score(0, 0) });
        let iou = Report::new(&bench, again.into(), None)
            .unwrap()
            .iou
            .unwrap();
        assert!(
            iou.low == iou.high && (iou.mean - 0.5).abs() < 1e-12,
            "seeds of one prompt are no prompts: {iou:?}"
        );
        let text = table(&bench, &report);
        assert!(
            text.contains(
                "| a squirrel | 0 |  | 0.500 | 10.0 | 0.100 | 0.40 | itself | itself | 60 | – |"
            ),
            "{text}"
        );
        assert!(
            text.contains("| R-Precision, colour (%) | 50.0 |") && text.contains("*a giraffe*"),
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
