//! All tasks of a plan on one machine: a child process each, so many at a time, one a device.

use crate::{BatchError, Exit};
use dreamfuse_core::files::{FileError, create_folder};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Times that a task is started again after a lost device or a full disk.
const RETRIES: usize = 3;

/// How long a task waits that another process has, or that made no progress.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a thread without a task waits before it looks again.
const IDLE: Duration = Duration::from_millis(50);

/// Starts children and waits for them.
pub struct Supervisor {
    /// This program.
    pub program: PathBuf,
    /// Its arguments, to which `--index I` is added.
    pub arguments: Vec<OsString>,
    /// Folder for what the children say, a file a task.
    pub logs: PathBuf,
    /// Devices that children see, by `CUDA_VISIBLE_DEVICES`: child number i of those that run takes the i-th. Empty on
    /// a CPU.
    pub devices: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Task>,
    /// Of the children, by task.
    running: BTreeMap<u64, Pid>,
    is_stopping: bool,
}

struct Task {
    index: u64,
    retries: usize,
    not_before: Instant,
}

/// How a child ended.
#[derive(Clone, Debug)]
pub struct Supervised {
    pub index: u64,
    /// `None` when a signal killed it.
    pub exit: Option<Exit>,
    pub seconds: f64,
    /// Whether it is started again.
    pub comes_again: bool,
}

impl Supervisor {
    /// For tasks `indices` of a program.
    pub fn new(
        program: PathBuf,
        arguments: Vec<OsString>,
        logs: PathBuf,
        indices: impl Iterator<Item = u64>,
    ) -> Self {
        let waiting = indices.map(|index| Task {
            index,
            retries: 0,
            not_before: Instant::now(),
        });
        let state = State {
            waiting: waiting.collect(),
            ..State::default()
        };
        Self {
            program,
            arguments,
            logs,
            devices: Vec::new(),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the children to save their state and end, and starts no more.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.is_stopping = true;
        for child in state.running.values() {
            let _ = kill_process(*child, Signal::TERM); // it may have ended
        }
    }

    /// Runs all tasks, `jobs` at a time; `hear` is told of each end. The exit of the whole: that of the first task that
    /// failed, if one did.
    ///
    /// # Errors
    /// When no child can be started.
    pub fn run(
        &self,
        jobs: usize,
        hear: &(dyn Fn(&Supervised) + Sync),
    ) -> Result<Exit, BatchError> {
        create_folder(&self.logs)?;
        let ends = Mutex::new(Vec::new());
        let slot = |number: usize| -> Result<(), BatchError> {
            while let Some(task) = self.next() {
                let ended = self.run_one(&task, number)?;
                hear(&ended);
                if ended.exit == Some(Exit::Unavailable) && !self.devices.is_empty() {
                    // The device is to blame, not the task: others take it.
                    self.lock().waiting.push_front(task);
                    return Ok(());
                }
                if ended.comes_again {
                    self.lock().waiting.push_back(Task {
                        index: task.index,
                        retries: task.retries + usize::from(ended.exit != Some(Exit::Saved)),
                        not_before: Instant::now() + PAUSE,
                    });
                } else {
                    let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
                    ends.push(ended.exit);
                }
            }
            Ok(())
        };
        let slots: Vec<Result<(), BatchError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..jobs)
                .map(|number| scope.spawn(move || slot(number)))
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended
                .map(|end| end.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        slots.into_iter().collect::<Result<(), _>>()?;
        {
            let state = self.lock();
            if state.is_stopping {
                return Ok(Exit::Saved);
            }
            if !state.waiting.is_empty() {
                return Ok(Exit::Unavailable); // no device is left
            }
        }
        let ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
        let failed = ends.iter().find(|exit| **exit != Some(Exit::Done));
        Ok(failed.map_or(Exit::Done, |exit| exit.unwrap_or(Exit::Failed)))
    }

    /// The next task that may start now; `None` when there is nothing left for this thread to do.
    fn next(&self) -> Option<Task> {
        loop {
            let wait = {
                let mut state = self.lock();
                if state.is_stopping {
                    return None;
                }
                let now = Instant::now();
                let ready = state.waiting.iter().position(|task| task.not_before <= now);
                if let Some(index) = ready {
                    return state.waiting.remove(index);
                }
                match state.waiting.iter().map(|task| task.not_before).min() {
                    Some(first) => first - now,
                    // One of those that run may come again.
                    None if !state.running.is_empty() => IDLE,
                    None => return None,
                }
            };
            std::thread::sleep(wait.min(PAUSE));
        }
    }

    fn run_one(&self, task: &Task, slot: usize) -> Result<Supervised, BatchError> {
        let start = Instant::now();
        let mut command = self.command(task.index, slot)?;
        let mut state = self.lock();
        let mut child = command.spawn().map_err(|source| BatchError::Start {
            program: self.program.display().to_string(),
            source,
        })?;
        let pid = Pid::from_child(&child);
        state.running.insert(task.index, pid);
        if state.is_stopping {
            let _ = kill_process(pid, Signal::TERM);
        }
        drop(state);
        let code = child.wait().ok().and_then(|status| status.code());
        let mut state = self.lock();
        state.running.remove(&task.index);
        let exit = code.and_then(Exit::of_code);
        Ok(Supervised {
            index: task.index,
            exit,
            seconds: start.elapsed().as_secs_f64(),
            comes_again: !state.is_stopping && comes_again(exit, task.retries),
        })
    }

    fn command(&self, index: u64, slot: usize) -> Result<Command, BatchError> {
        let path = self.logs.join(format!("task-{index:05}.log"));
        let logs = || -> io::Result<(File, File)> {
            let log = OpenOptions::new().create(true).append(true).open(&path)?;
            Ok((log.try_clone()?, log))
        };
        let (out, err) = logs().map_err(|source| FileError::Write {
            path: path.clone(),
            source,
        })?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .args(["--index", &index.to_string()])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        if let Some(device) = self.devices.get(slot % self.devices.len().max(1)) {
            command.env("CUDA_VISIBLE_DEVICES", device);
        }
        Ok(command)
    }
}

/// Whether an exit asks for another start. One that a signal killed is tried again too: memory may have run out.
fn comes_again(exit: Option<Exit>, retries: usize) -> bool {
    match exit {
        // The program counts its attempts, and gives up with another code.
        Some(Exit::Saved) => true,
        Some(Exit::Unavailable | Exit::Disk) | None => retries < RETRIES,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(script: &str, tasks: u64, folder: &std::path::Path) -> Supervisor {
        let arguments = ["-c".into(), script.into(), folder.into()];
        Supervisor::new("sh".into(), arguments.into(), folder.join("logs"), 0..tasks)
    }

    /// The children of a test: `$0` is the folder, `$2` the index.
    fn run(script: &str, tasks: u64, jobs: usize) -> (Exit, Vec<Supervised>) {
        let folder = tempfile::tempdir().unwrap();
        let heard = Mutex::new(Vec::new());
        let hear = |end: &Supervised| heard.lock().unwrap().push(end.clone());
        let exit = supervisor(script, tasks, folder.path())
            .run(jobs, &hear)
            .unwrap();
        (exit, heard.into_inner().unwrap())
    }

    #[test]
    fn every_task_runs_once_and_failures_are_told() {
        let (exit, heard) = run("exit 0", 7, 3);
        let mut indices: Vec<u64> = heard.iter().map(|end| end.index).collect();
        indices.sort_unstable();
        assert_eq!((exit, indices), (Exit::Done, (0..7).collect()));
        let (exit, heard) = run("[ $2 = 1 ] && exit 65; exit 0", 3, 1);
        assert_eq!((exit, heard.len()), (Exit::BadInput, 3));
    }

    #[test]
    fn what_was_saved_goes_on_and_what_was_lost_is_tried_a_few_times() {
        let (exit, heard) = run(
            "[ -e $0/once$2 ] || { touch $0/once$2; exit 75; }; exit 0",
            2,
            2,
        );
        assert_eq!((exit, heard.len()), (Exit::Done, 4));
        let (exit, heard) = run("kill -KILL $$", 1, 1);
        assert_eq!((exit, heard.len()), (Exit::Failed, 1 + RETRIES));
    }

    #[test]
    fn a_device_that_fails_is_left_alone_and_its_tasks_go_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let script = "[ $CUDA_VISIBLE_DEVICES = 1 ] && exit 69; sleep 0.05; exit 0";
        let mut supervisor = supervisor(script, 6, folder.path());
        supervisor.devices = vec!["0".into(), "1".into()];
        let failed = Mutex::new(0);
        let hear =
            |end: &Supervised| *failed.lock().unwrap() += usize::from(end.exit != Some(Exit::Done));
        assert_eq!(supervisor.run(2, &hear).unwrap(), Exit::Done);
        assert_eq!(*failed.lock().unwrap(), 1);
        let mut none = self::supervisor("exit 69", 6, folder.path());
        none.devices = vec!["0".into(), "1".into()];
        assert_eq!(none.run(2, &|_| {}).unwrap(), Exit::Unavailable);
    }

    #[test]
    fn a_stop_reaches_the_children_and_no_more_are_started() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap 'touch $0/stopped$2; exit 75' TERM; touch $0/started$2; sleep 30 & wait $!; exit 0";
        let supervisor = supervisor(script, 9, folder.path());
        let is_there = |name: &str| folder.path().join(name).exists();
        let exit = std::thread::scope(|scope| {
            let run = scope.spawn(|| supervisor.run(2, &|_| {}));
            let start = Instant::now();
            while !(is_there("started0") && is_there("started1")) {
                assert!(
                    start.elapsed() < Duration::from_secs(20),
                    "no child started"
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            supervisor.stop();
            run.join().unwrap().unwrap()
        });
        assert_eq!(exit, Exit::Saved);
        assert!(is_there("stopped0") && is_there("stopped1") && !is_there("started2"));
    }
}
