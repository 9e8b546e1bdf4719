//! Where a mounted subsystem is in its life, as the keepers and its parents' mounts see it.
//!
//! One cell holds it, so that no two parts of it can contradict each other. Its host writes that it is down, or
//! up again; the registry writes the rest. A state only gives way as [`LifeState`] says.

use crate::base::sync::{AtomicU32, Ordering};

/// In this order a subsystem goes to its end; before that, [`Down`](Self::Down) goes back to
/// [`Up`](Self::Up).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum LifeState {
    /// It has its value.
    Up,
    /// It has failed, or was halted, and is restarted.
    Down,
    /// Its children are ended, since it is restarted with others or has some.
    Halting,
    /// It takes no child any more: it ends, or is unmounted.
    Leaving,
    /// No path leads to it any more.
    Gone,
    /// Its account is kept, and its mailbox may have been given to another.
    Retired,
}

/// A [`LifeState`], and how often children were ended because of a restart.
#[derive(Debug)]
pub(crate) struct LifeCell(AtomicU32);

const STATE: u32 = 0x7f;
/// Paths lead to another in its place: see [`Directory::replace`](super::Directory::replace).
const REPLACED: u32 = 0x80;
const HALT: u32 = 0x100;

impl LifeState {
    fn of(bits: u32) -> Self {
        match bits & STATE {
            0 => LifeState::Up,
            1 => LifeState::Down,
            2 => LifeState::Halting,
            3 => LifeState::Leaving,
            4 => LifeState::Gone,
            _ => LifeState::Retired,
        }
    }
}

impl LifeCell {
    pub(crate) fn new() -> Self {
        LifeCell(AtomicU32::new(LifeState::Up as u32))
    }

    pub(crate) fn state(&self) -> LifeState {
        LifeState::of(self.0.load(Ordering::SeqCst))
    }

    /// True if no path leads to it any more. On every message's way.
    #[inline]
    pub(crate) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Acquire) & (STATE | REPLACED) >= LifeState::Gone as u32
    }

    /// No path leads to it any more, though it goes on.
    pub(crate) fn replace(&self) {
        self.0.fetch_or(REPLACED, Ordering::SeqCst);
    }

    /// How often its children have been ended because it was restarted: a child that was asked for before
    /// belongs to a value that is no more.
    pub(crate) fn halts(&self) -> u32 {
        self.0.load(Ordering::Relaxed) / HALT
    }

    /// It has failed, or has halted. Written by its host.
    pub(crate) fn go_down(&self) {
        self.change(|state| (state == LifeState::Up).then_some(LifeState::Down));
    }

    /// It has a value again. Written by its host.
    pub(crate) fn come_up(&self) {
        self.change(|state| (state == LifeState::Down).then_some(LifeState::Up));
    }

    /// Its children are ended because it is restarted; what was asked to be mounted below it before is refused.
    /// Written by the registry.
    pub(crate) fn halt(&self) {
        self.0.fetch_add(HALT, Ordering::SeqCst);
        self.change(|state| (state < LifeState::Halting).then_some(LifeState::Halting));
    }

    /// Its children have ended; it is down until its host has a value again. Written by the registry.
    pub(crate) fn has_halted(&self) {
        self.change(|state| (state == LifeState::Halting).then_some(LifeState::Down));
    }

    /// Goes on to a state near its end. True if it was not there before.
    pub(crate) fn end_at(&self, end: LifeState) -> bool {
        self.change(|state| (state < end).then_some(end))
    }

    // In one order with what `Mounted::restarts_alone` and a mount look at: one of them sees the other.
    fn change(&self, next: impl Fn(LifeState) -> Option<LifeState>) -> bool {
        let next = |bits| Some(bits & !STATE | next(LifeState::of(bits))? as u32);
        let changed = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        changed.is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_restart_that_concerns_others_is_over_when_the_host_has_a_value_again() {
        let life = LifeCell::new();
        life.go_down();
        life.halt();
        // It was about to restart by itself.
        life.come_up();
        assert_eq!(life.state(), LifeState::Halting);
        life.go_down();
        life.has_halted();
        assert_eq!((life.state(), life.halts()), (LifeState::Down, 1));
        life.come_up();
        assert_eq!((life.state(), life.halts()), (LifeState::Up, 1));
    }

    #[test]
    fn the_way_to_the_end_has_no_way_back() {
        let life = LifeCell::new();
        assert!(life.end_at(LifeState::Leaving));
        for back in [
            LifeCell::go_down,
            LifeCell::come_up,
            LifeCell::halt,
            LifeCell::has_halted,
        ] {
            back(&life);
            assert_eq!(life.state(), LifeState::Leaving);
        }
        assert!(!life.is_gone());
        assert!(life.end_at(LifeState::Retired));
        assert!(!life.end_at(LifeState::Gone));
        assert!(!life.end_at(LifeState::Retired));
        assert!(life.is_gone());
    }
}
