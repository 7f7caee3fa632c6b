//! Progress bars, on stderr.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `steps`, from `done`, with room for figures.
pub fn bar(done: u64, steps: u64) -> ProgressBar {
    let template = "{pos}/{len} [{bar:28}] {per_sec}, {eta} left  {msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(steps)
        .with_style(style.progress_chars("=> "))
        .with_position(done);
    bar.reset_eta();
    bar
}

/// A bar over the bytes of a file.
pub fn bytes(size: u64) -> ProgressBar {
    let template = "{bytes}/{total_bytes} [{bar:28}] {bytes_per_sec}, {eta} left  {msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(size).with_style(style.progress_chars("=> "))
}
