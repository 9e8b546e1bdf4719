//! Pace: how far a run has come, whether it is to go on, and how even its throughput is.
//!
//! Throughput is that of *handled* messages, in at least twenty windows. The handlers count for
//! themselves; a sender that crosses a twentieth of its messages (or of its time) notes how many have
//! been handled by now, and when. Between two notes both differences are exact, so what is in flight
//! at a boundary falsifies neither of the two windows. Pauses between bursts are left out of the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use examples_lib::interrupt;

use crate::plan::Until;
use crate::subsystems::Calls;

/// Windows of throughput in a run; a run of fewer messages has fewer.
pub(crate) const WINDOWS: u64 = 20;

/// Handled so far, and when, in nanoseconds since the start without pauses.
#[derive(Debug, Clone, Copy)]
struct Note {
    handled: u64,
    busy_ns: u64,
}

pub(crate) struct Pace {
    until: Until,
    calls: [Arc<Calls>; 2],
    started: OnceLock<Instant>,
    sent: AtomicU64,
    paused_ns: AtomicU64,
    /// The next boundary of a window: messages sent, or nanoseconds.
    boundary: AtomicU64,
    notes: Mutex<Vec<Note>>,
    failure: Mutex<Option<anyhow::Error>>,
    has_failed: AtomicBool,
}

impl Pace {
    pub(crate) fn new(until: Until, calls: [Arc<Calls>; 2]) -> Self {
        let pace = Pace {
            until,
            calls,
            started: OnceLock::new(),
            sent: AtomicU64::new(0),
            paused_ns: AtomicU64::new(0),
            boundary: AtomicU64::new(0),
            notes: Mutex::new(Vec::with_capacity(WINDOWS as usize + 2)),
            failure: Mutex::new(None),
            has_failed: AtomicBool::new(false),
        };
        pace.boundary.store(pace.window(), Ordering::Relaxed);
        pace
    }

    /// A window's width: messages, or nanoseconds.
    fn window(&self) -> u64 {
        match self.until {
            Until::Messages(messages) => (messages / WINDOWS).max(1),
            Until::Elapsed(duration) => (duration.as_nanos() as u64 / WINDOWS).max(1),
        }
    }

    /// The measured part begins.
    pub(crate) fn start(&self) -> Instant {
        let now = *self.started.get_or_init(Instant::now);
        self.note(now);
        now
    }

    /// Time since the start, pauses included.
    fn elapsed(&self, now: Instant) -> Duration {
        self.started
            .get()
            .map_or(Duration::ZERO, |started| now - *started)
    }

    /// A sender has sent `count` more messages.
    #[inline]
    pub(crate) fn advance(&self, count: u64) {
        let sent = self.sent.fetch_add(count, Ordering::Relaxed) + count;
        let at = match self.until {
            Until::Messages(_) => sent,
            Until::Elapsed(_) => self.elapsed(Instant::now()).as_nanos() as u64,
        };
        let last = self.window() * (WINDOWS - 1);
        let boundary = self.boundary.load(Ordering::Relaxed);
        if at < boundary || boundary > last {
            // The last window ends when all has been handled: see `finish`.
            return;
        }
        let next = (at / self.window() + 1) * self.window();
        let is_mine =
            self.boundary
                .compare_exchange(boundary, next, Ordering::Relaxed, Ordering::Relaxed);
        if is_mine.is_ok() {
            self.note(Instant::now());
        }
    }

    fn note(&self, now: Instant) {
        let handled = self.calls.iter().map(|calls| calls.get()).sum();
        let busy_ns = (self.elapsed(now) - self.paused()).as_nanos() as u64;
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(Note { handled, busy_ns });
    }

    /// The measured part has ended: everything has been handled. Returns how long it took.
    pub(crate) fn finish(&self, now: Instant) -> Duration {
        self.note(now);
        self.elapsed(now)
    }

    /// A pause has been made.
    pub(crate) fn pause_was(&self, pause: Duration) {
        self.paused_ns
            .fetch_add(pause.as_nanos() as u64, Ordering::Relaxed);
    }

    /// All pauses so far.
    pub(crate) fn paused(&self) -> Duration {
        Duration::from_nanos(self.paused_ns.load(Ordering::Relaxed))
    }

    /// A send failed: the run ends.
    pub(crate) fn fail(&self, error: anyhow::Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.has_failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn failure(&self) -> Option<String> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map(|error| format!("{error:#}"))
    }

    /// True if senders are to stop before they have sent all of their share.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        interrupt::is_wanted()
            || self.has_failed.load(Ordering::Relaxed)
            || matches!(self.until, Until::Elapsed(duration) if self.elapsed(Instant::now()) >= duration)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How much of the run is done: 0 to 1.
    pub(crate) fn done(&self) -> f64 {
        match self.until {
            Until::Messages(messages) => self.sent() as f64 / messages as f64,
            Until::Elapsed(duration) => {
                self.elapsed(Instant::now()).as_secs_f64() / duration.as_secs_f64()
            }
        }
    }

    /// The throughput of every window, in messages handled per second.
    pub(crate) fn windows(&self) -> Vec<f64> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = notes
            .windows(2)
            .filter(|pair| pair[1].busy_ns > pair[0].busy_ns);
        windows
            .map(|pair| {
                let handled = pair[1].handled.saturating_sub(pair[0].handled);
                handled as f64 * 1e9 / (pair[1].busy_ns - pair[0].busy_ns) as f64
            })
            .collect()
    }
}
