//! Lanes: every thread that sends or handles messages has a free list of its own.
//!
//! A thread takes envelopes from its own lane and returns the ones it has handled there, so the common case
//! touches no memory that another thread writes. A thread whose lane is empty takes all that another lane holds.
//! The pool's index of lanes, a `DashMap` by thread, is used only when a thread first meets a pool. After that
//! the thread remembers its lane, see [`crate::thread`].

use super::stack::Stack;
use crate::base::sync::{AtomicU64, Ordering};

/// One thread's free list and its share of the pool's counts.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Lane {
    pub(crate) stack: Stack,
    /// How many envelopes the thread has taken.
    pub(crate) acquired: Count,
    /// How many envelopes the thread has returned.
    pub(crate) released: Count,
    /// How many messages it has sent that were too large to lie inside.
    pub(crate) boxed: Count,
    /// How many of its sends were refused.
    pub(crate) refused: Count,
}

/// A counter with one writer, the lane's thread, and any number of readers.
#[derive(Debug)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn new() -> Self {
        Count(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn add(&self, n: u64) {
        let now = self.0.load(Ordering::Relaxed);
        // Release: a reader that sees that an envelope came back also sees that it was taken, perhaps in another
        // lane.
        self.0.store(now + n, Ordering::Release);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Lane {
    pub(crate) fn new() -> Self {
        Lane {
            stack: Stack::new(),
            acquired: Count::new(),
            released: Count::new(),
            boxed: Count::new(),
            refused: Count::new(),
        }
    }
}
