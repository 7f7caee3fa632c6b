//! Signals ask the work to save its state and stop, and decide its exit code.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// Exit code after Ctrl-C: 128 + SIGINT, as shells expect.
const INTERRUPTED: u8 = 130;
/// Exit code of work that was saved and wants to be run again (EX_TEMPFAIL): after SIGTERM, SIGUSR1 or
/// SIGHUP, which schedulers send.
const SAVED: u8 = 75;

/// Ctrl-C again after this leaves at once; sooner, it is one burst.
const BURST: Duration = Duration::from_secs(1);

/// The first signal that asked to stop; 0 if none has.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// Whether there is something to save.
static HOLDS: AtomicBool = AtomicBool::new(false);

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
                std::process::exit(i32::from(code()));
            }
            if signal == SIGINT {
                match first_interrupt {
                    None => first_interrupt = Some(Instant::now()),
                    Some(first) if first.elapsed() < BURST => {}
                    Some(_) => std::process::exit(i32::from(INTERRUPTED)),
                }
            }
        }
    });
    Ok(())
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
    ExitCode::from(code())
}

fn code() -> u8 {
    if ASKED.load(Ordering::SeqCst) == SIGINT {
        INTERRUPTED
    } else {
        SAVED
    }
}
