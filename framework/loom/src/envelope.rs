//! Envelopes without contents: a head, and the shipped slot for the reply.
#![allow(unsafe_code)]

#[path = "../../src/envelope/deferral.rs"]
pub(crate) mod deferral;
#[path = "../../src/envelope/reply.rs"]
pub(crate) mod reply;
#[path = "../../src/envelope/token.rs"]
pub(crate) mod token;

#[path = "../../src/envelope/pool"]
pub(crate) mod pool {
    pub(crate) mod holders;
    pub(crate) mod lane;
    pub(crate) mod reserve;
    pub(crate) mod stack;
    pub(crate) mod waiters;
}

use reply::{Claim, ReplySlot};
use token::Token;

/// Makes the token of envelope `index`. A model makes each token once, or where the shipped code does.
pub(crate) fn mint(index: u32) -> Token {
    // SAFETY: the models examine whether there is only one at a time.
    unsafe { Token::mint(index) }
}

/// Makes the asker's claim on envelope `index`.
pub(crate) fn claim(index: u32) -> Claim {
    // SAFETY: as above.
    unsafe { Claim::new(index) }
}

pub(crate) struct Head {
    pub(crate) sent: u64,
    pub(crate) route: u16,
    pub(crate) is_ask: bool,
}

/// The envelopes of a model. Either all are asks or none is.
pub(crate) struct Slab(Box<[(Head, ReplySlot)]>);

impl Slab {
    pub(crate) fn new(envelopes: usize, is_ask: bool) -> Self {
        let slot = |_| {
            let (sent, route) = (1, 0);
            let head = Head {
                sent,
                route,
                is_ask,
            };
            (head, ReplySlot::new())
        };
        Slab((0..envelopes).map(slot).collect())
    }

    pub(crate) fn reply_slot(&self, index: u32) -> &ReplySlot {
        &self.0[index as usize].1
    }
}

pub(crate) struct Envelope<'s> {
    slab: &'s Slab,
    token: Token,
}

impl<'s> Envelope<'s> {
    pub(crate) fn new(slab: &'s Slab, token: Token) -> Self {
        Envelope { slab, token }
    }

    pub(crate) fn into_token(self) -> Token {
        self.token
    }

    pub(crate) fn head(&self) -> &Head {
        &self.slab.0[self.token.index() as usize].0
    }

    pub(crate) fn reply_slot(&self) -> &'s ReplySlot {
        self.slab.reply_slot(self.token.index())
    }

    pub(crate) fn is_loaded(&self) -> bool {
        false
    }

    pub(crate) fn clear(&mut self) {}
}
