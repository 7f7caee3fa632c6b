//! `dreamfuse plan`: what a run will take, before anything heavy is loaded.

use crate::cli::PlanRunArgs;
use crate::optimize::{configure, locate_prior};
use crate::words;
use dreamfuse_engine::{Forecast, forecast};
use std::process::ExitCode;

/// Says what a run of these arguments would take.
pub fn plan(args: &PlanRunArgs) -> anyhow::Result<ExitCode> {
    let mut config = configure(&args.run)?;
    config.check()?;
    words::check(&config)?;
    locate_prior(&mut config)?;
    let forecast = forecast(config, args.vram)?;
    if args.json {
        tell!("{:#}", json_of(&forecast));
    } else {
        tell_all(&forecast);
    }
    Ok(ExitCode::SUCCESS)
}

fn json_of(forecast: &Forecast) -> serde_json::Value {
    serde_json::json!({
        "parameters": forecast.cost.parameters,
        "resolution": forecast.cost.resolution,
        "reads": forecast.cost.summary,
        "memory_gib": forecast.memory_gib,
        "fits": forecast.fits,
        "checkpoints_mib": forecast.checkpoints_mib,
        "seconds_a_step": forecast.step_seconds,
        "steps": forecast.steps,
    })
}

fn tell_all(forecast: &Forecast) {
    let (cost, step) = (&forecast.cost, forecast.step_seconds);
    tell!(
        "prior    {:.0} million numbers, images of {} pixels",
        cost.parameters / 1e6,
        cost.resolution
    );
    tell!("reads    {}", cost.summary);
    tell!("memory   {:.1} GiB", forecast.memory_gib);
    if let Some(fits) = &forecast.fits {
        tell!("fits     {fits}");
    }
    tell!(
        "disk     {:.0} MiB of checkpoints",
        forecast.checkpoints_mib
    );
    let most = if forecast.is_most { "at most " } else { "" };
    tell!(
        "time     {most}{step:.2} s a step, {:.0} min for {} steps",
        step * forecast.steps as f64 / 60.0,
        forecast.steps
    );
}
