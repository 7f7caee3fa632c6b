//! The `dreamfuse` command: arguments in, messages out.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program talks")]

mod cli;
mod doctor;
mod evaluate;
mod interrupt;
mod optimize;
mod prior;
mod progress;
mod words;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    use cli::{Command, EvalCommand, PriorCommand};
    cli::set_threads(cli.threads)?;
    match cli.command {
        None => optimize::start(&cli.run),
        Some(Command::Resume(args)) => optimize::resume(&args),
        Some(Command::Export(args)) => optimize::export(&args),
        Some(Command::Prior { command: PriorCommand::Train(args) }) => prior::train(&args),
        Some(Command::Prior { command: PriorCommand::Sample(args) }) => prior::sample(&args),
        Some(Command::Prior { command: PriorCommand::Words }) => prior::words(),
        Some(Command::Eval { command: EvalCommand::Toybox(args) }) => evaluate::toybox(&args),
        Some(Command::Doctor) => doctor::report(),
    }
}
