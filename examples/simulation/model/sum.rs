//! What all messages of a simulation came to.

use mycelia::observe::Ledger;

/// What all messages of a simulation came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) messages: u64,
    pub(crate) handled: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
    pub(crate) expired: u64,
    pub(crate) undeliverable: u64,
    pub(crate) refused: u64,
    pub(crate) restarts: u64,
    /// Asks whose asker went away.
    pub(crate) given_up: u64,
    /// Times that a message was kept for later.
    pub(crate) kept: u64,
    /// Replies that were taken to be given later.
    pub(crate) later: u64,
    /// Messages of timers that came to a handler.
    pub(crate) fired: u64,
    /// The same of streams.
    pub(crate) items: u64,
    /// Timers and streams that were cancelled.
    pub(crate) cancelled: u64,
    /// Panics of the model's own code.
    pub(crate) panics: u64,
    /// Futures that were forgotten.
    pub(crate) forgotten: u64,
    /// Systems, those that were dropped under load among them.
    pub(crate) systems: u64,
    pub(crate) abandoned: u64,
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.messages += other.messages;
        self.handled += other.handled;
        self.failed += other.failed;
        self.dropped += other.dropped;
        self.expired += other.expired;
        self.undeliverable += other.undeliverable;
        self.refused += other.refused;
        self.restarts += other.restarts;
        self.given_up += other.given_up;
        self.kept += other.kept;
        self.later += other.later;
        self.fired += other.fired;
        self.items += other.items;
        self.cancelled += other.cancelled;
        self.panics += other.panics;
        self.forgotten += other.forgotten;
        self.systems += other.systems;
        self.abandoned += other.abandoned;
    }
}

impl Sum {
    /// What the ledger of one system says, and its senders.
    pub(crate) fn of(ledger: &Ledger, refused: u64, restarts: u64) -> Self {
        Sum {
            messages: ledger.sent,
            handled: ledger.handled,
            failed: ledger.failed,
            dropped: ledger.dropped,
            expired: ledger.expired,
            undeliverable: ledger.undeliverable,
            refused,
            restarts,
            ..Sum::default()
        }
    }
}
