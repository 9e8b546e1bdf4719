//! The time of a simulation: tokio's, paused, and a manual clock that follows it.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, ClockHand};

/// The clock may be so far ahead of tokio's timers: bringing these up costs a round of the executor.
const AHEAD_NS: u64 = 200_000;

pub(super) struct Time {
    pub(super) clock: Clock,
    hand: ClockHand,
    begun: Instant,
    /// What the clock shows.
    shown_ns: Cell<u64>,
    /// How much more that is than tokio knows of.
    ahead_ns: Cell<u64>,
}

impl Time {
    /// To be called within the runtime.
    pub(super) fn new() -> Self {
        let (clock, hand) = Clock::manual();
        Time {
            clock,
            hand,
            begun: Instant::now(),
            shown_ns: Cell::new(0),
            ahead_ns: Cell::new(0),
        }
    }

    /// What the clock shows.
    pub(super) fn ns(&self) -> u64 {
        self.shown_ns.get()
    }

    /// Lets time pass while somebody works.
    pub(super) fn spend(&self, ns: u64) {
        self.ahead_ns.set(self.ahead_ns.get() + ns);
        self.show(self.shown_ns.get() + ns);
    }

    fn show(&self, ns: u64) {
        let before = self.shown_ns.replace(ns);
        self.hand.advance(Duration::from_nanos(ns - before));
    }

    /// Lets timers fire whose time has come; at once if `all`, else when there are enough of them.
    pub(super) async fn catch_up(&self, all: bool) {
        let ahead = self.ahead_ns.get();
        if ahead > 0 && (all || ahead >= AHEAD_NS) {
            self.ahead_ns.set(0);
            tokio::time::advance(Duration::from_nanos(ahead)).await;
        }
    }

    /// Follows tokio, which goes from timer to timer while nothing can be done.
    pub(super) fn follow(&self) {
        let now = self.begun.elapsed().as_nanos() as u64 + self.ahead_ns.get();
        if now > self.shown_ns.get() {
            self.show(now);
        }
    }
}
