//! Where downloaded files lie: the layout of Python's `huggingface_hub` (its guide "Understand caching").

use crate::id::ModelId;
use std::io;
use std::path::{Path, PathBuf};

/// A folder of models: for each `blobs/` by hash, `snapshots/<commit>/` that point to them, and `refs/`.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache that the environment names: `HF_HUB_CACHE`, `HF_HOME/hub`, or `~/.cache/huggingface/hub`.
    pub fn from_environment() -> Self {
        let root = path_of("HF_HUB_CACHE").unwrap_or_else(|| home().join("hub"));
        Self::at(root)
    }

    /// A cache in a folder, which need not exist.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
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
        let path = self.model(id).join("refs").join(&id.revision);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        std::fs::write(path, commit)
    }

    /// Makes a file of a commit's snapshot from its blob.
    pub(crate) fn link(
        &self,
        id: &ModelId,
        commit: &str,
        name: &str,
        hash: &str,
    ) -> io::Result<()> {
        let path = self.snapshot(id, commit).join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        link_or_copy(&self.blob(id, hash), &path, name.split('/').count())
    }
}

/// A relative link, so that the cache can be moved; `depth` folders below the snapshot's parent.
#[cfg(unix)]
fn link_or_copy(blob: &Path, path: &Path, depth: usize) -> io::Result<()> {
    let hash = blob.file_name().unwrap_or_default();
    let up: PathBuf = std::iter::repeat_n("..", depth + 1).collect();
    std::os::unix::fs::symlink(up.join("blobs").join(hash), path)
}

#[cfg(not(unix))]
fn link_or_copy(blob: &Path, path: &Path, _depth: usize) -> io::Result<()> {
    std::fs::copy(blob, path).map(|_| ())
}

fn path_of(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// `HF_HOME`, which also holds the token.
pub(crate) fn home() -> PathBuf {
    let user = || {
        path_of("HOME")
            .or_else(|| path_of("USERPROFILE"))
            .unwrap_or_default()
    };
    let caches = || path_of("XDG_CACHE_HOME").unwrap_or_else(|| user().join(".cache"));
    path_of("HF_HOME").unwrap_or_else(|| caches().join("huggingface"))
}
