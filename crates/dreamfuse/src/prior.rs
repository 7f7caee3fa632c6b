//! `dreamfuse prior …`.

use crate::cli::{SampleArgs, SamplerName, ScoreArgs, TrainArgs};
use crate::{hub, interrupt, progress, words as prompt_words};
use anyhow::{Context, anyhow, bail, ensure};
use burn::tensor::Device;
use dreamfuse_core::files::{create_folder, write_atomically};
use dreamfuse_core::{Camera, Image};
use dreamfuse_diffusion::{Pipeline, embedded};
use dreamfuse_engine::device;
use dreamfuse_eval::{
    Closeness, LEVELS, knowledge, knowledge_table, lines, mean_knowledge, validation_prompts,
};
use dreamfuse_prior::{Prior, SampleOptions, Sampler, sample as draw};
use dreamfuse_toybox::words::by_topic;
use dreamfuse_train::{HeldOut, HeldOutReferences, Progress, TrainConfig, Trainer};
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

/// What the sample sheets of training show, three views each.
const SHEET_PROMPTS: [&str; 6] = [
    "a squirrel",
    "an easel",
    "a squirrel at an easel",
    "a blue mushroom",
    "a robot and dinosaur playing chess",
    "tower bridge made out of gingerbread and candy",
];

/// Steps over which the loss that is shown is averaged.
const LOSS_MEMORY: f32 = 100.0;

/// `dreamfuse prior train`.
pub fn train(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.config)
        .with_context(|| format!("cannot read {}", args.config.display()))?;
    let config: TrainConfig = toml::from_str(&text).map_err(|e| {
        anyhow!(
            "{} is no training configuration: {}",
            args.config.display(),
            e.message().replace('\n', " ")
        )
    })?;
    create_folder(&args.out)?;
    let state = args.out.join("state");
    if state.exists() && !args.resume {
        bail!(
            "{} holds a training run; go on with --resume, or choose another folder",
            args.out.display()
        );
    }
    ensure!(
        !args.device.contains(','),
        "expected one device to train on, got {:?}",
        args.device
    );
    let batch = config.batch;
    let mut trainer =
        Trainer::new(config)?.on(&device(&args.device, args.precision)?, args.precision);
    if args.resume {
        trainer = trainer.resume_from(&state)?;
    } else if let Some(folder) = &args.init_from {
        trainer = trainer.init_from(folder)?;
    }
    note!(
        "{} parameters, from step {}",
        trainer.parameter_count(),
        trainer.step()
    );
    interrupt::install()?;
    interrupt::hold();
    let bar = progress::bar(trainer.step(), args.steps);
    let mut mean = None;
    let mut failure = None;
    trainer.run(args.steps, |trainer, now| {
        let loss =
            *mean.insert(mean.map_or(now.loss, |mean: f32| mean + (now.loss - mean) / LOSS_MEMORY));
        bar.set_position(now.step);
        bar.set_message(format!(
            "loss {loss:.4}, {:.0} images a second",
            bar.per_sec() * batch as f64
        ));
        let kept = keep(args, trainer, now, loss);
        failure = kept.err();
        if failure.is_some() || interrupt::is_asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    // What went wrong with a record does not cost the steps since the last state.
    trainer.save(&state)?;
    if let Some(error) = failure {
        return Err(error);
    }
    trainer.export(&args.out.join("weights"))?;
    tell!("{}", args.out.join("weights").display());
    if trainer.step() < args.steps {
        bar.abandon();
        say!(
            "stopped at step {}; go on with the same command and --resume",
            trainer.step()
        );
        return Ok(interrupt::exit_code());
    }
    bar.finish();
    Ok(ExitCode::SUCCESS)
}

/// Writes what is due after a step.
fn keep(args: &TrainArgs, trainer: &Trainer, now: Progress, loss: f32) -> anyhow::Result<()> {
    if now.step.is_multiple_of(20) {
        let line = format!(
            "{},{loss:.5},{:.4},{:.2e}",
            now.step, now.gradient_norm, now.rate
        );
        append(
            &args.out.join("loss.csv"),
            "step,loss,gradient norm,rate",
            &[line],
        )?;
    }
    if now.step.is_multiple_of(args.save_every) {
        trainer.save(&args.out.join("state"))?;
    }
    if now.step.is_multiple_of(args.sheet_every) {
        keep_measures(args, trainer, now)?;
    }
    Ok(())
}

/// Writes samples, held-out losses and the knowledge score of the averaged weights.
fn keep_measures(args: &TrainArgs, trainer: &Trainer, now: Progress) -> anyhow::Result<()> {
    let weights = args.out.join("weights");
    trainer.export(&weights)?;
    let prior = Pipeline::load(&weights, &Device::flex())?;
    let prompts = SHEET_PROMPTS.map(String::from);
    let options = SheetOptions {
        views: Some(3),
        steps: 25,
        sampler: Sampler::Ddim,
        guidance_scale: 3.0,
        seed: 0,
    };
    let image = sheet(&prior, &prompts, &options)?;
    image.save_png(&args.out.join(format!("samples-{:07}.png", now.step)))?;
    let line = |h: &HeldOut| {
        let [own, caption, azimuth] = [h.loss, h.loss_other_caption, h.loss_other_azimuth];
        format!(
            "{},{},{own:.5},{caption:.5},{azimuth:.5}",
            now.step, h.level
        )
    };
    let of_references = |h: &HeldOutReferences| {
        let losses = [
            h.loss,
            h.loss_without,
            h.loss_other_reference,
            h.loss_other_azimuth,
        ];
        format!(
            "{},{},{}",
            now.step,
            h.level,
            losses.map(|loss| format!("{loss:.5}")).join(",")
        )
    };
    let with_references: Vec<String> = trainer
        .held_out_references()
        .iter()
        .map(of_references)
        .collect();
    if !with_references.is_empty() {
        append(
            &args.out.join("held-out-references.csv"),
            "step,t,loss,loss without,loss with another reference,loss with another azimuth",
            &with_references,
        )?;
    }
    let held_out: Vec<String> = trainer.held_out().iter().map(line).collect();
    append(
        &args.out.join("held-out.csv"),
        "step,t,loss,loss with another caption,loss with another azimuth",
        &held_out,
    )?;
    let known = mean_knowledge(&knowledge(&prior, &validation_prompts())?);
    let line = |(t, k): (&f64, &Closeness)| {
        format!(
            "{},{t},{:.3},{:.3},{:.4}",
            now.step, k.psnr, k.psnr_own_color, k.iou
        )
    };
    append(
        &args.out.join("knowledge.csv"),
        "step,t,PSNR,PSNR with the true mean colour,soft IoU",
        &LEVELS.iter().zip(&known).map(line).collect::<Vec<_>>(),
    )?;
    Ok(())
}

/// Adds lines to a table; a new one starts with `header`.
fn append(path: &Path, header: &str, lines: &[String]) -> anyhow::Result<()> {
    let is_new = !path.exists();
    let text: String = is_new
        .then_some(header)
        .into_iter()
        .chain(lines.iter().map(String::as_str))
        .map(|l| format!("{l}\n"))
        .collect();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

struct SheetOptions {
    views: Option<usize>,
    steps: usize,
    sampler: Sampler,
    guidance_scale: f64,
    seed: u64,
}

/// One row a prompt, enlarged to be looked at.
fn sheet(prior: &Pipeline, prompts: &[String], options: &SheetOptions) -> anyhow::Result<Image> {
    ensure!(
        !prior.spec().needs_references,
        "this prior needs a picture; hint: `dreamfuse prior views --picture FILE`"
    );
    let columns = options.views.unwrap_or(1);
    ensure!(
        (1..=64).contains(&columns),
        "--views {columns} is not between 1 and 64"
    );
    let most = prior.schedule.steps();
    ensure!(
        (1..=most).contains(&options.steps),
        "--steps {} is not between 1 and {most}",
        options.steps
    );
    ensure!(
        options.guidance_scale.is_finite(),
        "--guidance-scale has to be a number"
    );
    let together = prior.spec().views_per_group;
    if let Some(views) = options
        .views
        .filter(|views| !views.is_multiple_of(together))
    {
        bail!("--views {views} is no multiple of the {together} that this prior draws together");
    }
    if options.views.is_some() && !prior.spec().takes_camera {
        bail!("this prior takes no camera; leave --views away and name the view in the prompt");
    }
    let repeated: Vec<String> = prompts
        .iter()
        .flat_map(|prompt| std::iter::repeat_n(prompt.clone(), columns))
        .collect();
    let cameras: Option<Vec<Camera>> = options.views.map(|views| {
        let ring = Camera::ring(views, 0.3);
        prompts.iter().flat_map(|_| ring.clone()).collect()
    });
    let settings = SampleOptions {
        prompts: &repeated,
        cameras: cameras.as_deref(),
        steps: options.steps,
        sampler: options.sampler,
        guidance_scale: options.guidance_scale,
        seed: options.seed,
    };
    let images = draw(prior, &settings).map_err(anyhow::Error::msg)?;
    let enlarged: Vec<Image> = images.iter().map(shown).collect();
    Ok(Image::sheet(&enlarged, columns))
}

/// An image large enough to be looked at.
pub(crate) fn shown(image: &Image) -> Image {
    const LEAST: usize = 96;
    image.enlarged(LEAST.div_ceil(image.width))
}

/// `dreamfuse prior sample`.
pub fn sample(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let prior = hub::load(&args.source)?;
    args.prompts
        .iter()
        .for_each(|prompt| prompt_words::warn_unknown(prompt, &prior.words));
    let sampler = match args.sampler {
        SamplerName::Ddim => Sampler::Ddim,
        SamplerName::Ddpm => Sampler::Ddpm,
    };
    let (views, steps, guidance_scale, seed) = (
        args.views,
        args.steps,
        args.guidance_scale,
        args.seed.value(),
    );
    let image = sheet(
        &prior,
        &args.prompts,
        &SheetOptions {
            views,
            steps,
            sampler,
            guidance_scale,
            seed,
        },
    )?;
    write_atomically(&args.out, &image.to_png())?;
    tell!("{}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// `dreamfuse prior score`.
pub fn score(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let prompts = match &args.prompts {
        None => validation_prompts(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            lines(&text)
        }
    };
    ensure!(!prompts.is_empty(), "the list of prompts is empty");
    let prior = hub::load(&args.source)?;
    let scores = knowledge(&prior, &prompts)?;
    if args.json {
        tell!("{}", serde_json::to_string_pretty(&scores)?);
    } else {
        tell!("{}", (knowledge_table(&scores)).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// `dreamfuse prior words`: of the grammar's words those that the prior was trained on.
pub fn words() -> anyhow::Result<ExitCode> {
    let known = embedded::words();
    for (topic, words) in by_topic() {
        let known: Vec<_> = words
            .iter()
            .map(String::as_str)
            .filter(|word| known.contains(word))
            .collect();
        tell!("{topic}: {}", known.join(" "));
    }
    Ok(ExitCode::SUCCESS)
}
