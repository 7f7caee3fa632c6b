//! One item: started or resumed in its folder, and published.

use crate::attempts::{Attempt, Attempts};
use crate::published::Published;
use crate::scratch::Scratch;
use crate::{BatchError, Exit, Item, Plan};
use dreamfuse_core::files::FileError;
use dreamfuse_engine::{
    EngineError, Event, Observer, Outcome, Run, RunConfig, RunFolder, Standby, optimize,
};
use dreamfuse_prior::Prior;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a process does with items of a plan. One may be shared by threads, an item each.
pub struct Work<'a> {
    pub plan: &'a Plan,
    /// A disk of this node to work on.
    pub scratch: Option<PathBuf>,
    /// Attempts without a step of progress after which an item is given up.
    pub most_attempts: usize,
    active: Arc<Active>,
}

/// Runs that are going on, for a signal's thread.
#[derive(Default)]
pub struct Active(Mutex<Vec<Job>>);

struct Job {
    key: String,
    standby: Arc<Standby>,
    home: PathBuf,
    scratch: Option<Scratch>,
}

/// How an item came out, if nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Its result is published.
    Now,
    /// The observer asked it to stop; the state is saved.
    Stopped,
}

/// An item that this process has claimed.
pub struct Begun {
    home: RunFolder,
}

impl Begun {
    fn attempts(&self) -> Attempts {
        Attempts::of(self.home.root())
    }

    fn step(&self) -> u64 {
        self.home.newest_step().unwrap_or(0)
    }

    /// Notes how the attempt ended, and why.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&self, exit: Exit, message: Option<String>) -> Result<(), BatchError> {
        self.attempts().end(self.step(), exit, message)
    }
}

impl Active {
    fn lock(&self) -> MutexGuard<'_, Vec<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves all runs as their last finished steps left them, notes that their attempts ended with `exit`, and returns
    /// the steps and the folders. The caller ends the process.
    ///
    /// # Errors
    /// When a state cannot be written.
    pub fn stop(&self, exit: Exit) -> Result<Vec<(u64, PathBuf)>, BatchError> {
        let (mut stopped, mut failed) = (Vec::new(), None);
        for job in self.lock().iter() {
            match job.save(exit) {
                Ok(saved) => stopped.extend(saved),
                // The others are saved all the same.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(stopped), Err)
    }
}

impl Job {
    /// Saves its run; the step and the folder, if there was something to save. A folder on a node's own disk is left: its run
    /// may still be at work in it.
    fn save(&self, exit: Exit) -> Result<Option<(u64, PathBuf)>, BatchError> {
        let Some((step, _)) = self.standby.stop()? else {
            return Ok(None);
        };
        if let Some(scratch) = &self.scratch {
            scratch.bring_checkpoints()?;
        }
        // It is for people to read: the state is saved whether it is written or not.
        let _ = Attempts::of(&self.home).end(step, exit, None);
        Ok(Some((step, self.home.clone())))
    }
}

impl<'a> Work<'a> {
    /// On a plan, in its own folders.
    pub fn new(plan: &'a Plan, most_attempts: usize) -> Self {
        Self {
            plan,
            scratch: None,
            most_attempts,
            active: Arc::default(),
        }
    }

    /// The runs that are going on.
    pub fn active(&self) -> Arc<Active> {
        self.active.clone()
    }

    /// Says that the prior's files are others than those of the plan.
    ///
    /// # Errors
    /// When they are, or cannot be read.
    pub fn check_prior(&self, item: &Item) -> Result<(), BatchError> {
        if item.config.prior_digest()? == item.prior_digest {
            Ok(())
        } else {
            Err(BatchError::OtherPrior(item.config.prior.to_string()))
        }
    }

    /// Claims an item and notes that an attempt begins, before anything heavy is loaded for it: an attempt that is killed
    /// while it loads is one, too. `None` when its result is published.
    ///
    /// # Errors
    /// When another process has it, or it was tried too often.
    pub fn begin(
        &self,
        item: &Item,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Begun>, BatchError> {
        let root = self.plan.folder(item);
        if root.is_symlink() {
            return Err(BatchError::Link(root));
        }
        let home = claim(&root, &item.config)?;
        if !home.has_lock() {
            warn(format!(
                "the file system of {} has no locks: the scheduler alone keeps two processes apart",
                root.display()
            ));
        }
        // Another process may have finished it while this one waited.
        if self.plan.is_done(item) {
            return Ok(None);
        }
        let begun = Begun { home };
        let begins = begun.attempts().begin(begun.step(), self.most_attempts);
        match begins {
            Ok(()) => Ok(Some(begun)),
            Err(error) => {
                begun.end(Exit::of_batch(&error), Some(error.to_string()))?;
                Err(error)
            }
        }
    }

    /// Starts an item or goes on with it, to the end, and notes how it ended.
    ///
    /// # Errors
    /// As [`optimize`], and when a result cannot be published.
    pub fn run(
        &self,
        item: &Item,
        begun: &Begun,
        prior: &dyn Prior,
        observer: &mut dyn Observer,
        warn: &mut dyn FnMut(String),
    ) -> Result<Finished, BatchError> {
        let result = self.attempt(item, prior, &begun.home, observer, warn);
        let (exit, message) = match &result {
            Ok(Finished::Stopped) => (Exit::Saved, None),
            Ok(Finished::Now) => (Exit::Done, None),
            Err(error) => (Exit::of_batch(error), Some(error.to_string())),
        };
        let noted = begun.end(exit, message);
        let finished = result?;
        noted?;
        Ok(finished)
    }

    fn attempt(
        &self,
        item: &Item,
        prior: &dyn Prior,
        home: &RunFolder,
        observer: &mut dyn Observer,
        warn: &mut dyn FnMut(String),
    ) -> Result<Finished, BatchError> {
        let scratch = self.scratch.as_deref();
        let scratch = scratch
            .map(|parent| Scratch::create(parent, home, &item.config))
            .transpose()?;
        let result = self.optimize(item, prior, home, scratch.as_ref(), observer, warn);
        if let Some(scratch) = &scratch {
            match &result {
                Ok(_) => scratch.bring_all()?,
                // What there is may help to see why.
                Err(_) => drop(scratch.bring_checkpoints()),
            }
            scratch.remove();
        }
        let finished = result?;
        if finished == Finished::Now {
            publish(item, home)?;
        }
        Ok(finished)
    }

    fn optimize(
        &self,
        item: &Item,
        prior: &dyn Prior,
        home: &RunFolder,
        scratch: Option<&Scratch>,
        observer: &mut dyn Observer,
        warn: &mut dyn FnMut(String),
    ) -> Result<Finished, BatchError> {
        let folder = scratch.map_or(home, |scratch| &scratch.local);
        let mut run = Run::new(item.config.clone(), prior)?;
        restore(&mut run, folder, warn)?;
        let _listed = self.list(item, &run, home, scratch.cloned());
        let mut lost = None;
        let outcome = optimize(&mut run, prior, folder, &mut |event: &Event| {
            let is_checkpoint = matches!(event, Event::Checkpoint { .. });
            if let Some(scratch) = scratch.filter(|_| is_checkpoint && lost.is_none()) {
                lost = scratch.bring_checkpoints().err();
            }
            if lost.is_some() {
                return ControlFlow::Break(());
            }
            observer.event(&at_home(event, home, scratch.is_some()))
        })?;
        match (lost, outcome) {
            (Some(error), _) => Err(error.into()),
            (None, Outcome::Interrupted) => Ok(Finished::Stopped),
            (None, Outcome::Finished) => Ok(Finished::Now),
        }
    }

    /// Lists a run for a signal's thread, until what is returned is dropped.
    fn list(&self, item: &Item, run: &Run, home: &RunFolder, scratch: Option<Scratch>) -> Listed {
        self.active.lock().push(Job {
            key: item.key.clone(),
            standby: run.standby(),
            home: home.root().to_owned(),
            scratch,
        });
        Listed {
            active: self.active.clone(),
            key: item.key.clone(),
        }
    }
}

struct Listed {
    active: Arc<Active>,
    key: String,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.active.lock().retain(|job| job.key != self.key);
    }
}

/// An event with the path at which its mesh will be found, once all is copied from a node's own disk.
fn at_home(event: &Event, home: &RunFolder, is_elsewhere: bool) -> Event {
    let mut event = event.clone();
    if let Event::Mesh { path, .. } = &mut event
        && is_elsewhere
    {
        *path = home.root().join(path.file_name().unwrap_or_default());
    }
    event
}

/// The run's folder, new or found, for this process alone.
fn claim(root: &Path, config: &RunConfig) -> Result<RunFolder, EngineError> {
    match RunFolder::open(root) {
        Ok((folder, _)) => folder.claim(),
        Err(EngineError::NoRun(_)) => RunFolder::create(root, config),
        Err(other) => Err(other),
    }
}

/// Goes on from the newest whole checkpoint, if there is one.
fn restore(
    run: &mut Run,
    folder: &RunFolder,
    warn: &mut dyn FnMut(String),
) -> Result<(), EngineError> {
    match run.restore(folder, warn) {
        Err(EngineError::NoCheckpoint(_)) => Ok(()),
        Err(error @ EngineError::BadCheckpoint { .. }) => {
            warn(format!(
                "{error}; no checkpoint is whole, so the run starts again"
            ));
            Ok(())
        }
        other => other,
    }
}

fn publish(item: &Item, home: &RunFolder) -> Result<Published, FileError> {
    let attempts = Attempts::of(home.root()).read();
    let mut seconds = 0.0;
    let mut began = None;
    for line in attempts {
        match line {
            Attempt::Began { time, .. } => began = Some(time),
            Attempt::Ended { time, .. } => {
                seconds += began.take().map_or(0.0, |start| time - start);
            }
        }
    }
    seconds += began.map_or(0.0, |start| crate::attempts::now() - start);
    Published::publish(home.root(), &item.key, item.config.steps, seconds)
}
