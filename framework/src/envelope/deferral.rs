//! Messages whose reply comes later: who may end one. `handler → `**`deferral`**` → mailbox → host`
//!
//! A handler that takes a [`Reply`](crate::extract::Reply) gives the envelope's token up to this cell. It is
//! claimed once: by the one who answers, or by the host, at its end. The one swap that finds the right in place
//! takes it, and the token with it; so a reply that is kept beyond its subsystem's end claims nothing.
#![allow(unsafe_code)]

use crate::base::clock::Stamp;
use crate::base::sync::{AtomicU64, Ordering};
use crate::envelope::token::Token;

/// The right to end the deferred messages of one mount of a subsystem. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeferralRight(u64);

impl DeferralRight {
    /// That of the mount with this number, which no other mount of the system has.
    pub(crate) fn of_mount(number: u64) -> Self {
        DeferralRight(number.saturating_add(1))
    }
}

/// How a deferred message ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeferredEnd {
    /// The reply lies in the envelope, if someone asked.
    #[default]
    Answered,
    /// The error does, whether someone asked or not.
    Failed,
    /// Nothing does: its reply was dropped.
    Dropped,
}

/// See the module. One for each envelope.
#[derive(Debug)]
pub(crate) struct Deferral {
    /// The right by which the token can be claimed; 0 while it can't. Written by the token's holder, then by
    /// the one who claims it.
    right: AtomicU64,
    /// When the message's handler began. Written with the right.
    started: AtomicU64,
}

impl Deferral {
    pub(crate) fn new() -> Self {
        Deferral {
            right: AtomicU64::new(0),
            started: AtomicU64::new(0),
        }
    }

    /// Gives up the token of this cell's envelope.
    pub(crate) fn open(&self, token: Token, right: DeferralRight, started: Stamp) {
        self.started.store(started.0, Ordering::Relaxed);
        let _index = token.surrender();
        // Release: the one who claims it sees what was written into the envelope.
        self.right.store(right.0, Ordering::Release);
    }

    /// When its message's handler began. To be read by the token's holder.
    pub(crate) fn started(&self) -> Stamp {
        Stamp(self.started.load(Ordering::Relaxed))
    }

    /// True if the token can be claimed with this right.
    pub(crate) fn is_open(&self, right: DeferralRight) -> bool {
        self.right.load(Ordering::Relaxed) == right.0
    }

    /// The envelope's token, unless it was claimed before.
    ///
    /// # Safety
    /// `index` is the number of the envelope whose cell this is.
    pub(crate) unsafe fn claim(&self, index: u32, right: DeferralRight) -> Option<Token> {
        let claimed =
            (self.right).compare_exchange(right.0, 0, Ordering::Acquire, Ordering::Relaxed);
        // SAFETY: the holder of this envelope's one token has given it up to this cell, and this swap alone took
        // it out.
        claimed.ok().map(|_| unsafe { Token::mint(index) })
    }
}
