//! A victim: an actor that panics and comes back, and what every one of them does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::contender::Contender;

/// What takes longer hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Messages handled in the running episode. A panic takes the actor's own state with it.
pub(super) static HANDLED: AtomicU64 = AtomicU64::new(0);
/// The messages behind the deadly one have been sent. It waits for that before it panics: else it would
/// be the machine's load that decides what is lost.
pub(super) static STRUCK: AtomicBool = AtomicBool::new(false);
/// When the running episode's panic was.
static PANIC: Mutex<Option<Instant>> = Mutex::new(None);

/// What a victim is told.
#[derive(Debug, Clone, Copy, actix::Message, mycelia::Message)]
#[rtype(result = "()")]
pub(crate) struct Blow {
    pub(super) is_deadly: bool,
}

/// The answer is always 1.
#[derive(Debug, actix::Message, mycelia::Message)]
#[rtype(result = "u64")]
#[message(reply = u64)]
pub(crate) struct Ping;

pub(super) fn panicked_at() -> MutexGuard<'static, Option<Instant>> {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every victim's handler does.
pub(super) fn suffer(blow: Blow) {
    if blow.is_deadly {
        let begun = Instant::now();
        while !STRUCK.load(Ordering::Acquire) && begun.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        *panicked_at() = Some(Instant::now());
        panic!("the benchmark's own");
    }
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// An actor that panics and comes back.
pub(crate) trait Victim: Contender {
    /// The actor, and whatever brings it back.
    type Hold: Send;

    fn rise(stage: &Self::Stage) -> impl Future<Output = anyhow::Result<Self::Hold>> + Send;

    /// Tells; false if that was refused.
    fn strike(hold: &Self::Hold, blow: Blow) -> impl Future<Output = bool> + Send;

    /// Asks once; if no one is there, does what brings the actor back.
    fn ping(
        stage: &Self::Stage,
        hold: &mut Self::Hold,
    ) -> impl Future<Output = anyhow::Result<Option<u64>>> + Send;
}
