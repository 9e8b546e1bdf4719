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
pub struct Clock {
    source: quanta::Clock,
    /// Nanoseconds per raw unit, times 2^32.
    scale: u64,
}

/// Turns a manual clock forward.
#[derive(Debug, Clone)]
pub struct ClockHand(std::sync::Arc<quanta::Mock>);

/// An instant of one clock, as its raw value; only differences mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub(crate) u64);

impl Default for Clock {
    fn default() -> Self {
        Clock::of(quanta::Clock::new())
    }
}

impl Clock {
    fn of(source: quanta::Clock) -> Self {
        // quanta knows its scale and does not tell it: it is read off a long interval.
        const PROBE: u64 = 1 << 40;
        let scale = (u128::from(source.delta_as_nanos(0, PROBE)) << 32) / u128::from(PROBE);
        Clock {
            source,
            scale: scale as u64,
        }
    }

    /// A clock that stands still until its hand is turned: for tests.
    pub fn manual() -> (Clock, ClockHand) {
        let (clock, mock) = quanta::Clock::mock();
        // Zero means "never" where a stamp is optional.
        mock.increment(1_u64);
        (Clock::of(clock), ClockHand(mock))
    }

    /// Reads the clock.
    #[inline]
    pub fn now(&self) -> Stamp {
        Stamp(self.source.raw())
    }

    /// Nanoseconds from `earlier` to `later`, to one part in 250 million; 0 if they are the other way
    /// round.
    #[inline]
    pub fn between_ns(&self, earlier: Stamp, later: Stamp) -> u64 {
        let raw = later.0.saturating_sub(earlier.0);
        ((u128::from(raw) * u128::from(self.scale)) >> 32) as u64
    }

    /// An interval in raw units, at least 1.
    pub(crate) fn ticks(&self, interval: Duration) -> u64 {
        let raw = (interval.as_nanos() << 32) / u128::from(self.scale.max(1));
        u64::try_from(raw).unwrap_or(u64::MAX).max(1)
    }
}

impl ClockHand {
    /// Turns the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.increment(by);
    }
}
