//! The handover of a reply: decides whether host or asker ends up with the envelope.
//!
//! An ask leaves its envelope with the host. The handler's reply is written into the same envelope, which then
//! passes to the asker. An asker may go away at any time. Each side makes one swap, and the side that swaps
//! second owns the envelope and returns it to the pool.
//!
//! The host's right to the envelope is its [`Token`], the asker's is a [`Claim`]. Neither can be copied, and each
//! function that gives one side the envelope consumes a right. So an asker that is dropped or unwinds at any
//! point either still has its claim or has used it: it can't take the envelope twice.
#![allow(unsafe_code)]

use std::task::Waker;

use crate::base::deferred::DeferredWakes;
use crate::base::sim::{self, Point};
use crate::base::sync::{AtomicU8, AtomicU64, Ordering};
use crate::base::user_code::discard;
use crate::base::waker_slot::WakerSlot;
use crate::envelope::token::Token;

/// The host has the envelope, and the asker does not sleep.
const PENDING: u8 = 0;
/// The asker has left its waker and sleeps.
const WAITING: u8 = 1;
const REPLIED: u8 = 2;
const ABANDONED: u8 = 3;

/// An asker's right to the reply, and with it to the envelope.
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
    /// The host has surrendered its token to the asker.
    unsafe fn into_token(self) -> Token {
        // SAFETY: the host's token is gone, and this consumes the only claim.
        unsafe { Token::mint(self.0) }
    }
}

#[derive(Debug)]
pub(crate) struct ReplySlot {
    /// One of the four states above. Swapped by the host when it has replied, and by the asker.
    state: AtomicU8,
    /// The asker's waker. Left by the asker before it sleeps, taken by the host when it replies.
    asker: WakerSlot,
    /// When the message was sent, as the clock's raw value. Written by the envelope's owner before the ask is
    /// sent.
    asked: AtomicU64,
    /// When the asker gives up, as the raw value of a `Due`. Written with `asked`, read by the supervisor.
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

    /// Prepares the slot for the next ask. Called by the envelope's owner.
    pub(crate) fn reset(&self, asked: u64, due: u64) {
        self.asked.store(asked, Ordering::Relaxed);
        self.due.store(due, Ordering::Relaxed);
        self.state.store(PENDING, Ordering::Relaxed);
    }

    /// When the message was sent, as the clock's raw value.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// When the asker gives up, as the raw value of a `Due`.
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// True if the asker has gone away, so that the reply is not needed.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ABANDONED
    }

    /// Takes the asker's waker if it sleeps, so that the asker can check its deadline. The envelope may serve
    /// another ask by now; that asker is then woken without need, which is harmless.
    pub(crate) fn remind(&self) -> Option<Waker> {
        match self.state.load(Ordering::Relaxed) {
            WAITING => self.asker.take(),
            _ => None,
        }
    }

    /// Called by the host after it has written the reply: gives the envelope to the asker. The host must wake the
    /// waker that is returned.
    ///
    /// # Errors
    /// The asker has gone; the host keeps the envelope.
    #[inline]
    pub(crate) fn reply(&self, token: Token) -> Result<Option<Waker>, Token> {
        let index = token.surrender();
        match self.state.swap(REPLIED, Ordering::AcqRel) {
            PENDING => Ok(None),
            // The asker may have read the reply already, and the envelope may carry another ask by now. Then this
            // wakes that asker without need, which is harmless.
            WAITING => Ok(self.asker.take()),
            // SAFETY: the asker's swap came first and saw no reply. It has left the envelope to the host, whose
            // token this was.
            _ => Err(unsafe { Token::mint(index) }),
        }
    }

    /// As [`reply`](Self::reply), and wakes the asker.
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

    /// The asker goes away. If the host had replied before, returns the envelope's token: the asker must return
    /// the envelope. Otherwise the host returns it when it replies.
    pub(crate) fn abandon(&self, claim: Claim) -> Option<Token> {
        // A waker that stays here could keep the asker's task alive. It must be taken before the swap: after it,
        // the envelope may serve another ask, which needs its own waker.
        let waker = self.asker.take();
        let replied = self.state.swap(ABANDONED, Ordering::AcqRel) == REPLIED;
        // Last: the waker is user code and may panic.
        discard(waker);
        // SAFETY: the host has replied, so it has surrendered its token.
        replied.then(|| unsafe { claim.into_token() })
    }

    /// If the reply is there, takes the claim and returns the envelope's token. Otherwise the host will wake
    /// `waker`.
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
            // The reply came meanwhile, so no one needs the waker; left here, it would keep the asker's task
            // alive. If its drop panics, the asker still has its claim.
            drop(self.asker.take());
        }
        // SAFETY: the host has replied, so it has surrendered its token.
        claim.take().map(|claim| unsafe { claim.into_token() })
    }
}
