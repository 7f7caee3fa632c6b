//! Printing that cannot fail: a closed pipe or a full disk behind standard output or standard error is
//! not a reason to lose a run.

/// A line on standard output: results.
macro_rules! tell {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

/// A line on standard error: warnings, errors.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($part)*);
    }};
}

/// Whether `--quiet` was given.
pub static IS_QUIET: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Whether progress is to be told.
pub fn is_quiet() -> bool {
    IS_QUIET.load(std::sync::atomic::Ordering::Relaxed)
}

/// A line on standard error that `--quiet` spares: progress, and what is going on.
macro_rules! note {
    ($($part:tt)*) => {{
        if !$crate::say::is_quiet() {
            say!($($part)*);
        }
    }};
}
