//! Readings of the clock that several messages share, where a system is set to [`Stamps::Shared`].

use std::cell::Cell;

use crate::base::clock::{Clock, Stamp};

/// How many readings of the clock a message gets.
///
/// # Examples
/// ```
/// # use mycelia::prelude::*;
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let builder = System::builder().stamps(mycelia::observe::Stamps::Shared);
/// let system = builder.start().await?;
/// assert_eq!(system.snapshot().stamps, mycelia::observe::Stamps::Shared);
/// # system.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamps {
    /// Three of its own: when it was sent, when its handler began and when that ended.
    #[default]
    Own,
    /// It shares them with its neighbours, which halves the cost of a short message. Every message is
    /// recorded all the same, with less truth in each record:
    ///
    /// - Up to 16 messages that a thread sends in a row to subsystems at work count as sent when the
    ///   first of them was, at most some 10 ms before. One that wakes its receiver gets its own stamp.
    /// - Up to 16 messages that a subsystem handles in a row share the time that they took together
    ///   evenly; as soon as 16 take more than 20 µs, each is timed by itself again.
    Shared,
}

/// Most messages that share a reading.
pub(crate) const SHARE: u32 = 16;

/// A thread's last reading, for those who share it.
#[derive(Debug, Default)]
pub(crate) struct SharedStamp {
    at: Cell<u64>,
    left: Cell<u32>,
    tick: Cell<u32>,
}

impl SharedStamp {
    /// The stamp of a message sent in the supervisor's interval `tick`; later than the one before it.
    #[inline]
    pub(crate) fn next(&self, clock: &Clock, tick: u32) -> Stamp {
        let left = self.left.get();
        if left == 0 || self.tick.get() != tick {
            return self.renew(clock.now(), tick);
        }
        self.left.set(left - 1);
        // Traces are told apart by it.
        let at = self.at.get() + 1;
        self.at.set(at);
        Stamp(at)
    }

    /// Lets the next messages share this reading.
    #[inline]
    pub(crate) fn renew(&self, now: Stamp, tick: u32) -> Stamp {
        self.at.set(now.0);
        self.left.set(SHARE - 1);
        self.tick.set(tick);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn sixteen_share_a_reading_and_none_has_the_same_stamp() {
        let (clock, hand) = Clock::manual();
        let shared = SharedStamp::default();
        let first = shared.next(&clock, 1);
        let mut last = first;
        for _ in 1..SHARE {
            hand.advance(Duration::from_micros(1));
            let next = shared.next(&clock, 1);
            assert_eq!(next.0, last.0 + 1);
            last = next;
        }
        assert_eq!(shared.next(&clock, 1), clock.now());
    }

    #[test]
    fn none_shares_a_reading_of_an_earlier_interval() {
        let (clock, hand) = Clock::manual();
        let shared = SharedStamp::default();
        shared.next(&clock, 1);
        hand.advance(Duration::from_millis(10));
        assert_eq!(shared.next(&clock, 2), clock.now());
    }
}
