//! The ledger: the exact account of every message.
//!
//! Senders count the accepted messages, in the mailbox's own word. The receiver counts how each message ended. Since
//! different code writes the two, a message that is lost or handled twice shows: at any quiet moment `sent = handled +
//! failed + dropped + expired + undeliverable`, and nothing waits.

use std::ops::AddAssign;

use crate::base::sync::{AtomicU64, Ordering};

/// The account of a subsystem's messages, or of a whole system's.
///
/// # Examples
/// ```
/// let ledger = mycelia::observe::Ledger::default();
/// assert!(ledger.closes() && ledger.is_quiet());
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Accepted messages.
    pub sent: u64,
    /// Messages whose handler came to its end.
    pub handled: u64,
    /// Messages whose handler returned an error, panicked, or was cut off.
    pub failed: u64,
    /// Messages dropped by an overflow policy, by a [clear](crate::System::clear), or by a fault of the test kit.
    pub dropped: u64,
    /// Messages whose deadline passed before a handler began.
    pub expired: u64,
    /// Messages that were accepted and then found no handler: their subsystem stopped or changed.
    pub undeliverable: u64,
    /// Messages accepted and not ended: in the mailbox or in a handler.
    pub waiting: u64,
    /// The difference between the messages that the mailbox took in and those that it gave out: always 0.
    pub mismatched: u64,
}

impl Ledger {
    /// Messages that have ended, one way or another.
    pub fn ended(&self) -> u64 {
        self.handled + self.failed + self.dropped + self.expired + self.undeliverable
    }

    /// True if every accepted message is accounted for: ended or waiting, each once.
    pub fn closes(&self) -> bool {
        self.mismatched == 0 && self.sent == self.ended() + self.waiting
    }

    /// True if nothing waits.
    pub fn is_quiet(&self) -> bool {
        self.waiting == 0
    }

    pub(crate) fn minus(&self, earlier: &Ledger) -> Ledger {
        Ledger {
            sent: self.sent - earlier.sent,
            handled: self.handled - earlier.handled,
            failed: self.failed - earlier.failed,
            dropped: self.dropped - earlier.dropped,
            expired: self.expired - earlier.expired,
            undeliverable: self.undeliverable - earlier.undeliverable,
            waiting: self.waiting,
            mismatched: self.mismatched - earlier.mismatched,
        }
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Ledger) {
        self.include(other);
    }
}

impl Ledger {
    /// Adds another account to this one.
    pub(crate) fn include(&mut self, other: Ledger) {
        let add = |mine: &mut u64, others: u64| *mine = mine.saturating_add(others);
        add(&mut self.sent, other.sent);
        add(&mut self.handled, other.handled);
        add(&mut self.failed, other.failed);
        add(&mut self.dropped, other.dropped);
        add(&mut self.expired, other.expired);
        add(&mut self.undeliverable, other.undeliverable);
        add(&mut self.waiting, other.waiting);
        add(&mut self.mismatched, other.mismatched);
    }
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Handled,
    Failed,
    /// By a clear of the mailbox, or a fault of the test kit; what an overflow policy drops its sender counts.
    Dropped,
    Expired,
    Undeliverable,
}

/// The receiver's side of the ledger: one writer, the host; any number of readers.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    finished: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    expired: AtomicU64,
    undeliverable: AtomicU64,
    mismatched: AtomicU64,
}

/// Endings not entered yet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    handled: u32,
    /// The sum of those below: in most tallies there are none.
    others: u32,
    failed: u32,
    dropped: u32,
    expired: u32,
    undeliverable: u32,
}

impl Tally {
    #[inline]
    pub(crate) fn add(&mut self, ending: Ending) {
        let other = match ending {
            Ending::Handled => {
                self.handled += 1;
                return;
            }
            Ending::Failed => &mut self.failed,
            Ending::Dropped => &mut self.dropped,
            Ending::Expired => &mut self.expired,
            Ending::Undeliverable => &mut self.undeliverable,
        };
        *other += 1;
        self.others += 1;
    }
}

fn add(counter: &AtomicU64, n: u32) {
    // One writer: a load and a store do.
    counter.store(
        counter.load(Ordering::Relaxed) + u64::from(n),
        Ordering::Relaxed,
    );
}

impl Endings {
    /// Enters endings; returns how many they are.
    pub(crate) fn enter(&self, tally: &mut Tally) -> u32 {
        let (handled, others) = (tally.handled, tally.others);
        add(&self.handled, handled);
        tally.handled = 0;
        if others > 0 {
            add(&self.failed, tally.failed);
            add(&self.dropped, tally.dropped);
            add(&self.expired, tally.expired);
            add(&self.undeliverable, tally.undeliverable);
            *tally = Tally::default();
        }
        let total = handled + others;
        let finished = self.finished.load(Ordering::Relaxed) + u64::from(total);
        // Release: who sees the total sees its parts, and what the handlers did.
        self.finished.store(finished, Ordering::Release);
        total
    }

    /// Notes that the mailbox gave out `off` messages more or fewer than it took in.
    pub(crate) fn tear(&self, off: u64) {
        add(&self.mismatched, u32::try_from(off).unwrap_or(u32::MAX));
    }

    pub(crate) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }

    /// How messages have ended; what was sent, and what waits, is for the caller to add.
    pub(crate) fn read(&self) -> Ledger {
        Ledger {
            sent: 0,
            handled: self.handled.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
            undeliverable: self.undeliverable.load(Ordering::Relaxed),
            waiting: 0,
            mismatched: self.mismatched.load(Ordering::Relaxed),
        }
    }
}
