//! Ctrl-C: the first asks for an end with a report, a second one ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A Ctrl-C so long after the first ends the program at once.
const PATIENCE: Duration = Duration::from_millis(500);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Listens to Ctrl-C from now on.
///
/// # Errors
/// Somebody else does already.
pub fn listen() -> anyhow::Result<()> {
    let mut asked = None;
    ctrlc::set_handler(move || {
        INTERRUPTED.store(true, Ordering::Relaxed);
        // `timeout` and some shells deliver one request twice, at once.
        if asked.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            std::process::exit(130);
        }
    })?;
    Ok(())
}

/// True once there was a Ctrl-C.
pub fn is_wanted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
