//! `result.json` of a run's folder: it is renamed into place when all files of a result are whole, and says what they are.

use dreamfuse_core::files::{FileError, hex, read, write_atomically};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

const NAME: &str = "result.json";

/// Files of a run's folder that are no results.
const OTHERS: [&str; 4] = ["config.toml", "events.jsonl", "attempts.jsonl", NAME];

/// A result that is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Of its item.
    pub key: String,
    pub steps: u64,
    /// Of all attempts that recorded their end, and the last.
    pub seconds: f64,
    /// SHA-256 of each file.
    pub files: BTreeMap<String, String>,
}

impl Published {
    /// What a folder says, whether its files are right or not.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read(folder.join(NAME)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether a folder holds the result of an item, with every file as it was published.
    pub fn is_whole(folder: &Path, key: &str) -> bool {
        Self::read(folder).is_some_and(|published| {
            let is_as_published = |(name, hash): (&String, &String)| {
                is_plain(name) && digest(&folder.join(name)).ok().as_ref() == Some(hash)
            };
            published.key == key && published.files.iter().all(is_as_published)
        })
    }

    /// Publishes the files that lie in a folder.
    ///
    /// # Errors
    /// When one cannot be read, or the disk is full.
    pub fn publish(folder: &Path, key: &str, steps: u64, seconds: f64) -> Result<Self, FileError> {
        let mut files = BTreeMap::new();
        for name in results(folder)? {
            let hash = digest(&folder.join(&name))?;
            files.insert(name, hash);
        }
        let published = Self {
            key: key.to_owned(),
            steps,
            seconds,
            files,
        };
        let text = serde_json::to_string_pretty(&published).expect("it is plain data");
        write_atomically(&folder.join(NAME), (text + "\n").as_bytes())?;
        Ok(published)
    }
}

/// The names of the files of a result.
pub(crate) fn results(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = std::fs::read_dir(folder).map_err(|source| FileError::Read {
        path: folder.to_owned(),
        source,
    })?;
    let files = entries.flatten().filter(|entry| entry.path().is_file());
    let names = files.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names
        .filter(|name| !name.starts_with('.') && !OTHERS.contains(&name.as_str()))
        .collect())
}

/// Whether a name is that of a file in its folder, not a path out of it.
fn is_plain(name: &str) -> bool {
    Path::new(name).file_name() == Some(name.as_ref())
}

fn digest(path: &Path) -> Result<String, FileError> {
    let bytes = read(path)?;
    Ok(hex(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_whole_until_a_file_of_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let is_whole = || Published::is_whole(folder.path(), "k");
        for name in ["mesh.glb", "config.toml", ".lock"] {
            write(name, "x");
        }
        assert!(!is_whole());
        let published = Published::publish(folder.path(), "k", 9, 2.5).unwrap();
        assert_eq!(published.files.keys().collect::<Vec<_>>(), ["mesh.glb"]);
        assert_eq!(Published::read(folder.path()), Some(published));
        assert!(is_whole() && !Published::is_whole(folder.path(), "other"));
        write("config.toml", "y");
        assert!(is_whole());
        write("mesh.glb", "y");
        assert!(!is_whole());
        // A file outside, with its right hash.
        let hash = digest(&folder.path().join("mesh.glb")).unwrap();
        let outside = folder.path().join("mesh.glb").display().to_string();
        for name in [outside.as_str(), "../mesh.glb", "./mesh.glb", ""] {
            let files = format!("{{{name:?}: {hash:?}}}");
            let text = format!("{{\"key\":\"k\",\"steps\":9,\"seconds\":1,\"files\":{files}}}");
            write("result.json", &text);
            assert!(
                Published::read(folder.path()).is_some() && !is_whole(),
                "{name}"
            );
        }
    }
}
