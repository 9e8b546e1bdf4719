//! A free list: a lock-free stack of tokens.
//!
//! One word holds the number of the top envelope and a tag that every removal raises, so that a
//! removal which read an outdated successor fails (the ABA problem). Treiber, "Systems Programming:
//! Coping with Parallelism", 1986; tag as in IBM's System/370 free-list example.

use crate::sync::{AtomicU64, Ordering};
use crate::token::{Chain, INDEX_BITS, INDEX_MASK, Links, NIL, Token};

#[derive(Debug)]
pub(crate) struct Stack(AtomicU64);

fn word(tag: u64, top: u32) -> u64 {
    (tag << INDEX_BITS) | u64::from(top)
}

fn top_of(word: u64) -> u32 {
    (word & INDEX_MASK) as u32
}

impl Stack {
    pub(crate) fn new() -> Self {
        Stack(AtomicU64::new(word(0, NIL)))
    }

    /// Puts all tokens of `chain` on top, its first uppermost.
    pub(crate) fn push(&self, links: &Links, chain: Chain) {
        let Some((first, last)) = chain.surrender() else {
            return;
        };
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            links.set_next(last, top_of(seen));
            let new = word(seen >> INDEX_BITS, first);
            // Release: what the last owner did to the envelopes comes before what the next one does.
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the top token.
    pub(crate) fn pop(&self, links: &Links) -> Option<Token> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let top = top_of(seen);
            if top == NIL {
                return None;
            }
            // Outdated if another thread took `top` meanwhile; then the tag differs and we go round.
            let next = links.next(top);
            let new = word((seen >> INDEX_BITS).wrapping_add(1), next);
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return Some(Token::mint(top)),
                Err(now) => seen = now,
            }
        }
    }

    /// Moves everything from `other` to this stack, which was found empty, but for the top token,
    /// which is returned.
    pub(crate) fn steal(&self, links: &Links, other: &Stack) -> Option<Token> {
        let mut seen = other.0.load(Ordering::Acquire);
        let top = loop {
            let top = top_of(seen);
            if top == NIL {
                return None;
            }
            let new = word((seen >> INDEX_BITS).wrapping_add(1), NIL);
            match other
                .0
                .compare_exchange_weak(seen, new, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => break top,
                Err(now) => seen = now,
            }
        };
        let rest = links.next(top);
        if rest != NIL {
            self.adopt(links, rest);
        }
        Some(Token::mint(top))
    }

    /// Takes over the list that starts with `first`.
    fn adopt(&self, links: &Links, first: u32) {
        let mut seen = self.0.load(Ordering::Relaxed);
        while top_of(seen) == NIL {
            let new = word(seen >> INDEX_BITS, first);
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
        // Not empty after all: find the end of the list and put the whole on top.
        let (mut last, mut len) = (first, 1);
        while links.next(last) != NIL {
            last = links.next(last);
            len += 1;
        }
        self.push(links, Chain::from_parts(first, last, len));
    }
}
