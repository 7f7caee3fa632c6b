//! Files that are either whole or absent, with a checksum where a later read depends on it.

use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file could not be written or read; the message names it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is damaged: {reason}")]
    Damaged { path: PathBuf, reason: String },
}

const MAGIC: &str = "dreamfuse-checked-1";

/// Writes `bytes` beside `path`, syncs them to the disk, and renames them into place: readers see
/// the old file or the new one, never a part.
///
/// # Errors
/// When the folder is missing or not writable, or the disk is full; the old file is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |source| FileError::Write {
        path: path.to_owned(),
        source,
    };
    let name = path
        .file_name()
        .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let aside = path.with_file_name(format!(
        ".{}.partial-{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(source) = written.and_then(|()| fs::rename(&aside, path)) {
        let _ = fs::remove_file(&aside);
        return Err(failed(source));
    }
    sync_folder(path);
    Ok(())
}

/// Makes the rename itself durable. Not every file system can sync a folder; the rename stands then
/// as safe as that system makes it.
fn sync_folder(path: &Path) {
    if let Some(Ok(folder)) = path.parent().map(File::open) {
        let _ = folder.sync_all();
    }
}

/// Writes `payload` atomically behind a line that holds its SHA-256.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_checked(path: &Path, payload: &[u8]) -> Result<(), FileError> {
    let mut bytes = format!(
        "{MAGIC} {} {}\n",
        hex(&Sha256::digest(payload)),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    write_atomically(path, &bytes)
}

/// Reads a file; an error names it.
///
/// # Errors
/// When it is missing or cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Reads what [`write_checked`] wrote.
///
/// # Errors
/// When the file cannot be read, is not such a file, is truncated, or does not match its checksum.
pub fn read_checked(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = read(path)?;
    let damaged = |reason: String| FileError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let end = bytes
        .iter()
        .take(256)
        .position(|&b| b == b'\n')
        .ok_or_else(|| damaged("no header".into()))?;
    let header = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let [magic, hash, length] = header.split(' ').collect::<Vec<_>>()[..] else {
        return Err(damaged("its header is not dreamfuse's".into()));
    };
    if magic != MAGIC {
        return Err(damaged("its header is not dreamfuse's".into()));
    }
    let payload = bytes.split_off(end + 1);
    if length != payload.len().to_string() {
        return Err(damaged(format!(
            "{} bytes of {length} are there",
            payload.len()
        )));
    }
    if hash != hex(&Sha256::digest(&payload)) {
        return Err(damaged("its SHA-256 does not match".into()));
    }
    Ok(payload)
}

/// Creates a folder and its parents.
///
/// # Errors
/// When that is not possible; the message names the folder.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write_checked(&path, b"payload").unwrap();
        assert_eq!(read_checked(&path).unwrap(), b"payload");
        let whole = fs::read(&path).unwrap();
        for cut in [0, 10, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(
                matches!(read_checked(&path), Err(FileError::Damaged { .. })),
                "cut at {cut}"
            );
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert!(
            read_checked(&path)
                .unwrap_err()
                .to_string()
                .contains("SHA-256")
        );
    }

    #[test]
    fn a_thousand_torn_and_flipped_files_are_each_recognised() {
        use crate::{Purpose, stream};
        use rand::RngExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut numbers = stream(0, Purpose::Evaluation, 0, 0);
        let payload: Vec<u8> = (0..5000).map(|_| numbers.random()).collect();
        write_checked(&path, &payload).unwrap();
        let whole = fs::read(&path).unwrap();
        for damage in 0..1000 {
            let at = numbers.random_range(0..whole.len());
            let mut bytes = whole.clone();
            match damage % 3 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << numbers.random_range(0..8),
                // As a block that was never written.
                _ => bytes[at / 512 * 512..]
                    .iter_mut()
                    .take(512)
                    .for_each(|byte| *byte = 0),
            }
            fs::write(&path, &bytes).unwrap();
            let read = read_checked(&path);
            assert!(
                matches!(read, Err(FileError::Damaged { .. })),
                "{damage} at {at}"
            );
        }
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("state");
        assert!(matches!(
            write_atomically(&path, b"x"),
            Err(FileError::Write { .. })
        ));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
