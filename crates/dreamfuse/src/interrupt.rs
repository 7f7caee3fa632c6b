//! Ctrl-C and termination: the first asks to stop, the second stops.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Exit code of an interrupted run: 128 + SIGINT, as shells expect.
pub const EXIT_CODE: u8 = 130;

/// Installs the handler.
///
/// # Errors
/// When another handler is installed.
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(EXIT_CODE));
        }
    })?;
    Ok(())
}

/// Whether to stop at the next good place.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
