//! The time of a simulation: tokio's, paused, and a manual clock that follows it.

use std::cell::Cell;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use mycelia::__test::simulated_clock;
use mycelia::time::{Clock, ClockHand};

/// How late timers may be. Firing them costs a round of the executor.
const LATE_NS: u64 = 200_000;

pub(super) struct Time {
    pub(super) clock: Clock,
    hand: ClockHand,
    begun: Instant,
    /// What the clock shows.
    shown_ns: Cell<u64>,
    /// What it showed when timers last fired.
    fired_ns: Cell<u64>,
}

impl Time {
    /// Must be called within the runtime.
    pub(super) fn new() -> Self {
        let (clock, hand) = simulated_clock();
        Time {
            clock,
            hand,
            begun: Instant::now(),
            shown_ns: Cell::new(0),
            fired_ns: Cell::new(0),
        }
    }

    /// What the clock shows.
    pub(super) fn ns(&self) -> u64 {
        self.shown_ns.get()
    }

    /// Lets time pass while a thread works. No timer fires before [`fire`](Self::fire).
    pub(super) fn spend(&self, time: Duration) {
        // The first poll advances tokio's clock; the rest of the future only lets the executor run.
        let mut advance = std::pin::pin!(tokio::time::advance(time));
        let _ = advance
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        self.follow();
    }

    /// Lets due timers fire, if the last time was some time ago.
    pub(super) async fn fire(&self) {
        if self.shown_ns.get() - self.fired_ns.get() >= LATE_NS {
            self.fired_ns.set(self.shown_ns.get());
            tokio::task::yield_now().await;
        }
    }

    /// Follows tokio's clock, which goes from timer to timer while no thread can run.
    pub(super) fn follow(&self) {
        let now_ns = self.begun.elapsed().as_nanos() as u64;
        let before_ns = self.shown_ns.replace(now_ns);
        self.hand.advance(Duration::from_nanos(now_ns - before_ns));
    }
}
