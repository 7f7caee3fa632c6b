//! The `dreamfuse` command: arguments in, messages out.

#[macro_use]
mod say;

mod batch;
mod check_mesh;
mod cli;
#[cfg(feature = "clip")]
mod clip;
mod cluster;
mod doctor;
mod embed;
mod eval_views;
mod evaluate;
mod hub;
mod inspect;
mod interrupt;
mod memory;
mod optimize;
mod plan;
mod prior;
mod progress;
mod views;
mod words;

use clap::Parser;
use clap::error::ErrorKind;
use dreamfuse_batch::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    memory::keep_freed();
    let parsed = match cli::Cli::try_parse_from(cli::reordered(std::env::args_os())) {
        Ok(parsed) => parsed,
        Err(error)
            if error.use_stderr()
                && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            say!("{}; see --help", cli::one_line(&error.to_string()));
            return Exit::Usage.into();
        }
        Err(help) => help.exit(),
    };
    match run(parsed) {
        Ok(code) => code,
        Err(error) => {
            say!("error: {}", with_causes(&error));
            exit_of(&error).into()
        }
    }
}

/// What the exit code says of an error.
fn exit_of(error: &anyhow::Error) -> Exit {
    use dreamfuse_hub::HubError::{Broken, Status, Unreachable};
    let of_hub = error.chain().find_map(|cause| cause.downcast_ref());
    match of_hub {
        Some(Broken { .. } | Status { .. } | Unreachable { .. }) => Exit::Unavailable,
        _ => Exit::of(error.chain()),
    }
}

/// An error and its causes in one line, each told once.
fn with_causes(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn run(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    use cli::Command;
    cli::set_threads(cli.threads)?;
    say::IS_QUIET.store(cli.quiet, std::sync::atomic::Ordering::Relaxed);
    match cli.command {
        None => optimize::start(&cli.run),
        Some(Command::Plan(args)) => plan::plan(&args),
        Some(Command::Resume(args)) => optimize::resume(&args),
        Some(Command::Export(args)) => optimize::export(&args),
        Some(Command::CheckMesh(args)) => check_mesh::run(&args),
        Some(Command::Batch { command }) => batch::run(command),
        Some(Command::Cluster { command }) => cluster::run(command),
        Some(Command::Prior { command }) => run_prior(command),
        Some(Command::Eval { command }) => run_eval(command),
        Some(Command::Doctor(args)) => doctor::doctor(&args),
        Some(Command::Completions { shell }) => {
            tell!("{}", cli::completions(shell));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_prior(command: cli::PriorCommand) -> anyhow::Result<ExitCode> {
    use cli::PriorCommand;
    match command {
        PriorCommand::Train(args) => prior::train(&args),
        PriorCommand::Sample(args) => prior::sample(&args),
        PriorCommand::Views(args) => views::draw(&args),
        PriorCommand::Inspect(args) => inspect::inspect(&args),
        PriorCommand::Embed(args) => embed::embed(&args),
        PriorCommand::Score(args) => prior::score(&args),
        PriorCommand::Words => prior::words(),
    }
}

fn run_eval(command: cli::EvalCommand) -> anyhow::Result<ExitCode> {
    use cli::EvalCommand;
    match command {
        EvalCommand::Toybench(args) => evaluate::toybench(&args),
        EvalCommand::Ablation(args) => evaluate::ablation(&args),
        EvalCommand::Views(args) => eval_views::views(&args),
        EvalCommand::Pictures(args) => eval_views::pictures(&args),
        EvalCommand::Consistency(args) => eval_views::consistent(&args),
        #[cfg(feature = "clip")]
        EvalCommand::Clip(args) => clip::clip(&args),
        #[cfg(not(feature = "clip"))]
        EvalCommand::Clip(_) => {
            anyhow::bail!("this binary has no CLIP in it; build it with --features clip")
        }
    }
}
