//! What has come of a file so far.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file under a name of this process alone: where locks do not work, or work on one machine only, two processes must not write to
/// one file. What an earlier try left is taken over by renaming it, which one process alone can do.
pub(crate) struct Partial {
    pub file: File,
    path: PathBuf,
    /// Where it is left when it is given up.
    left: PathBuf,
    is_done: bool,
    /// Held while the file is fetched, so that others wait instead of fetching it too.
    _lock: Option<File>,
}

const ENDING: &str = "incomplete";

impl Partial {
    /// Of the blob `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        let lock = lock(path);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let start = format!("{}.{}-", path.display(), host());
        let own = PathBuf::from(format!("{start}{}-{number}.{ENDING}", std::process::id()));
        let left = PathBuf::from(format!("{}.{ENDING}", path.display()));
        let mut earlier = std::iter::once(left.clone()).chain(orphans(path, &start));
        let _ = earlier.any(|earlier| std::fs::rename(earlier, &own).is_ok());
        let file = OpenOptions::new().create(true).append(true).open(&own)?;
        Ok(Self {
            file,
            path: own,
            left,
            is_done: false,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the whole file its name.
    pub(crate) fn finish(mut self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, path)?;
        self.is_done = true;
        Ok(())
    }

    /// Removes it.
    pub(crate) fn discard(mut self) -> io::Result<()> {
        self.is_done = true;
        std::fs::remove_file(&self.path)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = std::fs::rename(&self.path, &self.left); // the next try goes on from it, or begins anew
        }
    }
}

/// The lock of a blob, where Python's `huggingface_hub` has it too; none where the file system has no locks, or cannot be written.
fn lock(blob: &Path) -> Option<File> {
    let model = blob.parent()?.parent()?;
    let folder = model.parent()?.join(".locks").join(model.file_name()?);
    std::fs::create_dir_all(&folder).ok()?;
    let name = format!("{}.lock", blob.file_name()?.to_string_lossy());
    let options = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(name));
    let file = options.ok()?;
    file.lock().ok()?;
    Some(file)
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '.';
    name.chars().filter(is_plain).collect()
}

/// Files that processes of this machine left which are not there any more.
fn orphans(blob: &Path, start: &str) -> Vec<PathBuf> {
    let entries = blob.parent().map(std::fs::read_dir);
    let entries = entries.into_iter().flatten().flatten().flatten();
    let is_orphan = |path: &PathBuf| {
        let name = path.to_string_lossy();
        let process = name
            .strip_prefix(start)
            .and_then(|rest| rest.split('-').next());
        let is_alive = |process: &str| Path::new("/proc").join(process).exists();
        name.ends_with(ENDING) && process.is_some_and(|process| !is_alive(process))
    };
    if !Path::new("/proc/self").exists() {
        return Vec::new();
    }
    entries
        .map(|entry| entry.path())
        .filter(is_orphan)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_given_up_is_gone_on_with_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let blob = folder.path().join("models--a--b/blobs/12ab");
        let mut first = Partial::open(&blob).unwrap();
        first.file.write_all(b"one").unwrap();
        drop(first);
        let mut second = Partial::open(&blob).unwrap();
        assert_eq!(second.file.metadata().unwrap().len(), 3);
        second.file.write_all(b"two").unwrap();
        second.finish(&blob).unwrap();
        assert_eq!(std::fs::read(&blob).unwrap(), b"onetwo");
        let third = Partial::open(&blob).unwrap();
        assert_eq!(third.file.metadata().unwrap().len(), 0);
        third.discard().unwrap();
        let left = std::fs::read_dir(blob.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_killed_process_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let blob = folder.path().join("models--a--b/blobs/12ab");
        std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
        let name = |process: u32| format!("{}.{}-{process}-0.{ENDING}", blob.display(), host());
        std::fs::write(name(4_000_000_000), b"dead").unwrap();
        std::fs::write(name(std::process::id()), b"alive").unwrap();
        let partial = Partial::open(&blob).unwrap();
        assert_eq!(partial.file.metadata().unwrap().len(), 4);
        assert!(Path::new(&name(std::process::id())).exists());
    }
}
