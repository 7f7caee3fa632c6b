//! Work on a node's own disk: copied to the shared folder at every checkpoint, and at the end.

use crate::published::results;
use dreamfuse_core::files::{FileError, create_folder, read, write_atomically};
use dreamfuse_engine::{EngineError, RunConfig, RunFolder};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A run's folder on this node's disk, and its home on the shared one.
#[derive(Clone, Debug)]
pub(crate) struct Scratch {
    pub local: RunFolder,
    home: PathBuf,
    /// Held while files are copied: a signal's thread and the run's do it.
    copying: Arc<Mutex<()>>,
}

impl Scratch {
    /// A folder under `parent` for a run, with the checkpoints that its home has.
    ///
    /// # Errors
    /// When a file cannot be read or written, or another process works there.
    pub fn create(
        parent: &Path,
        home: &RunFolder,
        config: &RunConfig,
    ) -> Result<Self, EngineError> {
        let name = home.root().file_name().unwrap_or_default();
        let root = parent.join(format!(
            "dreamfuse-{}-{}",
            name.to_string_lossy(),
            std::process::id()
        ));
        // Left by a kill: all that counts of it is at home, and the numbers of processes come again.
        if root.exists() && !RunFolder::is_in_use(&root) {
            let _ = std::fs::remove_dir_all(&root); // a new folder cannot be made there then
        }
        let scratch = Self {
            local: RunFolder::create(&root, config)?,
            home: home.root().to_owned(),
            copying: Arc::default(),
        };
        for path in home.list_checkpoints() {
            copy(&path, &scratch.local.root().join("checkpoints"))?;
        }
        let events = scratch.home.join("events.jsonl");
        if events.exists() {
            copy(&events, scratch.local.root())?;
        }
        Ok(scratch)
    }

    /// Copies the newest checkpoint home; older ones there are removed as they are here.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn bring_checkpoints(&self) -> Result<(), FileError> {
        let _alone = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.home.join("checkpoints");
        create_folder(&there)?;
        let local = self.local.list_checkpoints();
        for (age, path) in local.iter().enumerate() {
            // The newest one in any case: a damaged one of its step may be there.
            if age == 0 || !there.join(path.file_name().unwrap_or_default()).exists() {
                copy(path, &there)?;
            }
        }
        for entry in std::fs::read_dir(&there).into_iter().flatten().flatten() {
            let is_kept = local
                .iter()
                .any(|path| path.file_name() == Some(&entry.file_name()));
            if !is_kept {
                let _ = std::fs::remove_file(entry.path()); // a stale checkpoint does no harm
            }
        }
        let events = self.local.root().join("events.jsonl");
        if events.exists() {
            copy(&events, &self.home)?;
        }
        Ok(())
    }

    /// Copies everything home.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn bring_all(&self) -> Result<(), FileError> {
        self.bring_checkpoints()?;
        for name in results(self.local.root())? {
            copy(&self.local.root().join(name), &self.home)?;
        }
        let previews = self.local.root().join("previews");
        create_folder(&self.home.join("previews"))?;
        for entry in std::fs::read_dir(previews).into_iter().flatten().flatten() {
            copy(&entry.path(), &self.home.join("previews"))?;
        }
        Ok(())
    }

    /// Removes the folder, of which all that counts is at home.
    pub fn remove(&self) {
        let _ = std::fs::remove_dir_all(self.local.root()); // the node's own cleaning removes it else
    }
}

/// Copies a file into a folder: it is whole there, or absent.
fn copy(from: &Path, folder: &Path) -> Result<(), FileError> {
    let bytes = read(from)?;
    write_atomically(&folder.join(from.file_name().unwrap_or_default()), &bytes)
}
