//! Progress on standard error: bars in a terminal, a line now and then elsewhere.

use dreamfuse_engine::Event;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Time from one line to the next where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// Lines about a run for those who read a file or a scheduler's log.
pub struct Log {
    is_wanted: bool,
    /// Steps heard of, which roll-backs repeat.
    heard: u32,
    steps: u64,
    start: Instant,
    last: Instant,
}

impl Log {
    /// Of a run of `steps`. In a terminal it says nothing: a bar does.
    pub fn new(steps: u64) -> Self {
        Self {
            is_wanted: !std::io::stderr().is_terminal(),
            heard: 0,
            steps,
            start: Instant::now(),
            last: Instant::now(),
        }
    }

    /// Says how far the run is, if it is time.
    pub fn hear(&mut self, event: &Event) {
        let Event::Step(report) = event else { return };
        self.heard += 1;
        if !self.is_wanted || self.last.elapsed() < EVERY {
            return;
        }
        self.last = Instant::now();
        let rate = f64::from(self.heard) / self.start.elapsed().as_secs_f64();
        let left = self.steps.saturating_sub(report.step) as f64 / rate;
        say!(
            "step {} of {}, {rate:.1} steps a second, {left:.0} s left, opacity {:.2}",
            report.step,
            self.steps,
            report.opacity
        );
    }
}

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
