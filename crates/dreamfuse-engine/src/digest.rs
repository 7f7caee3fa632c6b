//! A digest of a run's prior by its files, without reading all of them: what many runs are planned with.

use crate::config::RunConfig;
use crate::prior_source::PriorSource;
use dreamfuse_core::files::{FileError, hex};
use dreamfuse_diffusion::embedded;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes at the start and at the end of each file that are looked at.
const PART: u64 = 64 * 1024;

/// Files that a model is read from; others, such as a README, may change.
const READ: [&str; 4] = ["safetensors", "json", "txt", "model"];

impl RunConfig {
    /// A digest of the prior and of what is added to it: names within the model's folder, sizes, and both ends of every
    /// file. It stays the same when the model is moved.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn prior_digest(&self) -> Result<String, FileError> {
        let mut digest = Sha256::new();
        match &self.prior {
            PriorSource::Embedded => digest.update(embedded::digest()),
            PriorSource::Truth => digest.update("truth"),
            PriorSource::Path(path) => add(&mut digest, path)?,
        }
        for lora in &self.loras {
            digest.update(lora.scale.to_le_bytes());
            add(&mut digest, &lora.path)?;
        }
        if let Some(texts) = &self.texts {
            digest.update("texts");
            add(&mut digest, texts)?;
        }
        Ok(hex(&digest.finalize())[..32].to_owned())
    }
}

/// Adds a file, or the files of a folder, in the order of their names.
fn add(digest: &mut Sha256, path: &Path) -> Result<(), FileError> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    for file in files {
        let name = file.strip_prefix(path).unwrap_or(Path::new(""));
        digest.update(name.to_string_lossy().as_bytes());
        add_ends(digest, &file).map_err(|source| FileError::Read { path: file, source })?;
    }
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)?.flatten() {
        let path = entry.path();
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let is_read = READ.contains(&extension.as_ref()) && path.is_file();
        if !is_hidden && (path.is_dir() || is_read) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

fn add_ends(digest: &mut Sha256, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    digest.update(size.to_le_bytes());
    let mut ends = Vec::new();
    file.by_ref().take(PART).read_to_end(&mut ends)?;
    if size > PART {
        file.seek(SeekFrom::Start((size - PART).max(PART)))?;
        file.read_to_end(&mut ends)?;
    }
    digest.update(ends);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &Path) -> String {
        let config = RunConfig {
            prior: PriorSource::Path(path.to_owned()),
            ..RunConfig::default()
        };
        config.prior_digest().unwrap()
    }

    #[test]
    fn a_moved_model_has_the_same_digest_and_changed_weights_another() {
        let parent = tempfile::tempdir().unwrap();
        let (here, there) = (parent.path().join("here"), parent.path().join("there"));
        let weights = |folder: &Path| folder.join("unet/weights.safetensors");
        fs::create_dir_all(here.join("unet")).unwrap();
        let large = vec![7; 3 * PART as usize];
        fs::write(weights(&here), &large).unwrap();
        fs::write(here.join("README.md"), "a model").unwrap();
        let first = of(&here);
        assert_eq!(first.len(), 32);
        fs::rename(&here, &there).unwrap();
        fs::write(there.join("README.md"), "the same model").unwrap();
        assert_eq!(of(&there), first);
        for place in [0, large.len() - 1] {
            let mut changed = large.clone();
            changed[place] ^= 1;
            fs::write(weights(&there), &changed).unwrap();
            assert_ne!(of(&there), first, "byte {place}");
        }
        assert_ne!(RunConfig::default().prior_digest().unwrap(), first);
    }

    #[test]
    fn a_missing_file_is_named() {
        let config = RunConfig {
            texts: Some("nowhere.safetensors".into()),
            ..RunConfig::default()
        };
        let error = config.prior_digest().unwrap_err().to_string();
        assert!(error.contains("nowhere.safetensors"), "{error}");
    }
}
