//! `dreamfuse batch run RUNS --all --jobs N`: children on this machine, one a device.

use crate::cli::BatchRunArgs;
use crate::interrupt;
use anyhow::ensure;
use dreamfuse_batch::{Exit, Plan, Supervised, Supervisor};
use dreamfuse_engine::gpus;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

/// Starts the children and tells of their ends.
pub fn all(args: &BatchRunArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::load(&args.runs)?;
    let per_task = args.items_per_task as usize;
    let tasks = plan.tasks(per_task) as u64;
    let is_done = |index: &u64| {
        let items = plan.task(*index, per_task);
        items.is_ok_and(|items| items.iter().all(|item| plan.is_done(item)))
    };
    let todo: Vec<u64> = (0..tasks).filter(|index| !is_done(index)).collect();
    let jobs = args.jobs.unwrap_or(1) as usize;
    note!(
        "{} of {tasks} tasks to do, {jobs} at a time; what they say goes to {}",
        todo.len(),
        args.runs.join("logs").display()
    );
    let mut supervisor = Supervisor::new(
        std::env::current_exe()?,
        arguments(args, jobs),
        args.runs.join("logs"),
        todo.into_iter(),
    );
    let of_items = plan.items.iter().map(|item| &item.config.device);
    let of_cuda = of_items.filter(|list| list.contains("cuda"));
    if let Some(each) = of_cuda.map(|list| gpus(list)).max() {
        supervisor.devices = devices(jobs, each)?;
    }
    let supervisor = Arc::new(supervisor);
    interrupt::install()?;
    let stopped = supervisor.clone();
    interrupt::at_signal(move || {
        stopped.stop();
        interrupt::Next::Wait
    });
    let exit = supervisor.run(jobs, &tell_end)?;
    if interrupt::is_asked() {
        say!("stopped; the same command goes on from here");
        return Ok(interrupt::exit_code());
    }
    Ok(exit.into())
}

/// What each child is given beside its index.
fn arguments(args: &BatchRunArgs, jobs: usize) -> Vec<OsString> {
    let count = |number: u32| OsString::from(number.to_string());
    let mut arguments: Vec<OsString> = vec![
        "batch".into(),
        "run".into(),
        args.runs.clone().into(),
        "--items-per-task".into(),
        count(args.items_per_task),
        "--together".into(),
        count(args.together),
        "--attempts".into(),
        count(args.attempts),
    ];
    if let Some(scratch) = &args.scratch {
        arguments.extend(["--scratch".into(), scratch.clone().into()]);
    }
    // Children that share the processors share them out.
    let threads = (rayon::current_num_threads() / jobs).max(1);
    arguments.extend(["--threads".into(), threads.to_string().into()]);
    arguments
}

/// The GPUs of this process, or as many as the jobs need, `each` for a child.
fn devices(jobs: usize, each: usize) -> anyhow::Result<Vec<String>> {
    let given = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let given: Vec<String> = given
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(String::from)
        .collect();
    let all = if given.is_empty() {
        (0..jobs * each).map(|device| device.to_string()).collect()
    } else {
        given
    };
    ensure!(
        all.len() >= each,
        "an item takes {each} GPUs, and CUDA_VISIBLE_DEVICES names {}",
        all.len()
    );
    Ok(all.chunks_exact(each).map(|some| some.join(",")).collect())
}

fn tell_end(ended: &Supervised) {
    let how = match ended.exit {
        Some(Exit::Done) => "done".to_owned(),
        Some(exit) => format!("exit code {}, {}", exit.code(), exit.meaning().0),
        None => "killed".into(),
    };
    let again = if ended.comes_again {
        "; it is started again"
    } else {
        ""
    };
    note!(
        "task {}: {how} after {:.1} s{again}",
        ended.index,
        ended.seconds
    );
}
