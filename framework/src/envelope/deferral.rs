//! Messages whose reply comes later, and the right to end them. `handler → `**`deferral`**` → mailbox → host`
//!
//! A handler that takes a [`Reply`](crate::extract::Reply) stores the envelope's token in this cell. The token is
//! claimed once: by the thread that answers, or by the host when it ends. A claim is one compare-and-swap on the
//! right; the thread whose swap finds the right gets the token. A `Reply` that is kept after its subsystem has
//! ended finds another right or none, and claims nothing.
#![allow(unsafe_code)]

use crate::base::clock::Stamp;
use crate::base::sync::{AtomicU64, Ordering};
use crate::envelope::token::Token;

/// The right to end the deferred messages of one mount of a subsystem. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeferralRight(u64);

impl DeferralRight {
    /// The right of the mount with this number, which no other mount of the system has.
    pub(crate) fn of_mount(number: u64) -> Self {
        DeferralRight(number.saturating_add(1))
    }
}

/// How a deferred message ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeferredEnd {
    /// The message was answered. If it was an ask, the reply is in the envelope.
    #[default]
    Answered,
    /// The handler's error is in the envelope, for a tell as well.
    Failed,
    /// Its `Reply` was dropped. The envelope is empty.
    Dropped,
}

/// See the module. There is one for each envelope.
#[derive(Debug)]
pub(crate) struct Deferral {
    /// The right with which the token can be claimed; 0 while there is none to claim. Written by the token's
    /// holder when it stores the token, then by the thread that claims it.
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

    /// Stores the token of this cell's envelope, to be claimed with `right`.
    pub(crate) fn open(&self, token: Token, right: DeferralRight, started: Stamp) {
        self.started.store(started.0, Ordering::Relaxed);
        let _index = token.surrender();
        // Release: the thread that claims the token sees what was written into the envelope.
        self.right.store(right.0, Ordering::Release);
    }

    /// When the message's handler began. Only the token's holder may read it.
    pub(crate) fn started(&self) -> Stamp {
        Stamp(self.started.load(Ordering::Relaxed))
    }

    /// True if the token can be claimed with this right.
    pub(crate) fn is_open(&self, right: DeferralRight) -> bool {
        self.right.load(Ordering::Relaxed) == right.0
    }

    /// Returns the envelope's token, unless it was claimed before.
    ///
    /// # Safety
    /// `index` is the number of the envelope whose cell this is.
    pub(crate) unsafe fn claim(&self, index: u32, right: DeferralRight) -> Option<Token> {
        let claimed =
            (self.right).compare_exchange(right.0, 0, Ordering::Acquire, Ordering::Relaxed);
        // SAFETY: the holder of this envelope's only token stored it here, and only this swap took it out.
        claimed.ok().map(|_| unsafe { Token::mint(index) })
    }
}
