//! One file: in parts, checked, and whole or not there.

use crate::hub::{Hub, HubError, Notice, Progress, wait_of};
use crate::id::ModelId;
use crate::partial::Partial;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;
use ureq::Agent;

/// What a file has to be.
pub(crate) enum Blob {
    /// A large file, kept by its hash.
    Sha256 { hash: String, size: u64 },
    /// A small one, kept by Git.
    Git { hash: String, size: u64 },
}

/// A file to be had.
pub(crate) struct Download<'a> {
    pub hub: &'a Hub,
    pub agent: &'a Agent,
    pub id: &'a ModelId,
    pub url: String,
    pub name: &'a str,
    pub blob: &'a Blob,
    /// Where it will be.
    pub path: &'a Path,
}

/// Bytes asked for at a time: each part has its own patience, so that a connection that stands still is noticed.
const PART: u64 = 64 << 20;
/// Tries in a row that bring no byte.
const TRIES: u32 = 4;
const BUFFER: usize = 1 << 16;

/// The longest wait for a part.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a part did not come whole.
enum Failure {
    /// Worth another try.
    Connection,
    /// The same, after a while.
    Busy(Duration),
    Final(HubError),
}

impl Blob {
    pub(crate) fn hash(&self) -> &str {
        match self {
            Self::Sha256 { hash, .. } | Self::Git { hash, .. } => hash,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Sha256 { size, .. } | Self::Git { size, .. } => *size,
        }
    }

    /// The hash of a file, as this one's is made.
    fn hash_of(&self, path: &Path) -> io::Result<String> {
        match self {
            Self::Sha256 { .. } => digest(Sha256::new(), path),
            Self::Git { size, .. } => digest(Sha1::new_with_prefix(format!("blob {size}\0")), path),
        }
    }
}

fn digest<D: Digest>(mut digest: D, path: &Path) -> io::Result<String> {
    let (mut file, mut buffer) = (File::open(path)?, vec![0; BUFFER]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(digest
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect());
        }
        digest.update(&buffer[..count]);
    }
}

impl Download<'_> {
    /// Gets what is still missing of the file.
    pub(crate) fn run(&self, observe: &mut dyn FnMut(Notice)) -> Result<(), HubError> {
        if self.is_there() {
            return Ok(());
        }
        let written = |path: &Path, source: io::Error| HubError::Write {
            path: path.to_owned(),
            source,
        };
        let opened = Partial::open(self.path);
        let mut partial = opened.map_err(|source| written(self.path, source))?;
        let place = partial.path().to_owned();
        let written = |source: io::Error| written(&place, source);
        // Another process may have been at the same file meanwhile.
        if self.is_there() {
            return partial.discard().map_err(written);
        }
        let mut done = partial.file.metadata().map_err(written)?.len();
        if done > self.blob.size() {
            partial.file.set_len(0).map_err(written)?;
            done = 0;
        }
        self.fill(&mut partial.file, &place, done, observe)?;
        partial.file.sync_all().map_err(written)?;
        let found = self.blob.hash_of(&place).map_err(written)?;
        if found != self.blob.hash() {
            partial.discard().map_err(written)?;
            let (file, right) = (self.name.to_owned(), self.blob.hash().to_owned());
            return Err(HubError::WrongHash { file, found, right });
        }
        match partial.finish(self.path) {
            // Without locks, another process may have been first.
            Err(_) if self.is_there() => Ok(()),
            result => result.map_err(written),
        }
    }

    /// Whether the file is there, as long as it has to be.
    fn is_there(&self) -> bool {
        let length = std::fs::metadata(self.path).map(|metadata| metadata.len());
        length.is_ok_and(|length| length == self.blob.size())
    }

    /// Appends part after part, until the file has its size.
    fn fill(
        &self,
        file: &mut File,
        partial: &Path,
        mut done: u64,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), HubError> {
        let size = self.blob.size();
        // A server that sends whole files alone begins again and again: what counts is to get further than ever.
        let (mut failures, mut most) = (0, done);
        while done < size {
            let result = self.part(file, partial, &mut done, observe);
            failures = if done > most { 0 } else { failures + 1 };
            most = most.max(done);
            match result {
                Ok(()) => {}
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Connection) if failures < TRIES => {}
                Err(Failure::Busy(wait)) if failures < TRIES => {
                    std::thread::sleep(wait.min(LONGEST_WAIT));
                }
                Err(Failure::Connection | Failure::Busy(_)) => {
                    return Err(HubError::Broken {
                        file: self.name.to_owned(),
                        done,
                        size,
                    });
                }
            }
        }
        Ok(())
    }

    fn part(
        &self,
        file: &mut File,
        partial: &Path,
        done: &mut u64,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<(), Failure> {
        let (size, written) = (self.blob.size(), |source| HubError::Write {
            path: partial.to_owned(),
            source,
        });
        let end = (*done + PART).min(size);
        let range = format!("bytes={done}-{}", end - 1);
        let mut answer = self
            .hub
            .get(self.agent, &self.url, Some(range))
            .map_err(|_| Failure::Connection)?;
        if let Some(wait) = wait_of(&answer) {
            return Err(Failure::Busy(wait));
        }
        self.hub
            .check(self.id, &self.url, &answer)
            .map_err(Failure::Final)?;
        if answer.status() == 200 && *done > 0 {
            // This server sends whole files alone.
            file.set_len(0).map_err(|e| Failure::Final(written(e)))?;
            *done = 0;
        }
        let room = if answer.status() == 200 {
            size
        } else {
            end - *done
        };
        let body = answer.body_mut().with_config().limit(u64::MAX).reader();
        let mut body = body.take(room);
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = body.read(&mut buffer).map_err(|_| Failure::Connection)?;
            if count == 0 {
                return if *done < end {
                    Err(Failure::Connection)
                } else {
                    Ok(())
                };
            }
            let result = file.write_all(&buffer[..count]);
            result.map_err(|e| Failure::Final(written(e)))?;
            *done += count as u64;
            let file = self.name;
            let done = *done;
            observe(Notice::Progress(Progress { file, done, size }));
        }
    }
}
