//! Signals ask the work to save its state and stop, and decide its exit code.

use dreamfuse_batch::Exit;
use dreamfuse_engine::{EngineError, Standby};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Ctrl-C again after this leaves at once; sooner, it is one burst.
const BURST: Duration = Duration::from_secs(1);

/// The first signal that asked to stop; 0 if none has.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// Whether there is something to save.
static HOLDS: AtomicBool = AtomicBool::new(false);

/// What the signal's thread does at the first signal.
static ACTION: Mutex<Option<Box<Action>>> = Mutex::new(None);

type Action = dyn Fn() -> Next + Send;

/// What comes after the first signal was dealt with.
pub enum Next {
    /// The process ends; the result says whether all is saved.
    Leave(anyhow::Result<()>),
    /// The work stops at its next good place.
    Wait,
}

/// Listens from now on. Until [`hold`] a signal ends the program: nothing is lost.
///
/// # Errors
/// When the system refuses it.
pub fn install() -> anyhow::Result<()> {
    let mut listened = vec![SIGINT, SIGTERM, SIGUSR1];
    if !is_hangup_ignored() {
        listened.push(SIGHUP);
    }
    let mut signals = Signals::new(listened)?;
    std::thread::spawn(move || {
        let mut first_interrupt: Option<Instant> = None;
        for signal in signals.forever() {
            let _ = ASKED.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
            if !HOLDS.load(Ordering::SeqCst) {
                leave(code());
            }
            act();
            if signal == SIGINT {
                match first_interrupt {
                    None => first_interrupt = Some(Instant::now()),
                    Some(first) if first.elapsed() < BURST => {}
                    Some(_) => leave(Exit::Interrupted),
                }
            }
        }
    });
    Ok(())
}

/// Does what was put down for a signal, once.
fn act() {
    let action = ACTION.lock().unwrap_or_else(PoisonError::into_inner).take();
    // The library of a GPU that went away panics.
    let next = action.map(|action| std::panic::catch_unwind(std::panic::AssertUnwindSafe(action)));
    match next.map(|next| {
        next.unwrap_or_else(|_| {
            let lost = EngineError::DeviceLost {
                device: "of the run".into(),
                reason: "it could not be read".into(),
            };
            Next::Leave(Err(lost.into()))
        })
    }) {
        None | Some(Next::Wait) => {}
        Some(Next::Leave(Ok(()))) => leave(code()),
        Some(Next::Leave(Err(error))) => {
            say!("error: {error}");
            leave(Exit::of(error.chain()));
        }
    }
}

/// Ends the process without the libraries' farewells: other threads still compute.
fn leave(code: Exit) -> ! {
    signal_hook::low_level::exit(i32::from(code.code()))
}

/// From now on the first signal does this, in its own thread.
pub fn at_signal(action: impl Fn() -> Next + Send + 'static) {
    *ACTION.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(action));
    hold();
    // It may have come while there was nothing to do yet.
    if is_asked() {
        act();
    }
}

/// From now on a signal saves a run as its last finished step left it, and ends the process.
pub fn save_at_signal(run: Arc<Standby>) {
    at_signal(move || match run.stop() {
        Err(error) => Next::Leave(Err(error.into())),
        Ok(stopped) => {
            if let Some((step, folder)) = stopped {
                tell_stop(step, folder.root());
            }
            Next::Leave(Ok(()))
        }
    });
}

/// Says where a run was left.
pub fn tell_stop(step: u64, folder: &Path) {
    say!(
        "stopped at step {step}; go on with: dreamfuse resume {}",
        folder.display()
    );
}

/// From now on a signal waits for the next good place to stop.
pub fn hold() {
    HOLDS.store(true, Ordering::SeqCst);
}

/// Whether `nohup` started the program: what it ignores stays ignored.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Whether to stop at the next good place.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst) != 0
}

/// What an observer answers: to stop at the next good place, if that is asked.
pub fn flow() -> ControlFlow<()> {
    if is_asked() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// How work that was asked to stop, and whose state is saved, ends.
pub fn exit_code() -> ExitCode {
    code().into()
}

/// The same, by name.
pub fn code() -> Exit {
    if ASKED.load(Ordering::SeqCst) == SIGINT {
        Exit::Interrupted
    } else {
        Exit::Saved
    }
}
