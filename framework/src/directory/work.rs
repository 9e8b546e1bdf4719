//! What a host is at, as the supervisor sees it: two plain stores a turn.
//!
//! The host alone writes it. The supervisor compares what it sees with what it saw before: a handler that has not
//! returned shows the same number of work, in a turn or between two. The numbers wrap; that they come round to the
//! same one between all looks of many seconds is as good as impossible.

use crate::base::sync::{AtomicU32, Ordering};

/// From low to high: the [state](WorkState), how many turns the work has had, the number of the work.
pub(crate) struct WorkCell(AtomicU32);

const STATE: u32 = 0b11;
const IN_TURN: u32 = 1;
const WAITS: u32 = 2;
/// One more turn of the same work.
const TURN: u32 = 1 << 2;
const TURNS: u32 = 0xff << 2;
/// The next work.
const NEXT: u32 = 1 << 10;

/// What a host was at when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkMark(u32);

impl WorkMark {
    /// True if it has begun something that has not ended.
    pub(crate) fn is_under_way(self) -> bool {
        self.0 & STATE != 0
    }

    /// True if its thread is in that turn.
    pub(crate) fn is_in_turn(self) -> bool {
        self.0 & STATE == IN_TURN
    }

    /// True if both are the same handler, or the same turn of several.
    pub(crate) fn is_same(self, other: WorkMark) -> bool {
        self.0 / NEXT == other.0 / NEXT
    }
}

impl WorkCell {
    pub(crate) fn new() -> Self {
        WorkCell(AtomicU32::new(0))
    }

    /// A turn begins; it goes on with a handler that waited, or with something new.
    #[inline(always)]
    pub(crate) fn begin_turn(&self, goes_on: bool) {
        if goes_on {
            return self.go_on();
        }
        // It was idle: its state is 0.
        let word = self.0.load(Ordering::Relaxed);
        let next = word.wrapping_add(NEXT | IN_TURN);
        self.0.store(next, Ordering::Relaxed);
    }

    #[cold]
    fn go_on(&self) {
        let word = self.0.load(Ordering::Relaxed) & !STATE;
        let turn = word.wrapping_add(TURN) & TURNS;
        let next = word & !TURNS | turn | IN_TURN;
        self.0.store(next, Ordering::Relaxed);
    }

    /// In a turn: the handler that waited has ended.
    pub(crate) fn next(&self) {
        let word = self.0.load(Ordering::Relaxed);
        self.0.store(word.wrapping_add(NEXT), Ordering::Relaxed);
    }

    /// The turn ends; a handler waits, or none.
    #[inline(always)]
    pub(crate) fn end_turn(&self, waits: bool) {
        let mut word = self.0.load(Ordering::Relaxed) & !STATE;
        if waits {
            word |= WAITS;
        }
        self.0.store(word, Ordering::Relaxed);
    }

    pub(crate) fn look(&self) -> WorkMark {
        WorkMark(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_the_same_over_all_its_turns_and_the_next_is_another() {
        let cell = WorkCell::new();
        assert!(!cell.look().is_under_way());
        cell.begin_turn(false);
        let first = cell.look();
        assert!(first.is_in_turn());
        cell.end_turn(true);
        for _ in 0..1_000 {
            let waiting = cell.look();
            assert!(waiting.is_same(first) && waiting.is_under_way() && !waiting.is_in_turn());
            cell.begin_turn(true);
            assert!(cell.look().is_same(first) && cell.look().is_in_turn());
            cell.end_turn(true);
        }
        cell.begin_turn(true);
        cell.next();
        assert!(cell.look().is_in_turn() && !cell.look().is_same(first));
        cell.end_turn(false);
        assert!(!cell.look().is_under_way());
        let before = cell.look();
        cell.begin_turn(false);
        assert!(!cell.look().is_same(before));
    }

    #[test]
    fn the_numbers_come_round() {
        let cell = WorkCell(AtomicU32::new(!STATE));
        cell.begin_turn(true);
        assert!(cell.look().is_same(WorkMark(u32::MAX)));
        cell.next();
        cell.end_turn(false);
        assert!(cell.look().is_same(WorkMark(0)));
    }
}
