//! `attempts.jsonl` of a run's folder: who tried when, how far it was, and how it ended. It guards against schedulers that
//! start a task again and again without an end.

use crate::environment::identity;
use crate::{BatchError, Exit};
use dreamfuse_core::files::FileError;
use dreamfuse_engine::process_name;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const NAME: &str = "attempts.jsonl";

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Attempt {
    Began {
        /// Seconds since 1970 (UTC).
        time: f64,
        process: String,
        /// What the scheduler calls it, `NAME=VALUE` each.
        task: Vec<String>,
        /// Steps that were done before.
        step: u64,
    },
    Ended {
        time: f64,
        code: u8,
        step: u64,
        /// What went wrong, if anything did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        message: Option<String>,
    },
}

/// The file of a run.
pub(crate) struct Attempts(PathBuf);

impl Attempts {
    pub fn of(folder: &Path) -> Self {
        Self(folder.join(NAME))
    }

    /// All lines that can be read: a kill may have torn the last one.
    pub fn read(&self) -> Vec<Attempt> {
        let text = std::fs::read(&self.0).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Notes that an attempt begins.
    ///
    /// # Errors
    /// When `most` attempts before it have begun at this step too, or the file cannot be written.
    pub fn begin(&self, step: u64, most: usize) -> Result<(), BatchError> {
        let lines = self.read();
        let starts = lines.iter().rev().filter_map(|line| match line {
            Attempt::Began { step, .. } => Some(*step),
            Attempt::Ended { .. } => None,
        });
        let attempts = starts.take_while(|start| *start == step).count();
        if attempts >= most {
            return Err(BatchError::NoProgress {
                attempts,
                step,
                log: self.0.clone(),
            });
        }
        self.append(&Attempt::Began {
            time: now(),
            process: process_name(),
            task: identity(),
            step,
        })
    }

    /// Notes how the attempt ended.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end(&self, step: u64, exit: Exit, message: Option<String>) -> Result<(), BatchError> {
        self.append(&Attempt::Ended {
            time: now(),
            code: exit.code(),
            step,
            message,
        })
    }

    fn append(&self, line: &Attempt) -> Result<(), BatchError> {
        let line = format!(
            "{}\n",
            serde_json::to_string(line).expect("a line is plain data")
        );
        let mut options = OpenOptions::new();
        let opened = options.create(true).append(true).open(&self.0);
        let written = opened.and_then(|mut file| {
            // A line that a kill has torn ends here.
            let is_torn = std::fs::read(&self.0)?
                .last()
                .is_some_and(|byte| *byte != b'\n');
            let start = if is_torn { "\n" } else { "" };
            file.write_all(format!("{start}{line}").as_bytes())
        });
        Ok(written.map_err(|source| FileError::Write {
            path: self.0.clone(),
            source,
        })?)
    }
}

/// Seconds since 1970 (UTC).
pub(crate) fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_without_progress_are_counted_and_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let attempts = Attempts::of(folder.path());
        for step in [0, 0, 40, 40] {
            attempts.begin(step, 3).unwrap();
        }
        attempts.end(40, Exit::Saved, None).unwrap();
        attempts.begin(40, 3).unwrap();
        let error = attempts.begin(40, 3).unwrap_err();
        assert_eq!(Exit::of_batch(&error), Exit::Failed);
        assert!(
            error
                .to_string()
                .contains("3 attempts made no step of progress at step 40")
        );
        attempts.begin(41, 3).unwrap();
    }

    #[test]
    fn a_torn_line_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let attempts = Attempts::of(folder.path());
        attempts.begin(0, 9).unwrap();
        let whole = std::fs::read(folder.path().join(NAME)).unwrap();
        let torn = [&whole[..], &whole[..20]].concat();
        std::fs::write(folder.path().join(NAME), torn).unwrap();
        attempts
            .end(7, Exit::Disk, Some("the disk is full".into()))
            .unwrap();
        let lines = attempts.read();
        assert_eq!(lines.len(), 2);
        assert!(matches!(
            &lines[1],
            Attempt::Ended {
                code: 74,
                step: 7,
                ..
            }
        ));
    }
}
