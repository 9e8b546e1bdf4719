//! The steps of `futures_util::task::AtomicWaker`, one by one, on loom's atomics.
//!
//! loom has an `AtomicWaker` of its own, which is a lock: there a second `take` waits for the first,
//! and so orders more than the real one, whose second `take` comes away with nothing. The difference
//! matters where a late wake-up meets the next ask, so the models run on the real steps.
//!
//! The cell is touched only by the thread that moved the state away from `WAITING`; loom reports a
//! race if that is ever untrue.
#![allow(unsafe_code)]

use std::fmt;
use std::task::Waker;

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Release};

const WAITING: usize = 0;
const REGISTERING: usize = 0b01;
const WAKING: usize = 0b10;

pub(crate) struct AtomicWaker {
    state: AtomicUsize,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the cell is touched only by the thread that holds the state (see the top).
unsafe impl Sync for AtomicWaker {}

impl AtomicWaker {
    pub(crate) fn new() -> Self {
        AtomicWaker {
            state: AtomicUsize::new(WAITING),
            waker: UnsafeCell::new(None),
        }
    }

    pub(crate) fn register(&self, waker: &Waker) {
        match self
            .state
            .compare_exchange(WAITING, REGISTERING, Acquire, Acquire)
            .unwrap_or_else(|state| state)
        {
            WAITING => {
                self.replace(Some(waker.clone()));
                if self
                    .state
                    .compare_exchange(REGISTERING, WAITING, AcqRel, Acquire)
                    .is_err()
                {
                    // Someone woke meanwhile and could not reach the cell.
                    let waker = self.replace(None);
                    self.state.swap(WAITING, AcqRel);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
            }
            WAKING => {
                // The task comes back at once, until the other is done: tell loom to let that run.
                waker.wake_by_ref();
                loom::thread::yield_now();
            }
            state => assert_eq!(state & REGISTERING, 0, "two register at once"),
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        if self.state.fetch_or(WAKING, AcqRel) != WAITING {
            return None;
        }
        let waker = self.replace(None);
        self.state.swap(WAITING, Release);
        waker
    }

    fn replace(&self, with: Option<Waker>) -> Option<Waker> {
        self.waker.with_mut(|waker| {
            // SAFETY: this thread holds the state.
            std::mem::replace(unsafe { &mut *waker }, with)
        })
    }
}

impl Default for AtomicWaker {
    fn default() -> Self {
        AtomicWaker::new()
    }
}

impl fmt::Debug for AtomicWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtomicWaker")
    }
}
