//! Printing that cannot fail: a closed pipe or a full disk behind standard output or standard error is
//! not a reason to lose a run.

/// A line on standard output: results.
macro_rules! tell {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

/// A line on standard error: progress, warnings, errors.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($part)*);
    }};
}
