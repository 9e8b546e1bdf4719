//! Readings of the clock that several messages share, in a system with [`Stamps::Shared`].

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
    /// Each message has three readings of its own: when it was sent, when its handler began, and when its handler
    /// ended.
    #[default]
    Own,
    /// Neighbouring messages share readings, which halves the cost of a short message. Every message is still
    /// recorded, but less exactly:
    ///
    /// - Up to 16 messages that a thread sends in a row to busy subsystems count as sent when the first
    ///   of them was, at most some 10 ms earlier. A message that wakes its receiver gets its own stamp.
    /// - Up to 16 messages that a subsystem handles in a row share their total time evenly. As soon as
    ///   16 of them take more than 20 µs, each is timed by itself again.
    Shared,
}

/// The most messages that share a reading.
pub(crate) const SHARE: u32 = 16;

/// A thread's last reading, shared by its next messages.
#[derive(Debug, Default)]
pub(crate) struct SharedStamp {
    /// The last stamp that was given out.
    at: Cell<u64>,
    /// How many more messages may share the reading.
    left: Cell<u32>,
    /// The supervisor's interval in which the clock was read.
    tick: Cell<u32>,
}

impl SharedStamp {
    /// Returns the stamp of a message sent in the supervisor's interval `tick`. It is later than the one before
    /// it.
    #[inline]
    pub(crate) fn next(&self, clock: &Clock, tick: u32) -> Stamp {
        let left = self.left.get();
        if left == 0 || self.tick.get() != tick {
            return self.renew(clock.now(), tick);
        }
        self.left.set(left - 1);
        // Stamps must differ: trace ids are made from them.
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
