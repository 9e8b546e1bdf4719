//! The clock: what gives every message its time stamps.
//!
//! A parameter of the system, never a global. The default reads the processor's time-stamp counter
//! through `quanta` where that is invariant and synchronised, else the monotonic clock. Stamps are the
//! clock's raw values; they become nanoseconds only when a latency is recorded.

use std::time::Duration;

/// The source of time of a system.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let (clock, hand) = mycelia::Clock::manual();
/// let start = clock.now();
/// hand.advance(Duration::from_millis(5));
/// assert_eq!(clock.between_ns(start, clock.now()), 5_000_000);
/// ```
#[derive(Debug, Clone)]
pub struct Clock(quanta::Clock);

/// Turns a manual clock forward.
#[derive(Debug, Clone)]
pub struct ClockHand(std::sync::Arc<quanta::Mock>);

/// An instant of one clock, as its raw value; only differences mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub(crate) u64);

impl Default for Clock {
    fn default() -> Self {
        Clock(quanta::Clock::new())
    }
}

impl Clock {
    /// A clock that stands still until its hand is turned: for tests.
    pub fn manual() -> (Clock, ClockHand) {
        let (clock, mock) = quanta::Clock::mock();
        // Zero means "never" where a stamp is optional.
        mock.increment(1_u64);
        (Clock(clock), ClockHand(mock))
    }

    /// Reads the clock.
    #[inline]
    pub fn now(&self) -> Stamp {
        Stamp(self.0.raw())
    }

    /// Nanoseconds from `earlier` to `later`; 0 if they are the other way round.
    #[inline]
    pub fn between_ns(&self, earlier: Stamp, later: Stamp) -> u64 {
        self.0.delta_as_nanos(earlier.0, later.0)
    }

    /// The stamp that lies `ahead` of `from`.
    ///
    /// The raw unit is found by measuring the clock against itself, to about one part in a million.
    pub(crate) fn after(&self, from: Stamp, ahead: Duration) -> Stamp {
        const PROBE: u64 = 1 << 40;
        let ns_per_raw = self.0.delta_as_nanos(0, PROBE) as f64 / PROBE as f64;
        let raw = ahead.as_nanos() as f64 / ns_per_raw.max(f64::MIN_POSITIVE);
        Stamp(from.0.saturating_add(raw as u64).max(1))
    }
}

impl ClockHand {
    /// Turns the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.increment(by);
    }
}
