//! The way of a reply: who of the two, host and asker, ends up with the envelope.
//!
//! An ask leaves its envelope with the host; the handler's reply is written into the same envelope,
//! which then passes to the asker. An asker may go away at any time. One swap by each side decides:
//! whoever comes second owns the envelope and returns it to the pool.

use std::task::Waker;

use crate::fate::{self, Point};
use crate::sync::{AtomicU8, AtomicU64, AtomicWaker, Ordering};

/// The host works on it, and nobody waits yet.
const PENDING: u8 = 0;
/// The asker has left its waker.
const WAITING: u8 = 1;
const REPLIED: u8 = 2;
const ABANDONED: u8 = 3;

#[derive(Debug)]
pub(crate) struct ReplySlot {
    state: AtomicU8,
    asker: AtomicWaker,
    /// When it was asked, and when the asker gives up, as a `Due` has it.
    asked: AtomicU64,
    due: AtomicU64,
}

impl ReplySlot {
    pub(crate) fn new() -> Self {
        ReplySlot {
            state: AtomicU8::new(PENDING),
            asker: AtomicWaker::new(),
            asked: AtomicU64::new(0),
            due: AtomicU64::new(0),
        }
    }

    /// Made ready for the next ask by the envelope's owner.
    pub(crate) fn reset(&self, asked: u64, due: u64) {
        self.asked.store(asked, Ordering::Relaxed);
        self.due.store(due, Ordering::Relaxed);
        self.state.store(PENDING, Ordering::Relaxed);
    }

    /// When it was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// When the asker gives up.
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// True if the asker has gone away: nobody wants the reply.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ABANDONED
    }

    /// Wakes the asker if it waits, so that it looks at the time. An envelope that carries something
    /// else by now loses nothing: an asker may be woken for nothing.
    pub(crate) fn remind(&self) {
        if self.state.load(Ordering::Relaxed) == WAITING {
            self.asker.wake();
        }
    }

    /// The host has written the reply. True: the asker has the envelope now, and is woken. False: the
    /// asker has gone; the host keeps the envelope.
    #[inline]
    pub(crate) fn reply(&self) -> bool {
        match self.state.swap(REPLIED, Ordering::AcqRel) {
            PENDING => true,
            WAITING => {
                // The asker may have read the reply already and the envelope may carry another ask
                // by now; then this wakes that ask for nothing, which is harmless.
                self.asker.wake();
                true
            }
            _ => false,
        }
    }

    /// The asker goes away. True: the host has replied before, the envelope is the asker's to
    /// return. False: the host will see it and return the envelope.
    pub(crate) fn abandon(&self) -> bool {
        // The waker could keep the asker's task alive. It must go first: after the swap the envelope
        // may serve another ask, whose waker is not ours to take.
        drop(self.asker.take());
        self.state.swap(ABANDONED, Ordering::AcqRel) == REPLIED
    }

    /// True if the reply is there: the caller, the asker, owns the envelope from now on. Otherwise
    /// `waker` will be woken.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        if self.state.load(Ordering::Acquire) == REPLIED {
            return true;
        }
        self.asker.register(waker);
        fate::preempt(Point::Asker);
        let waits =
            self.state
                .compare_exchange(PENDING, WAITING, Ordering::AcqRel, Ordering::Acquire);
        let replied = waits == Err(REPLIED);
        if replied {
            // The host may not wake, or have woken before; left here, the waker would keep the asker's
            // task alive.
            drop(self.asker.take());
        }
        replied
    }
}
