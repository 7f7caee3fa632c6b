//! Runs: start, resume, export.

use crate::cli::{ExportArgs, ResumeArgs, RunArgs, Seed, SettingArgs};
use crate::progress::{Follow, announce, warn};
use crate::{hub, interrupt, words};
use anyhow::{Context, bail, ensure};
use dreamfuse_engine::{
    Event, ExportOptions, Exported, PriorSource, Run, RunConfig, RunFolder, Snapshot, about,
    export_mesh, load_prior, optimize,
};
use dreamfuse_mesh::Format;
use dreamfuse_prior::Prior;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// `dreamfuse PROMPT`.
pub fn start(args: &RunArgs) -> anyhow::Result<ExitCode> {
    if let Some(command) = words::mistyped_command(&args.words) {
        bail!(
            "{:?} looks like the command {command:?}; if it is a prompt, write --prompt {:?}",
            args.words[0],
            args.words[0]
        );
    }
    if let [first, second, ..] = &args.words[..] {
        bail!(
            "expected the prompt as one argument, got {first:?} and {second:?}; hint: dreamfuse {:?}",
            args.words.join(" ")
        );
    }
    let mut config = configure(args)?;
    config.check()?;
    if let Some(out) = &args.out {
        RunFolder::check_free(out)?;
    }
    interrupt::install()?;
    words::check(&config)?;
    locate_prior(&mut config)?;
    let prior = load_prior(&config)?;
    note!("prior: {}", prior.summary);
    words::warn_unknown(&config.prompt, &prior.words);
    words::warn_unknown(&config.negative_prompt, &prior.words);
    let is_camera_given = config.reference.azimuth.is_some();
    let mut run = Run::new(config, &prior)?;
    say_reference(&run.config, is_camera_given, prior.spec().takes_camera);
    interrupt::hold();
    let folder = match &args.out {
        Some(out) => RunFolder::create(out, &run.config)?,
        None => RunFolder::create_under(Path::new("outputs"), &run.config)?,
    };
    drive(&mut run, &prior, &folder)
}

/// Says where a picture is taken to be seen from, and what the built-in prior can make of one.
fn say_reference(config: &RunConfig, is_camera_given: bool, is_prior_asked: bool) {
    let reference = &config.reference;
    if reference.picture.is_none() {
        return;
    }
    if let (false, Some(azimuth), Some(elevation)) =
        (is_camera_given, reference.azimuth, reference.elevation)
    {
        let how = if is_prior_asked {
            "fits best, in the prior's eyes,"
        } else {
            "is taken for one of"
        };
        note!("the picture {how} --azimuth {azimuth} --elevation {elevation}");
    }
    if config.prior == PriorSource::Embedded {
        note!("the built-in prior was trained on toys and simple scenes; it sees others as such");
    }
}

/// Names the prior's files, which a name of the hub has been until here.
pub fn locate_prior(config: &mut RunConfig) -> anyhow::Result<()> {
    config.prior = hub::locate(&config.prior)?;
    config.name_files_absolutely();
    Ok(())
}

/// The configuration of a run's arguments: preset, file, pairs, then flags.
pub fn configure(args: &RunArgs) -> anyhow::Result<RunConfig> {
    let prompt = args
        .prompt
        .clone()
        .or_else(|| (!args.words.is_empty()).then(|| args.words.join(" ")));
    let mut config = settings(&args.settings)?;
    set(&mut config.prompt, prompt);
    Ok(config)
}

/// The same without a prompt.
pub fn settings(args: &SettingArgs) -> anyhow::Result<RunConfig> {
    let mut config = RunConfig::layered(args.preset.as_deref(), args.config.as_deref(), &args.set)?;
    let preset = args.preset.as_deref().unwrap_or_default();
    let is_for_another = preset.starts_with("dreamfusion-") || preset == "zero123";
    if is_for_another && args.prior.is_none() && config.prior == PriorSource::Embedded {
        bail!(
            "--preset {preset} is for a larger prior than the built-in one; hint: --prior with a folder, a file or \
             OWNER/NAME"
        );
    }
    set(&mut config.steps, args.steps);
    set(&mut config.seed, args.seed.map(Seed::value));
    set(&mut config.device, args.device.clone());
    set(&mut config.precision, args.precision);
    set(&mut config.prior, args.prior.clone());
    if args.texts.is_some() {
        config.texts.clone_from(&args.texts);
    }
    if !args.loras.is_empty() {
        config.loras.clone_from(&args.loras);
    }
    set(&mut config.guidance_scale, args.guidance_scale);
    set(&mut config.negative_prompt, args.negative_prompt.clone());
    set(&mut config.render_size, args.render_size.map(Some));
    set(&mut config.views, args.views);
    set(&mut config.refine.steps, args.refine);
    set(
        &mut config.reference.picture,
        args.picture.clone().map(Some),
    );
    set(&mut config.reference.azimuth, args.azimuth.map(Some));
    set(&mut config.reference.elevation, args.elevation.map(Some));
    Ok(config)
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// `dreamfuse resume RUN`.
pub fn resume(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let (folder, mut config) = RunFolder::open(&args.run)?;
    let folder = folder.claim()?;
    set(&mut config.steps, args.steps);
    set(&mut config.refine.steps, args.refine);
    set(&mut config.device, args.device.clone());
    if let Some(prior) = &args.prior {
        config.prior = prior.clone();
        locate_prior(&mut config)?;
    }
    interrupt::install()?;
    let prior = load_prior(&config)?;
    note!("prior: {}", prior.summary);
    let mut run = Run::resume(&folder, config, &prior, &mut warn)?;
    if let Some(steps) = args.steps.filter(|steps| *steps < run.step_count()) {
        bail!(
            "--steps {steps} is less than the {} that the run has done",
            run.step_count()
        );
    }
    interrupt::hold();
    folder.save_config(&run.config)?;
    drive(&mut run, &prior, &folder)
}

/// `dreamfuse export RUN`.
pub fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let formats = args
        .format
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<Format>, _>>()?;
    let (folder, mut config) = RunFolder::open(&args.run)?;
    set(&mut config.device, args.device.clone());
    let is_other = args.faces.or(args.texture).or(args.resolution).is_some();
    let has_bakes = args.normal_map || args.occlusion;
    set(&mut config.mesh_faces, args.faces);
    set(&mut config.texture_size, args.texture);
    set(&mut config.mesh_cells, args.resolution);
    let is_refined = config.refine.steps > 0 && folder.refined_path().exists();
    config.refine.steps = 0; // an export takes what the stage left, or the volume
    config.check()?;
    let budget = Duration::try_from_secs_f32(args.unwrap_seconds);
    let options = ExportOptions {
        normal_map: args.normal_map,
        occlusion: args.occlusion,
        unwrap_budget: budget.context("--unwrap-seconds has to be zero or more")?,
        millimetres: positive(args.size)?,
        ..ExportOptions::of(&config)
    };
    let about = about(&config, &options);
    let exported = if is_refined {
        ensure!(
            !is_other && !has_bakes,
            "the run's second stage made its mesh: --faces, --texture, --resolution, --normal-map and --occlusion would make \
             another; hint: leave them out"
        );
        Exported::load(&folder.refined_path())?
    } else {
        export_mesh(&Snapshot::load(&folder, &config, &mut warn)?, options)?
    };
    dreamfuse_engine::export(&exported, &about, &folder, &formats, &mut announce)?;
    Ok(ExitCode::SUCCESS)
}

fn positive(size: f32) -> anyhow::Result<f32> {
    ensure!(
        size.is_finite() && size > 0.0,
        "--size {size} is not above zero"
    );
    Ok(size)
}

fn drive(
    run: &mut Run,
    prior: &dreamfuse_diffusion::Pipeline,
    folder: &RunFolder,
) -> anyhow::Result<ExitCode> {
    note!("{:?} in {}", run.config.title(), folder.root().display());
    let mut follow = Follow::run(run.step_count(), run.config.steps);
    interrupt::save_at_signal(run.standby());
    optimize(run, prior, folder, &mut |event: &Event| {
        follow.hear(event);
        ControlFlow::Continue(())
    })?;
    tell!("{}", folder.root().join("views.png").display());
    tell!("{}", folder.root().join("turntable.gif").display());
    Ok(ExitCode::SUCCESS)
}
