//! A run's folder: configuration, events, checkpoints, images, meshes.

use crate::EngineError;
use crate::config::RunConfig;
use crate::event::{Event, Line};
use crate::prior_source::absolute;
use dreamfuse_core::files::{FileError, create_folder, read, write_atomically};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Regular checkpoints that are kept: the newest, and one to fall back on.
const KEPT: usize = 2;

/// Locked by the process that writes to the folder; it holds that process's name.
const LOCK: &str = ".lock";

/// Paths of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
    /// Locked as long as a process writes to the folder.
    claim: Option<Arc<File>>,
}

impl RunFolder {
    /// Says that a new run cannot go there, before anything heavy is done for it.
    ///
    /// # Errors
    /// When it is a file, or a folder with anything in it but what a killed start left.
    pub fn check_free(root: &Path) -> Result<(), EngineError> {
        let is_taken = std::fs::read_dir(root).map_or_else(
            |_| root.exists(),
            |entries| entries.flatten().any(|entry| !is_remnant(&entry.path())),
        );
        if is_taken {
            Err(EngineError::FolderTaken(root.to_owned()))
        } else {
            Ok(())
        }
    }

    /// A new folder with the run's configuration in it.
    ///
    /// # Errors
    /// When it is a file or a folder that is not empty, or cannot be written.
    pub fn create(root: &Path, config: &RunConfig) -> Result<Self, EngineError> {
        Self::check_free(root)?;
        create_folder(root)?;
        let folder = Self {
            root: root.to_owned(),
            claim: None,
        };
        let folder = folder.claim()?;
        // Another run may have begun and ended meanwhile.
        Self::check_free(root)?;
        create_folder(&folder.checkpoints())?;
        create_folder(&folder.previews())?;
        let mut config = config.clone();
        if let Some(picture) = &mut config.reference.picture {
            *picture = folder.keep(picture)?;
        }
        folder.save_config(&config)?;
        Ok(folder)
    }

    /// A new folder under `parent`, named for the prompt and numbered where the name is taken.
    ///
    /// # Errors
    /// As [`RunFolder::create`].
    pub fn create_under(parent: &Path, config: &RunConfig) -> Result<Self, EngineError> {
        create_folder(parent)?;
        let name = slug(&config.title());
        let mut root = parent.join(&name);
        for number in 2.. {
            // One atomic step claims the name: others may start with the same prompt.
            match std::fs::create_dir(&root) {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    root = parent.join(format!("{name}-{number}"));
                }
                Err(source) => return Err(FileError::Write { path: root, source }.into()),
            }
        }
        Self::create(&root, config)
    }

    /// The folder of an earlier run, and its configuration.
    ///
    /// # Errors
    /// When there is none, or its configuration cannot be read.
    pub fn open(root: &Path) -> Result<(Self, RunConfig), EngineError> {
        let folder = Self {
            root: root.to_owned(),
            claim: None,
        };
        if !folder.config_path().is_file() {
            return Err(EngineError::NoRun(root.to_owned()));
        }
        let mut config = RunConfig::load(&folder.config_path())?;
        if let Some(picture) = &mut config.reference.picture {
            *picture = absolute(&folder.root.join(&*picture));
        }
        Ok((folder, config))
    }

    /// The same, kept from other processes until it is dropped. Where the file system has no locks, it is not kept.
    ///
    /// # Errors
    /// When another process has it; the message says which.
    pub fn claim(self) -> Result<Self, EngineError> {
        let path = self.root.join(LOCK);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let mut file = opened.map_err(|source| FileError::Write {
            path: path.clone(),
            source,
        })?;
        match try_lock(&file) {
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                let _ = file.read_to_string(&mut by); // it only names the other process
                let by = if by.is_empty() {
                    "another process".into()
                } else {
                    by
                };
                let path = self.root;
                return Err(EngineError::InUse { path, by });
            }
            Err(TryLockError::Error(_)) => return Ok(self),
            Ok(()) => {}
        }
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(process_name().as_bytes())); // as above
        Ok(Self {
            claim: Some(Arc::new(file)),
            ..self
        })
    }

    /// Whether this process keeps others from it: not every file system has locks.
    pub fn has_lock(&self) -> bool {
        self.claim.is_some()
    }

    /// Whether a process writes to a folder now, as far as locks tell.
    pub fn is_in_use(root: &Path) -> bool {
        let lock = File::open(root.join(LOCK));
        lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn config_path(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_config(&self, config: &RunConfig) -> Result<(), EngineError> {
        let mut config = config.clone();
        if let Some(picture) = &mut config.reference.picture {
            // What lies in the folder moves with it.
            let kept = picture
                .strip_prefix(absolute(&self.root))
                .map(Path::to_owned);
            *picture = kept.unwrap_or_else(|_| picture.clone());
        }
        let text = config.to_toml();
        Ok(write_atomically(&self.config_path(), text.as_bytes())?)
    }

    /// Copies a run's picture into the folder, so that a run that goes on sees the same one; its name there.
    fn keep(&self, picture: &Path) -> Result<PathBuf, EngineError> {
        // Under its own name, which is the run's where there is no prompt.
        let folder = Path::new("picture");
        create_folder(&self.root.join(folder))?;
        let name = folder.join(picture.file_name().unwrap_or_default());
        write_atomically(&self.root.join(&name), &read(picture)?)?;
        Ok(name)
    }

    fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    fn previews(&self) -> PathBuf {
        self.root.join("previews")
    }

    /// Where the checkpoint of a step goes.
    pub(crate) fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.checkpoints()
            .join(format!("step-{step:07}.checkpoint"))
    }

    /// Where the mesh of the second stage goes.
    pub fn refined_path(&self) -> PathBuf {
        self.root.join("refined.mesh")
    }

    /// Where the preview of a step goes.
    pub(crate) fn preview_path(&self, step: u64) -> PathBuf {
        self.previews().join(format!("step-{step:07}.png"))
    }

    /// The step of the newest checkpoint, whole or not.
    pub fn newest_step(&self) -> Option<u64> {
        self.list_checkpoints()
            .first()
            .and_then(|path| step_of(path))
    }

    /// Checkpoints, newest first.
    pub fn list_checkpoints(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.checkpoints())
            .into_iter()
            .flatten()
            .flatten();
        let is_checkpoint = |path: &PathBuf| path.extension().is_some_and(|e| e == "checkpoint");
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(is_checkpoint)
            .collect();
        paths.sort();
        paths.reverse();
        paths
    }

    /// What `read` makes of the newest checkpoint that it can read; a warning tells of those it cannot.
    ///
    /// # Errors
    /// When there is no checkpoint, or none that can be read: the newest one's trouble is what the user
    /// has to know.
    pub(crate) fn newest_whole<T>(
        &self,
        mut read: impl FnMut(&Path) -> Result<T, EngineError>,
        warn: &mut dyn FnMut(String),
    ) -> Result<T, EngineError> {
        let mut failures = Vec::new();
        for path in self.list_checkpoints() {
            match read(&path) {
                Ok(found) => {
                    failures
                        .iter()
                        .for_each(|failure: &EngineError| warn(failure.to_string()));
                    return Ok(found);
                }
                Err(failure) => failures.push(failure),
            }
        }
        let none = || EngineError::NoCheckpoint(self.root.clone());
        Err(failures.into_iter().next().unwrap_or_else(none))
    }

    /// Removes checkpoints of later steps than this one.
    pub(crate) fn forget_after(&self, step: u64) {
        let later = self.list_checkpoints().into_iter();
        for path in later.filter(|path| step_of(path).is_some_and(|found| found > step)) {
            let _ = std::fs::remove_file(path); // the next checkpoint of its step replaces it
        }
    }

    /// Renames checkpoints of later steps than this one, so that they are none any more.
    pub(crate) fn put_aside_after(&self, step: u64) {
        let later = self.list_checkpoints().into_iter();
        for path in later.filter(|path| step_of(path).is_some_and(|found| found > step)) {
            let _ = std::fs::rename(&path, path.with_extension("checkpoint-damaged")); // it is only the log's newest
        }
    }

    /// Checkpoints of every `every`-th step, newest first: not those of interruptions.
    pub(crate) fn regular_checkpoints(&self, every: u64) -> Vec<PathBuf> {
        let is_regular =
            |path: &PathBuf| step_of(path).is_some_and(|step| step.is_multiple_of(every));
        self.list_checkpoints()
            .into_iter()
            .filter(is_regular)
            .collect()
    }

    /// Removes checkpoints that are no longer needed: all but the newest, and the newest regular ones.
    pub(crate) fn prune_checkpoints(&self, every: u64) {
        let regular = self.regular_checkpoints(every);
        let is_kept = |path: &PathBuf| regular.iter().take(KEPT).any(|kept| kept == path);
        for path in self
            .list_checkpoints()
            .into_iter()
            .skip(1)
            .filter(|path| !is_kept(path))
        {
            let _ = std::fs::remove_file(path); // a stale checkpoint does no harm
        }
    }

    /// Appends a line to `events.jsonl`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn log(&self, event: &Event) -> Result<(), EngineError> {
        let path = self.root.join("events.jsonl");
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let line = Line {
            time: now.map_or(0.0, |now| now.as_secs_f64()),
            version: env!("CARGO_PKG_VERSION"),
            event,
        };
        let line = serde_json::to_string(&line).expect("events are plain data") + "\n";
        let append = || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)?
                .write_all(line.as_bytes())
        };
        append().map_err(|source| {
            FileError::Write {
                path: path.clone(),
                source,
            }
            .into()
        })
    }
}

/// How often a lock is tried for, and how long is waited between: whoever looks whether a folder is in use holds its lock for
/// an instant.
const TRIES: usize = 5;
const BETWEEN: Duration = Duration::from_millis(20);

fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN),
            other => return other,
        }
    }
    file.try_lock()
}

/// This process as others can find it.
pub fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("process {} on {}", std::process::id(), host.trim())
}

/// The step of a checkpoint, by its name.
fn step_of(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    stem.strip_prefix("step-")?.parse().ok()
}

/// Whether it is what a kill within [`RunFolder::create`] leaves behind: an empty folder, or a configuration that is not whole.
fn is_remnant(path: &Path) -> bool {
    let is_empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_empty || name == LOCK || name.starts_with(".config.toml.partial-")
}

/// A prompt as a folder name: lower-case letters and digits with hyphens.
fn slug(prompt: &str) -> String {
    let words = prompt.to_lowercase();
    let words = words
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let slug: String = words
        .collect::<Vec<_>>()
        .join("-")
        .chars()
        .take(60)
        .collect();
    if slug.is_empty() { "run".into() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_for_the_prompt_and_never_taken_over() {
        let parent = tempfile::tempdir().unwrap();
        let config = RunConfig {
            prompt: "A Squirrel, at an easel!".into(),
            ..Default::default()
        };
        let first = RunFolder::create_under(parent.path(), &config).unwrap();
        assert!(first.root().ends_with("a-squirrel-at-an-easel"));
        let second = RunFolder::create_under(parent.path(), &config).unwrap();
        assert!(second.root().ends_with("a-squirrel-at-an-easel-2"));
        assert!(matches!(
            RunFolder::create(first.root(), &config),
            Err(EngineError::FolderTaken(_))
        ));
        assert_eq!(RunFolder::open(first.root()).unwrap().1, config);
        assert!(matches!(
            RunFolder::open(parent.path()),
            Err(EngineError::NoRun(_))
        ));
    }

    #[test]
    fn a_folder_in_use_is_refused_until_it_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("run");
        let config = RunConfig::default();
        let first = RunFolder::create(&root, &config).unwrap();
        let (second, _) = RunFolder::open(&root).unwrap();
        let refused = second.claim().unwrap_err().to_string();
        let own = format!("process {}", std::process::id());
        assert!(refused.contains(&own), "{refused}");
        drop(first);
        let (third, _) = RunFolder::open(&root).unwrap();
        assert!(third.claim().is_ok());
    }

    #[test]
    fn what_a_kill_left_of_a_new_folder_is_no_run_and_in_nobodys_way() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("run");
        std::fs::create_dir_all(root.join("checkpoints")).unwrap();
        std::fs::write(root.join(".config.toml.partial-7"), "promp").unwrap();
        assert!(matches!(RunFolder::open(&root), Err(EngineError::NoRun(_))));
        RunFolder::create(&root, &RunConfig::default()).unwrap();
        assert!(RunFolder::open(&root).is_ok());
        let other = parent.path().join("other");
        std::fs::create_dir_all(other.join("checkpoints/kept")).unwrap();
        assert!(matches!(
            RunFolder::create(&other, &RunConfig::default()),
            Err(EngineError::FolderTaken(_))
        ));
    }
}
