//! The clock: what gives every message its time stamps.
//!
//! The clock is a parameter of the system, never a global. The default reads the processor's time-stamp counter
//! through `quanta` where the counter is invariant and synchronised, else the monotonic clock. Stamps are the
//! clock's raw values; they are converted to nanoseconds only when a latency is recorded.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

#[cfg(not(loom))]
mod timers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

#[cfg(not(loom))]
pub(crate) use timers::{after, sleep_for, sleep_until};

/// The source of time of a system.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let (clock, hand) = mycelia::time::Clock::manual();
/// let start = clock.now();
/// hand.advance(Duration::from_millis(5));
/// assert_eq!(clock.between_ns(start, clock.now()), 5_000_000);
/// ```
#[derive(Debug, Clone)]
pub struct Clock {
    source: quanta::Clock,
    /// Nanoseconds per raw unit, times 2^32.
    scale: u64,
    is_manual: bool,
}

/// Turns a manual clock forward.
#[derive(Debug, Clone)]
pub struct ClockHand {
    mock: Arc<quanta::Mock>,
    /// Serializes calls of `advance`: two at once could go past the last instant.
    turning: Arc<Mutex<()>>,
}

/// An instant of one clock, as its raw value; only differences have a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub(crate) u64);

/// When a message expires, in the clock's raw values: never, or at a stamp, exactly or roughly.
///
/// A rough deadline is the default of every ask. No timer is kept for it; the supervisor checks it at its ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due(u64);

impl Due {
    pub(crate) const NEVER: Due = Due(0);
    const ROUGHLY: u64 = 1;

    #[inline]
    pub(crate) fn at(stamp: u64, roughly: bool) -> Self {
        Due(stamp.max(2) & !Self::ROUGHLY | u64::from(roughly))
    }

    /// The earlier of two.
    #[inline]
    pub(crate) fn min(self, other: Due) -> Due {
        match (self.0, other.0) {
            (0, _) => other,
            (_, 0) => self,
            (mine, theirs) if mine <= theirs => self,
            _ => other,
        }
    }

    #[inline]
    pub(crate) fn is_rough(self) -> bool {
        self.0 & Self::ROUGHLY != 0
    }

    /// True if this moment has passed.
    #[inline]
    pub(crate) fn is_past(self, now: Stamp) -> bool {
        // `NEVER` is 0, which wraps round to the largest value.
        self.0.wrapping_sub(1) < now.0
    }

    pub(crate) fn stamp(self) -> Option<Stamp> {
        (self.0 != 0).then_some(Stamp(self.0))
    }

    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    pub(crate) fn from_raw(raw: u64) -> Self {
        Due(raw)
    }
}

impl Default for Due {
    fn default() -> Self {
        Due::NEVER
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::of(quanta::Clock::new())
    }
}

impl Clock {
    #[expect(clippy::arithmetic_side_effects, reason = "divided by a number but 0")]
    pub(crate) fn of(source: quanta::Clock) -> Self {
        // quanta does not expose its scale, so it is computed from a long interval.
        const PROBE: u64 = 1 << 40;
        let scale = (u128::from(source.delta_as_nanos(0, PROBE)) << 32) / u128::from(PROBE);
        Clock {
            source,
            scale: scale as u64,
            is_manual: false,
        }
    }

    /// Makes a clock that advances only through its hand, for tests.
    ///
    /// All that the system measures or decides by its clock follows the hand: latencies, the age of dead letters,
    /// the deadlines of asks, also of [`ask_within`](crate::System::ask_within), the intensity of restarts, and
    /// the moment after which a backoff begins again at its first pause. An asker whose deadline passes when the
    /// hand is turned learns of it some 10 ms later.
    ///
    /// Waits follow tokio's clock instead: timers of subsystems ([`Context::after`](crate::Context::after),
    /// [`every`](crate::Context::every)), the pause before a restart, and the deadline of a stop.
    pub fn manual() -> (Clock, ClockHand) {
        let (clock, mock) = quanta::Clock::mock();
        // Zero means "never" where a stamp is optional.
        mock.increment(1_u64);
        let clock = Clock {
            is_manual: true,
            ..Clock::of(clock)
        };
        (clock, ClockHand::of(mock))
    }

    /// Reads the clock.
    #[inline]
    pub fn now(&self) -> Stamp {
        Stamp(self.source.raw())
    }

    /// Nanoseconds from `earlier` to `later`, to one part in 250 million; 0 if `later` is before `earlier`.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the product of two numbers below 2^64"
    )]
    pub fn between_ns(&self, earlier: Stamp, later: Stamp) -> u64 {
        let raw = later.0.saturating_sub(earlier.0);
        ((u128::from(raw) * u128::from(self.scale)) >> 32) as u64
    }

    /// True for a manual clock. No timer can follow one.
    pub(crate) fn is_manual(&self) -> bool {
        self.is_manual
    }

    /// An interval in raw units.
    #[expect(clippy::arithmetic_side_effects, reason = "divided by no 0")]
    pub(crate) fn ticks(&self, interval: Duration) -> u64 {
        let raw = (interval.as_nanos() << 32) / u128::from(self.scale.max(1));
        u64::try_from(raw).unwrap_or(u64::MAX)
    }
}

impl ClockHand {
    /// Far below the value at which a stamp, or the sum of two, would wrap.
    const LAST: u64 = u64::MAX / 2;

    pub(crate) fn of(mock: Arc<quanta::Mock>) -> Self {
        let turning = Arc::default();
        ClockHand { mock, turning }
    }

    /// Turns the clock forward. It stops at its last instant, 292 years after the first.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // The lock guards no data, so a poisoned one is as good.
        let _turning = self.turning.lock();
        let left = Self::LAST.saturating_sub(self.mock.value());
        self.mock.increment(by.min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_interval_is_too_long_for_a_clock() {
        let (clock, hand) = Clock::manual();
        for interval in [
            Duration::MAX,
            Duration::from_nanos(u64::MAX),
            Duration::ZERO,
        ] {
            let start = clock.now();
            hand.advance(interval);
            assert!(clock.now() >= start, "{interval:?}");
            let _ = (clock.ticks(interval), Clock::default().ticks(interval));
        }
        assert_eq!(clock.now(), Stamp(ClockHand::LAST));
    }
}
