//! Messages whose reply was given after their handler had returned. `deferral → `**`returned`**` → host`
//!
//! A thread that answers adds the envelope here. The host takes all of them and ends them, so only the host
//! writes its subsystem's counts. The stack is only ever taken as a whole, so the ABA problem can't arise.
#![allow(unsafe_code)]

use crate::base::sync::{AtomicU32, Ordering};
use crate::envelope::token::{Chain, Links, NIL, Token};

/// See the module.
#[derive(Debug)]
pub(crate) struct Returned(AtomicU32);

impl Returned {
    pub(crate) fn new() -> Self {
        Returned(AtomicU32::new(NIL))
    }

    /// True if nothing is here.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NIL
    }

    pub(crate) fn push(&self, links: &Links, token: Token) {
        let index = token.surrender();
        let mut newest = self.0.load(Ordering::Relaxed);
        loop {
            links.set_next(index, newest);
            // Release: the host sees the envelope's content, and the link.
            match self
                .0
                .compare_exchange_weak(newest, index, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => newest = now,
            }
        }
    }

    /// Takes all envelopes, the oldest first.
    pub(crate) fn take(&self, links: &Links) -> Chain {
        let mut next = self.0.swap(NIL, Ordering::Acquire);
        let mut all = Chain::new();
        while next != NIL {
            let index = next;
            next = links.next(index);
            // SAFETY: the token was surrendered to the list, and this swap took the list off: it is given out
            // once.
            all.push_front(links, unsafe { Token::mint(index) });
        }
        all
    }
}
