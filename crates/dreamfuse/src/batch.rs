//! `dreamfuse batch …`: plans of many runs, and tasks of them.

mod supervise;

use crate::cli::{BatchCommand, BatchRunArgs, PlanArgs, ReportArgs, StatusArgs};
use crate::optimize::{locate_prior, settings};
use crate::progress::{Follow, warn};
use crate::{interrupt, words};
use dreamfuse_batch::{
    BatchError, Begun, Exit, Finished, Item, ItemState, Plan, Row, Status, Together, Work,
    read_prompts, task_index, write_report,
};
use dreamfuse_core::Cutout;
use dreamfuse_diffusion::{Pipeline, Precision};
use dreamfuse_engine::{Event, PriorSource, RunConfig, load_prior};
use dreamfuse_prior::Prior;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

/// Failures that a table lists.
const LISTED: usize = 10;

/// Time from one table to the next.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Runs the command.
pub fn run(command: BatchCommand) -> anyhow::Result<ExitCode> {
    match command {
        BatchCommand::Plan(args) => plan(&args),
        BatchCommand::Run(args) if args.all => supervise::all(&args),
        BatchCommand::Run(args) => task(&args),
        BatchCommand::Status(args) => status(&args),
        BatchCommand::Report(args) => report(&args),
    }
}

/// `dreamfuse batch plan PROMPTS --out RUNS`.
fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let rows = read_prompts(&args.prompts)?;
    let base = settings(&args.settings)?;
    let mut planner = Planner::default();
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let line = row.line;
        let item = planner.item(&base, row);
        items.push(item.map_err(|error| BatchError::Line {
            path: args.prompts.clone(),
            line,
            reason: crate::with_causes(&error),
        })?);
    }
    let (plan, added) = Plan::append(&args.out, items)?;
    let known = match added.known {
        0 => String::new(),
        known => format!("; {known} were planned before"),
    };
    note!(
        "{} new items, {} in all{known}",
        added.new,
        plan.items.len()
    );
    tell!("{}", args.out.join("plan.jsonl").display());
    Ok(ExitCode::SUCCESS)
}

/// What rows have in common is found once.
#[derive(Default)]
struct Planner {
    located: HashMap<String, PriorSource>,
    digests: HashMap<String, String>,
}

impl Planner {
    fn item(&mut self, base: &RunConfig, row: Row) -> anyhow::Result<Item> {
        let mut config = base.with_keys(row.keys)?;
        config.check()?;
        words::check(&config)?;
        if let Some(picture) = &config.reference.picture {
            Cutout::load(picture).map_err(anyhow::Error::msg)?;
        }
        config.reference.know_picture()?;
        let name = config.prior.to_string();
        if let Some(located) = self.located.get(&name) {
            config.prior = located.clone();
            config.name_files_absolutely();
        } else {
            locate_prior(&mut config)?;
            self.located.insert(name, config.prior.clone());
        }
        config.prior.check_texts(&config)?;
        let files = format!("{:?} {:?} {:?}", config.prior, config.loras, config.texts);
        let digest = match self.digests.get(&files) {
            Some(digest) => digest.clone(),
            None => config.prior_digest()?,
        };
        self.digests.insert(files, digest.clone());
        Ok(Item::new(config, digest))
    }
}

/// `dreamfuse batch run RUNS --index I`.
fn task(args: &BatchRunArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::load(&args.runs)?;
    let index = match args.index {
        Some(index) => index,
        None => task_index(|name| std::env::var(name).ok())?.ok_or_else(|| {
            let none = "no scheduler says which task this is; hint: --index I, or --all";
            BatchError::Usage(none.into())
        })?,
    };
    let items = plan.task(index, args.items_per_task as usize)?;
    interrupt::install()?;
    let mut work = Work::new(&plan, args.attempts as usize);
    work.scratch.clone_from(&args.scratch);
    let active = work.active();
    interrupt::at_signal(move || {
        let stopped = active.stop(interrupt::code());
        let told = stopped.map(|stopped| {
            for (step, folder) in stopped {
                interrupt::tell_stop(step, &folder);
            }
        });
        interrupt::Next::Leave(told.map_err(Into::into))
    });
    let mut task = Task {
        work,
        prior: None,
        worst: Exit::Done,
    };
    for items in items.chunks(args.together as usize) {
        task.run(items)?;
    }
    Ok(task.worst.into())
}

/// One task while it goes on.
struct Task<'a> {
    work: Work<'a>,
    /// The prior that was loaded last, and whose it is.
    prior: Option<(PriorKey, Pipeline)>,
    /// Of the items that failed.
    worst: Exit,
}

/// Items that have this in common share a prior.
#[derive(PartialEq)]
struct PriorKey {
    digest: String,
    device: String,
    precision: Precision,
}

impl Task<'_> {
    /// Runs items side by side, if they share a prior, else one after the other.
    fn run(&mut self, items: &[Item]) -> anyhow::Result<()> {
        let mut todo: Vec<(&Item, Begun)> = Vec::new();
        for item in items {
            if self.work.plan.is_done(item) {
                continue;
            }
            match self.work.begin(item, &mut warn) {
                Ok(begun) => todo.extend(begun.map(|begun| (item, begun))),
                Err(error) => self.failed(error.into())?,
            }
        }
        // A prior on several devices is asked for the views of one run.
        let is_single = todo
            .iter()
            .all(|(item, _)| !item.config.device.contains(','));
        let is_shared = is_single && todo.windows(2).all(|pair| key(pair[0].0) == key(pair[1].0));
        let groups = if is_shared { todo.len().max(1) } else { 1 };
        for group in todo.chunks(groups) {
            if let Err(error) = self.load(group[0].0) {
                let exit = Exit::of(error.chain());
                for (_, begun) in group {
                    begun.end(exit, Some(crate::with_causes(&error)))?;
                }
                self.failed(error)?;
                continue;
            }
            let (_, prior) = self.prior.as_ref().expect("it was loaded above");
            for end in run_group(&self.work, group, prior) {
                match end {
                    Ok(Finished::Now) => {}
                    Ok(Finished::Stopped) => self.worst = Exit::Saved,
                    Err(error) => self.failed(error.into())?,
                }
            }
        }
        Ok(())
    }

    /// The item's prior, unless it is loaded.
    fn load(&mut self, item: &Item) -> anyhow::Result<()> {
        let key = key(item);
        if self
            .prior
            .as_ref()
            .is_some_and(|(loaded, _)| *loaded == key)
        {
            return Ok(());
        }
        self.work.check_prior(item)?;
        // The old one's memory first.
        self.prior = None;
        let prior = load_prior(&item.config)?;
        note!("prior: {}", prior.summary);
        self.prior = Some((key, prior));
        Ok(())
    }

    /// Remembers a failure of one item; the others go on, unless the machine is to blame.
    fn failed(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        let exit = Exit::of(error.chain());
        if matches!(exit, Exit::Disk | Exit::Unavailable) {
            return Err(error);
        }
        say!("error: {}", crate::with_causes(&error));
        self.worst = match (self.worst, exit) {
            // What can be done again decides: the others are done, and what failed says so once more.
            (Exit::Saved, _) | (_, Exit::Saved) => Exit::Saved,
            (Exit::Done, exit) => exit,
            (worst, _) => worst,
        };
        Ok(())
    }
}

fn key(item: &Item) -> PriorKey {
    PriorKey {
        digest: item.prior_digest.clone(),
        device: item.config.device.clone(),
        precision: item.config.precision,
    }
}

/// Runs items, each in a thread if there are several.
fn run_group(
    work: &Work,
    items: &[(&Item, Begun)],
    prior: &Pipeline,
) -> Vec<Result<Finished, BatchError>> {
    if let [item] = items {
        let steps = item.0.config.steps;
        return vec![run_item(work, item, prior, Follow::run(0, steps))];
    }
    let together = Together::new(prior);
    // All are there before the first one asks.
    let members: Vec<_> = items.iter().map(|_| together.join()).collect();
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(items.len());
        for (item, member) in items.iter().zip(members) {
            let follow = Follow::one_of_several(&item.0.key, item.0.config.steps);
            threads.push(scope.spawn(move || run_item(work, item, &member, follow)));
        }
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn run_item(
    work: &Work,
    (item, begun): &(&Item, Begun),
    prior: &dyn Prior,
    mut follow: Follow,
) -> Result<Finished, BatchError> {
    let folder = work.plan.folder(item);
    note!("{:?} in {}", item.config.prompt, folder.display());
    let mut observer = |event: &Event| {
        follow.hear(event);
        ControlFlow::Continue(())
    };
    work.run(item, begun, prior, &mut observer, &mut warn)
}

/// `dreamfuse batch status RUNS`.
fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    loop {
        let status = Status::read(&Plan::load(&args.runs)?);
        if args.json {
            tell!("{}", serde_json::to_string_pretty(&status)?);
            return Ok(ExitCode::SUCCESS);
        }
        if args.watch {
            // To the top left, and clear.
            tell!("\u{1b}[H\u{1b}[2J{}", table(&status));
        } else {
            tell!("{}", table(&status));
        }
        let counts = &status.counts;
        let failed: usize = counts.failed.values().sum();
        if !args.watch || counts.done + failed == counts.items {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

fn table(status: &Status) -> String {
    let counts = &status.counts;
    let mut lines = vec![
        format!("items    {}", counts.items),
        format!(
            "done     {} ({:.0} %)",
            counts.done,
            100.0 * counts.done as f64 / counts.items.max(1) as f64
        ),
    ];
    let left = counts.seconds_left.map_or(String::new(), |seconds| {
        format!(
            ", {:.1} steps a second, {} left at this rate",
            counts.steps_per_second,
            duration(seconds)
        )
    });
    lines.push(format!("running  {}{left}", counts.running));
    lines.push(format!("stopped  {}", counts.stopped));
    lines.push(format!("waiting  {}", counts.waiting));
    let failed: usize = counts.failed.values().sum();
    lines.push(format!("failed   {failed}"));
    for (code, count) in &counts.failed {
        let meaning = Exit::of_code(i32::from(*code)).map_or("unknown", |exit| exit.meaning().0);
        lines.push(format!("  {count} with exit code {code}: {meaning}"));
    }
    let failures = status.items.iter().filter_map(|item| match &item.state {
        ItemState::Failed { step, message, .. } => Some(format!(
            "  item {} {:?}, seed {}, step {step}: {message}",
            item.index, item.prompt, item.seed
        )),
        _ => None,
    });
    lines.extend(failures.take(LISTED));
    if failed > LISTED {
        lines.push(format!("  and {} more; hint: --json", failed - LISTED));
    }
    lines.join("\n")
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// `dreamfuse batch report RUNS`.
fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::load(&args.runs)?;
    let page = write_report(&plan)?;
    tell!("{}", page.display());
    Ok(ExitCode::SUCCESS)
}
