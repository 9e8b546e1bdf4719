//! The way of a reply: who of the two, host and asker, ends up with the envelope.
//!
//! An ask leaves its envelope with the host; the handler's reply is written into the same envelope,
//! which then passes to the asker. An asker may go away at any time. One swap by each side decides:
//! whoever comes second owns the envelope and returns it to the pool.

use std::task::Waker;

use crate::sync::{AtomicU8, AtomicWaker, Ordering};

const PENDING: u8 = 0;
const REPLIED: u8 = 1;
const ABANDONED: u8 = 2;

#[derive(Debug)]
pub(crate) struct ReplySlot {
    state: AtomicU8,
    asker: AtomicWaker,
}

impl ReplySlot {
    pub(crate) fn new() -> Self {
        ReplySlot {
            state: AtomicU8::new(PENDING),
            asker: AtomicWaker::new(),
        }
    }

    /// Made ready for the next ask by the envelope's owner.
    pub(crate) fn reset(&self) {
        self.state.store(PENDING, Ordering::Relaxed);
    }

    /// The host has written the reply. True: the asker has the envelope now, and is woken. False: the
    /// asker has gone; the host keeps the envelope.
    pub(crate) fn reply(&self) -> bool {
        let replied = self.state.swap(REPLIED, Ordering::AcqRel) == PENDING;
        if replied {
            // The asker may have read the reply already and the envelope may carry another ask by
            // now; then this wakes that ask for nothing, which is harmless.
            self.asker.wake();
        }
        replied
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
        let replied = self.state.load(Ordering::Acquire) == REPLIED;
        if replied {
            // The host may have woken before; left here, the waker would keep the asker's task alive.
            drop(self.asker.take());
        }
        replied
    }
}
