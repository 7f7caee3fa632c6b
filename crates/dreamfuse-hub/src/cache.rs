//! Where downloaded files lie: the layout of Python's `huggingface_hub` (its guide "Understand caching").

use crate::id::ModelId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of models: for each `blobs/` by hash, `snapshots/<commit>/` that point to them, and `refs/`. Other processes may
/// use it at the same time: what is right already is left alone, and what is written gets its name in one step.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    has_links: bool,
}

impl Cache {
    /// A cache in a folder, which need not exist.
    pub fn at(root: PathBuf) -> Self {
        Self {
            root,
            has_links: true,
        }
    }

    /// The same with copies in place of symbolic links.
    #[must_use]
    pub fn without_links(self) -> Self {
        Self {
            has_links: false,
            ..self
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn model(&self, id: &ModelId) -> PathBuf {
        self.root.join(format!("models--{}--{}", id.owner, id.name))
    }

    pub(crate) fn blob(&self, id: &ModelId, hash: &str) -> PathBuf {
        self.model(id).join("blobs").join(hash)
    }

    /// The files of a commit.
    pub fn snapshot(&self, id: &ModelId, commit: &str) -> PathBuf {
        self.model(id).join("snapshots").join(commit)
    }

    /// The commit that the model's revision was when it was last asked for.
    pub(crate) fn commit(&self, id: &ModelId) -> Option<String> {
        if id.is_pinned() {
            return Some(id.revision.clone());
        }
        let commit =
            std::fs::read_to_string(self.model(id).join("refs").join(&id.revision)).ok()?;
        Some(commit.trim().to_owned())
    }

    pub(crate) fn remember_commit(&self, id: &ModelId, commit: &str) -> io::Result<()> {
        if id.is_pinned() {
            return Ok(());
        }
        if self.commit(id).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.model(id).join("refs").join(&id.revision);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        aside(&path, |path| std::fs::write(path, commit))
    }

    /// Whether a snapshot's file lies there itself, as `huggingface_hub` moves it where there are no links: without a blob.
    pub(crate) fn has_file(&self, id: &ModelId, commit: &str, name: &str, size: u64) -> bool {
        let found = std::fs::symlink_metadata(self.snapshot(id, commit).join(name));
        found.is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Makes a file of a commit's snapshot from its blob, unless it is there.
    pub(crate) fn link(
        &self,
        id: &ModelId,
        commit: &str,
        name: &str,
        hash: &str,
    ) -> io::Result<()> {
        let path = self.snapshot(id, commit).join(name);
        let blob = self.blob(id, hash);
        if is_made_of(&path, &blob) {
            return Ok(());
        }
        std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        // Relative, so that the cache can be moved.
        let up: PathBuf = std::iter::repeat_n("..", name.split('/').count() + 1).collect();
        let target = up.join("blobs").join(hash);
        if self.has_links && aside(&path, |path| symlink(&target, path)).is_ok() {
            return Ok(());
        }
        // A file system without symbolic links.
        aside(&path, |path| std::fs::copy(&blob, path).map(drop))
    }
}

/// Whether a snapshot's file is its blob, or as large a copy of it.
fn is_made_of(path: &Path, blob: &Path) -> bool {
    if let Ok(target) = std::fs::read_link(path) {
        return target.file_name() == blob.file_name() && path.exists();
    }
    let length = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.len()).ok();
    length(path).is_some() && length(path) == length(blob)
}

/// Makes a file under another name, then gives it its own in one step.
fn aside(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let other = path.with_file_name(format!(".{name}.{}-{number}", std::process::id()));
    let made = make(&other).and_then(|()| std::fs::rename(&other, path));
    if made.is_err() {
        let _ = std::fs::remove_file(&other); // the error is told; this is what is left of it
    }
    made
}

#[cfg(unix)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_made_once_and_a_copy_where_links_are_not_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let id = ModelId::parse("a/b").unwrap();
        for (name, cache) in [
            ("links", Cache::at(folder.path().join("links"))),
            (
                "copies",
                Cache::at(folder.path().join("copies")).without_links(),
            ),
        ] {
            let blob = cache.blob(&id, "12ab");
            std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
            std::fs::write(&blob, "weights").unwrap();
            let path = cache.snapshot(&id, "c0").join("unet/x.safetensors");
            cache.link(&id, "c0", "unet/x.safetensors", "12ab").unwrap();
            let made = std::fs::symlink_metadata(&path).unwrap();
            assert_eq!(made.is_symlink(), name == "links");
            assert_eq!(std::fs::read(&path).unwrap(), b"weights");
            let before = made.modified().unwrap();
            cache.link(&id, "c0", "unet/x.safetensors", "12ab").unwrap();
            let after = std::fs::symlink_metadata(&path)
                .unwrap()
                .modified()
                .unwrap();
            assert_eq!(before, after, "{name} are made anew");
            cache.remember_commit(&id, "c0").unwrap();
            assert_eq!(cache.commit(&id).as_deref(), Some("c0"));
            let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
            assert_eq!(left, 1, "something is left over");
        }
    }
}
