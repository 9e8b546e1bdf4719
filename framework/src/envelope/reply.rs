//! The way of a reply: who of the two, host and asker, ends up with the envelope.
//!
//! An ask leaves its envelope with the host; the handler's reply is written into the same envelope,
//! which then passes to the asker. An asker may go away at any time. One swap by each side decides:
//! anyone who comes second owns the envelope and returns it to the pool.
//!
//! The host's right is its [`Token`], the asker's is a [`Claim`]. Neither can be copied, and each way out of
//! here uses one of them up. So an asker that unwinds, or is dropped, at any point still has its claim or has
//! it no more: it can't take the envelope twice.
#![allow(unsafe_code)]

use std::task::Waker;

use crate::base::deferred::DeferredWakes;
use crate::base::sim::{self, Point};
use crate::base::sync::{AtomicU8, AtomicU64, Ordering};
use crate::base::user_code::discard;
use crate::base::waker_slot::WakerSlot;
use crate::envelope::token::Token;

/// The host works on it, and no one waits yet.
const PENDING: u8 = 0;
/// The asker has left its waker.
const WAITING: u8 = 1;
const REPLIED: u8 = 2;
const ABANDONED: u8 = 3;

/// An asker's right to the reply, and with it to the envelope. One that is forgotten costs the pool an
/// envelope.
#[derive(Debug)]
#[must_use = "a claim that is dropped is an envelope lost to the pool"]
pub(crate) struct Claim(u32);

impl Claim {
    /// Makes the claim on envelope `index`.
    ///
    /// # Safety
    /// The envelope was posted as an ask, and this is its first claim since.
    pub(crate) unsafe fn new(index: u32) -> Self {
        Claim(index)
    }

    pub(crate) fn index(&self) -> u32 {
        self.0
    }

    /// Turns the claim into the envelope's token.
    ///
    /// # Safety
    /// The host has given its token up to the asker.
    unsafe fn into_token(self) -> Token {
        // SAFETY: the host's token is gone, and the one claim with it.
        unsafe { Token::mint(self.0) }
    }
}

#[derive(Debug)]
pub(crate) struct ReplySlot {
    state: AtomicU8,
    asker: WakerSlot,
    /// When it was asked, and when the asker gives up, as a `Due` has it.
    asked: AtomicU64,
    due: AtomicU64,
}

impl ReplySlot {
    pub(crate) fn new() -> Self {
        ReplySlot {
            state: AtomicU8::new(PENDING),
            asker: WakerSlot::new(),
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

    /// True if the asker has gone away: no one wants the reply.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ABANDONED
    }

    /// The asker's waker if it waits, to have it look at the time. An envelope that carries something else by
    /// now loses nothing: an asker may be woken for nothing.
    pub(crate) fn remind(&self) -> Option<Waker> {
        match self.state.load(Ordering::Relaxed) {
            WAITING => self.asker.take(),
            _ => None,
        }
    }

    /// The host has written the reply, and gives the envelope to the asker, whose waker it must wake.
    ///
    /// # Errors
    /// The asker has gone; the host keeps the envelope.
    #[inline]
    pub(crate) fn reply(&self, token: Token) -> Result<Option<Waker>, Token> {
        let index = token.surrender();
        match self.state.swap(REPLIED, Ordering::AcqRel) {
            PENDING => Ok(None),
            // The asker may have read the reply already and the envelope may carry another ask by now; then
            // this wakes that ask for nothing, which is harmless.
            WAITING => Ok(self.asker.take()),
            // SAFETY: the asker's swap came first and saw no reply: it has left the envelope to the host, whose
            // token this was.
            _ => Err(unsafe { Token::mint(index) }),
        }
    }

    /// The same, and wakes the asker.
    ///
    /// # Errors
    /// The asker has gone; the host keeps the envelope.
    #[inline]
    pub(crate) fn reply_and_wake(&self, token: Token, wakes: &DeferredWakes) -> Result<(), Token> {
        if let Some(asker) = self.reply(token)? {
            wakes.wake(asker);
        }
        Ok(())
    }

    /// The asker goes away. The envelope's token, if the host had replied before: it is the asker's to return.
    /// Else the host will see it and return the envelope.
    pub(crate) fn abandon(&self, claim: Claim) -> Option<Token> {
        // The waker could keep the asker's task alive. It must be taken first: after the swap the envelope
        // may serve another ask, whose waker is not ours to take.
        let waker = self.asker.take();
        let replied = self.state.swap(ABANDONED, Ordering::AcqRel) == REPLIED;
        // Last: it is the user's, and may panic.
        discard(waker);
        // SAFETY: the host has replied, and so given its token up.
        replied.then(|| unsafe { claim.into_token() })
    }

    /// The envelope's token, if the reply is there: it takes the claim's place. Otherwise `waker` will be
    /// woken.
    pub(crate) fn poll(&self, waker: &Waker, claim: &mut Option<Claim>) -> Option<Token> {
        if self.state.load(Ordering::Acquire) != REPLIED {
            self.asker.set(waker);
            sim::preempt(Point::Asker);
            let waits =
                self.state
                    .compare_exchange(PENDING, WAITING, Ordering::AcqRel, Ordering::Acquire);
            if waits != Err(REPLIED) {
                return None;
            }
            // The host may not wake, or have woken before; left here, the waker would keep the asker's
            // task alive. If its drop panics, the asker still has its claim.
            drop(self.asker.take());
        }
        // SAFETY: the host has replied, and so given its token up.
        claim.take().map(|claim| unsafe { claim.into_token() })
    }
}
