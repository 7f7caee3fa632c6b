//! Progress on standard error: bars in a terminal, a line now and then elsewhere.

use crate::say::is_quiet;
use dreamfuse_engine::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Time from one line to the next where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// What a run says of itself while it goes on: a bar in a terminal, lines elsewhere.
pub struct Follow {
    bar: ProgressBar,
    log: Log,
}

impl Follow {
    /// A run of so many steps, some of which are done.
    pub fn run(done: u64, steps: u64) -> Self {
        Self {
            bar: bar(done, steps),
            log: Log::new(steps, String::new(), !std::io::stderr().is_terminal()),
        }
    }

    /// One of several runs at once: each line begins with its name.
    pub fn one_of_several(name: &str, steps: u64) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            log: Log::new(steps, format!("{name}: "), true),
        }
    }

    /// Says what is to be said of an event.
    pub fn hear(&mut self, event: &Event) {
        self.log.hear(event);
        let (bar, name) = (&self.bar, &self.log.name);
        match event {
            Event::Step(report) => {
                bar.set_position(report.step);
                bar.set_message(format!(
                    "opacity {:.2}, gradient {:.1e}",
                    report.opacity, report.gradient_norm
                ));
            }
            Event::Refined {
                step, of, change, ..
            } => {
                bar.set_message(format!("refining, step {step} of {of}, change {change:.4}"));
            }
            Event::Mesh { .. } => bar.suspend(|| announce(event)),
            Event::Health {
                step,
                diagnosis,
                hint,
                rolled_back_to,
            } => {
                let back =
                    rolled_back_to.map_or(String::new(), |to| format!("; going back to step {to}"));
                bar.suspend(|| {
                    warn(format!(
                        "{name}step {step}: {}{back}. What helps: {hint}",
                        diagnosis.name()
                    ));
                });
            }
            Event::Interrupted { .. } => bar.abandon(),
            Event::Finished { seconds, .. } => {
                bar.finish();
                note!("{name}done in {seconds:.0} s");
            }
            Event::Started { .. } | Event::Preview { .. } | Event::Checkpoint { .. } => {}
        }
    }
}

/// Says where a mesh is and what it is like.
pub fn announce(event: &Event) {
    let Event::Mesh {
        path,
        vertices,
        triangles,
        silhouette_agreement,
        albedo_psnr,
        self_intersections,
        texture,
        ..
    } = event
    else {
        return;
    };
    let texture = texture
        .as_ref()
        .map_or("colours at the vertices".into(), |texture| {
            format!(
                "{} charts ({}) on {} texels",
                texture.charts, texture.unwrap, texture.size
            )
        });
    let crossing = match self_intersections {
        0 => String::new(),
        count => format!("; {count} pairs of triangles cross"),
    };
    note!(
        "{vertices} vertices, {triangles} triangles, {texture}; beside the volume: silhouettes {silhouette_agreement:.3}, \
         albedo {albedo_psnr:.1} dB{crossing}"
    );
    tell!("{}", path.display());
}

/// Says what does not stop the work.
pub fn warn(message: String) {
    say!("warning: {message}");
}

/// Lines about a run for those who read a file or a scheduler's log.
struct Log {
    is_wanted: bool,
    /// Begins each line.
    name: String,
    /// Steps heard of, which roll-backs repeat.
    heard: u32,
    steps: u64,
    start: Instant,
    last: Instant,
}

impl Log {
    fn new(steps: u64, name: String, is_wanted: bool) -> Self {
        Self {
            is_wanted,
            name,
            heard: 0,
            steps,
            start: Instant::now(),
            last: Instant::now(),
        }
    }

    /// Says how far the run is, if it is time.
    fn hear(&mut self, event: &Event) {
        if !matches!(event, Event::Step(_) | Event::Refined { .. }) {
            return;
        }
        self.heard += u32::from(matches!(event, Event::Step(_)));
        if !self.is_wanted || self.last.elapsed() < EVERY {
            return;
        }
        if let Event::Refined { step, of, .. } = event {
            self.last = Instant::now();
            note!("{}refining, step {step} of {of}", self.name);
        }
        let Event::Step(report) = event else { return };
        self.last = Instant::now();
        let rate = f64::from(self.heard) / self.start.elapsed().as_secs_f64();
        let left = self.steps.saturating_sub(report.step) as f64 / rate;
        note!(
            "{}step {} of {}, {rate:.1} steps a second, {left:.0} s left, opacity {:.2}",
            self.name,
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
    let bar = shown(ProgressBar::new(steps))
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
    shown(ProgressBar::new(size)).with_style(style.progress_chars("=> "))
}

/// The bar, unless nobody wants to see it.
fn shown(bar: ProgressBar) -> ProgressBar {
    if is_quiet() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}
