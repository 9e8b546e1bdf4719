//! The way of a reply: who of the two, host and asker, ends up with the envelope.
//!
//! An ask leaves its envelope with the host; the handler's reply is written into the same envelope,
//! which then passes to the asker. An asker may go away at any time. One swap by each side decides:
//! whoever comes second owns the envelope and returns it to the pool.

use std::task::Waker;

use crate::sync::{AtomicU8, AtomicWaker, Ordering};

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
