//! The `dreamfuse` command: arguments in, messages out.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where the program talks"
)]

mod bench_folder;
mod cli;
#[cfg(feature = "clip")]
mod clip;
mod doctor;
mod embed;
mod evaluate;
mod hub;
mod inspect;
mod interrupt;
mod memory;
mod optimize;
mod plan;
mod prior;
mod progress;
mod usage;
mod words;

use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    memory::keep_freed();
    let parsed = match cli::Cli::try_parse() {
        Ok(parsed) => parsed,
        Err(error)
            if error.use_stderr()
                && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            eprintln!("{}; see --help", cli::one_line(&error.to_string()));
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    match run(parsed) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line, each told once.
fn with_causes(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |told, cause| match () {
            () if told.is_empty() => cause,
            () if told.contains(&cause) => told,
            () => format!("{told}: {cause}"),
        })
}

fn run(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    use cli::{Command, EvalCommand, PriorCommand};
    cli::set_threads(cli.threads)?;
    match cli.command {
        None => optimize::start(&cli.run),
        Some(Command::Plan(args)) => plan::plan(&args),
        Some(Command::Resume(args)) => optimize::resume(&args),
        Some(Command::Export(args)) => optimize::export(&args),
        Some(Command::Prior {
            command: PriorCommand::Train(args),
        }) => prior::train(&args),
        Some(Command::Prior {
            command: PriorCommand::Sample(args),
        }) => prior::sample(&args),
        Some(Command::Prior {
            command: PriorCommand::Inspect(args),
        }) => inspect::inspect(&args),
        Some(Command::Prior {
            command: PriorCommand::Embed(args),
        }) => embed::embed(&args),
        Some(Command::Prior {
            command: PriorCommand::Words,
        }) => prior::words(),
        Some(Command::Eval {
            command: EvalCommand::Toybench(args),
        }) => evaluate::toybench(&args),
        #[cfg(feature = "clip")]
        Some(Command::Eval {
            command: EvalCommand::Clip(args),
        }) => clip::clip(&args),
        #[cfg(not(feature = "clip"))]
        Some(Command::Eval {
            command: EvalCommand::Clip(_),
        }) => {
            anyhow::bail!("this binary has no CLIP in it; build it with --features clip")
        }
        Some(Command::Eval {
            command: EvalCommand::Ablation(args),
        }) => evaluate::ablation(&args),
        Some(Command::Doctor) => doctor::report(),
    }
}
