//! The slice: how much of its thread a subsystem gets in a turn. `strategy → `**`slice`**` → turn`

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use crate::base::sync::{AtomicU64, Ordering};

/// How much a subsystem may do in one turn, before the others on its thread come round: a number of
/// messages, 1 or more; and perhaps a time.
///
/// No turn begins a message after [`LONGEST`](Self::LONGEST), whatever its slice says. A turn ends
/// between two messages: no handler is interrupted.
///
/// # Examples
/// ```
/// use mycelia::schedule::Slice;
/// use std::time::Duration;
///
/// let slice = Slice::new(100).within(Duration::from_micros(20));
/// assert_eq!(slice.messages(), 100);
/// assert_eq!(slice.time(), Some(Duration::from_micros(20)));
/// assert_eq!(Slice::new(0).messages(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    messages: u32,
    /// 0 for no time of its own.
    time_ns: u32,
}

impl Slice {
    /// The longest that any turn may go on beginning messages: 500 µs.
    pub const LONGEST: Duration = Duration::from_micros(500);

    /// The shortest [time](Self::within) that a slice can have: 1 µs.
    pub const SHORTEST: Duration = Duration::from_micros(1);

    /// A slice of that many messages, at least 1.
    pub const fn new(messages: u32) -> Self {
        let messages = if messages == 0 { 1 } else { messages };
        Slice {
            messages,
            time_ns: 0,
        }
    }

    /// The same slice with a time, from [`SHORTEST`](Self::SHORTEST) to [`LONGEST`](Self::LONGEST). Its turns take that
    /// *on average* while messages wait: no handler is interrupted, and the time that a turn takes too long is taken
    /// off those that follow. So the ratio of times is the ratio of shares, however long each handler takes.
    ///
    /// A subsystem passes on at most 1024 turns for one that took too long.
    #[must_use]
    pub const fn within(self, time: Duration) -> Self {
        let (shortest, longest) = (Self::SHORTEST.as_nanos(), Self::LONGEST.as_nanos());
        let time_ns = match time.as_nanos() {
            ns if ns < shortest => shortest as u32,
            ns if ns > longest => longest as u32,
            ns => ns as u32,
        };
        Slice { time_ns, ..self }
    }

    /// The same slice with another number of messages, at least 1.
    #[must_use]
    pub const fn with_messages(self, messages: u32) -> Self {
        Slice {
            time_ns: self.time_ns,
            ..Slice::new(messages)
        }
    }

    /// The number of messages.
    pub const fn messages(self) -> u32 {
        self.messages
    }

    /// The time, if it has one.
    pub const fn time(self) -> Option<Duration> {
        match self.time_ns {
            0 => None,
            time_ns => Some(Duration::from_nanos(time_ns as u64)),
        }
    }
}

impl Default for Slice {
    /// 64 messages: about 5 µs of handlers that do little.
    fn default() -> Self {
        Slice::new(64)
    }
}

/// Where the supervisor leaves a slice for the host.
#[derive(Debug)]
pub(crate) struct SliceCell(AtomicU64);

impl SliceCell {
    pub(crate) fn new(slice: Slice) -> Self {
        SliceCell(AtomicU64::new(raw(slice)))
    }

    #[inline]
    pub(crate) fn get(&self) -> Slice {
        let raw = self.0.load(Ordering::Relaxed);
        Slice {
            messages: raw as u32,
            time_ns: (raw >> 32) as u32,
        }
    }

    pub(crate) fn set(&self, slice: Slice) {
        self.0.store(raw(slice), Ordering::Relaxed);
    }
}

fn raw(slice: Slice) -> u64 {
    u64::from(slice.time_ns) << 32 | u64::from(slice.messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_stays_within_its_bounds_whatever_is_asked_for() {
        let time = |time| Slice::default().within(time).time().unwrap();
        assert_eq!(time(Duration::ZERO), Slice::SHORTEST);
        assert_eq!(
            time(Duration::from_nanos(7_001)),
            Duration::from_nanos(7_001)
        );
        assert_eq!(time(Duration::MAX), Slice::LONGEST);
        assert_eq!(Slice::new(0), Slice::new(1));
        assert_eq!(Slice::new(9).with_messages(0), Slice::new(1));
    }

    #[test]
    fn a_cell_gives_back_what_was_left_there() {
        let cell = SliceCell::new(Slice::default());
        assert_eq!(cell.get(), Slice::default());
        for slice in [
            Slice::new(u32::MAX).within(Slice::LONGEST),
            Slice::new(1).within(Duration::ZERO),
            Slice::new(3),
        ] {
            cell.set(slice);
            assert_eq!(cell.get(), slice);
        }
    }
}
