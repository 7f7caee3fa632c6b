//! What the process's exit code says, to people and to schedulers. docs/cluster.md has the same table.

use crate::BatchError;
use dreamfuse_core::files::FileError;
use dreamfuse_diffusion::CheckpointError;
use dreamfuse_engine::{EngineError, MeshError};
use std::error::Error;
use std::process::ExitCode;

/// How a process ends. The numbers are those of sysexits.h where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done, or was done before.
    Done = 0,
    /// The arguments are wrong.
    Usage = 2,
    /// What was given cannot be used: a prompt, a file, a setting (EX_DATAERR).
    BadInput = 65,
    /// A device or a hub is not there, or went away (EX_UNAVAILABLE).
    Unavailable = 69,
    /// The scene diverged again and again, or attempts make no progress (EX_SOFTWARE).
    Failed = 70,
    /// A disk is full or cannot be written (EX_IOERR).
    Disk = 74,
    /// The state is saved; the same command goes on (EX_TEMPFAIL).
    Saved = 75,
    /// Ctrl-C: 128 + SIGINT, as shells expect. The state is saved.
    Interrupted = 130,
}

impl Exit {
    /// All, in order.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Usage,
        Self::BadInput,
        Self::Unavailable,
        Self::Failed,
        Self::Disk,
        Self::Saved,
        Self::Interrupted,
    ];

    /// The number that the process returns.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// That of a number; other numbers are those of a process that was killed.
    pub fn of_code(code: i32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|exit| i32::from(exit.code()) == code)
    }

    /// What it means and what to do, for the table and for reports.
    pub fn meaning(self) -> (&'static str, &'static str) {
        match self {
            Self::Done => ("done, now or before", "nothing"),
            Self::Usage => ("wrong arguments", "do not retry; correct the command"),
            Self::BadInput => (
                "bad input",
                "do not retry; correct the prompt, file or setting",
            ),
            Self::Unavailable => ("device or hub not available", "retry elsewhere"),
            Self::Failed => ("diverged, or no progress", "do not retry; change a setting"),
            Self::Disk => ("disk full or not writable", "retry when there is room"),
            Self::Saved => ("saved, or in use by another", "run the same command again"),
            Self::Interrupted => ("Ctrl-C; saved", "run the same command again"),
        }
    }

    /// Of a run that failed.
    fn of_engine(error: &EngineError) -> Self {
        match error {
            EngineError::InUse { .. } => Self::Saved,
            EngineError::DeviceLost { .. } | EngineError::NoDevice(_) => Self::Unavailable,
            EngineError::NotFinite(_)
            | EngineError::RefineNotFinite(_)
            | EngineError::Unhealthy { .. }
            | EngineError::Mesh(MeshError::Empty) => Self::Failed,
            EngineError::File(error) => Self::of_file(error),
            EngineError::Mesh(MeshError::File(error)) => Self::of_file(error),
            EngineError::Prior(CheckpointError::Write(error)) => Self::of_file(error),
            _ => Self::BadInput,
        }
    }

    fn of_file(error: &FileError) -> Self {
        match error {
            FileError::Write { .. } => Self::Disk,
            FileError::Read { .. } | FileError::Damaged { .. } => Self::BadInput,
        }
    }

    /// Of many runs that could not go on.
    pub(crate) fn of_batch(error: &BatchError) -> Self {
        match error {
            BatchError::Usage(_) => Self::Usage,
            BatchError::Line { .. }
            | BatchError::NoPrompts(_)
            | BatchError::NoPlan(_)
            | BatchError::Link(_)
            | BatchError::OtherPrior(_) => Self::BadInput,
            BatchError::NoProgress { .. } => Self::Failed,
            BatchError::Start { .. } => Self::Unavailable,
            BatchError::File(error) => Self::of_file(error),
            BatchError::Engine(error) => Self::of_engine(error),
        }
    }

    /// Of whatever went wrong: the first cause that is known decides.
    pub fn of<'e>(mut causes: impl Iterator<Item = &'e (dyn Error + 'static)>) -> Self {
        let known = |cause: &'e (dyn Error + 'static)| {
            let engine = cause.downcast_ref().map(Self::of_engine);
            let batch = || cause.downcast_ref().map(Self::of_batch);
            let file = || cause.downcast_ref().map(Self::of_file);
            engine.or_else(batch).or_else(file)
        };
        causes.find_map(known).unwrap_or(Self::BadInput)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn codes_read_back_and_are_those_of_sysexits() {
        let codes: Vec<u8> = Exit::ALL.map(Exit::code).into();
        assert_eq!(codes, [0, 2, 65, 69, 70, 74, 75, 130]);
        for exit in Exit::ALL {
            assert_eq!(Exit::of_code(exit.code().into()), Some(exit));
        }
        assert_eq!(Exit::of_code(137), None);
    }

    #[test]
    fn the_documents_table_is_that_of_the_program() {
        let page = include_str!("../../../docs/cluster.md");
        for exit in Exit::ALL {
            let (meaning, cure) = exit.meaning();
            let row = format!("| {} | {meaning} | {cure} |", exit.code());
            assert!(
                page.lines().any(|line| line == row),
                "docs/cluster.md lacks {row}"
            );
        }
    }

    #[test]
    fn causes_decide() {
        let full = || FileError::Write {
            path: "a".into(),
            source: io::ErrorKind::StorageFull.into(),
        };
        let of = |error: BatchError| Exit::of(std::iter::once(&error as &(dyn Error + 'static)));
        assert_eq!(of(BatchError::File(full())), Exit::Disk);
        assert_eq!(of(EngineError::File(full()).into()), Exit::Disk);
        assert_eq!(of(EngineError::NotFinite(3).into()), Exit::Failed);
        assert_eq!(
            of(EngineError::DeviceLost {
                device: "cuda".into(),
                reason: "gone".into(),
            }
            .into()),
            Exit::Unavailable
        );
        assert_eq!(of(BatchError::Usage("no index".into())), Exit::Usage);
        let unknown = io::Error::other("a page of a hotel");
        assert_eq!(
            Exit::of(std::iter::once(&unknown as &(dyn Error + 'static))),
            Exit::BadInput
        );
    }
}
