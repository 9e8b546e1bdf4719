//! Tokens: the ownership of envelopes.
//!
//! Envelopes lie in one slab and are named by a number. A [`Token`] is the exclusive right to touch the envelope
//! of that number: it can be neither copied nor cloned. It is made once, when its envelope is created. From then
//! on it only changes hands: the free lists and the mailboxes take tokens in and give them out again. Their lists
//! are threaded through [`Links`], one number per envelope. The links lie apart from the envelopes, so that
//! walking a list of thousands touches only a few cache lines.
//!
//! `unsafe` code relies on every envelope having one token. So every function that makes a token is `unsafe` too:
//! here, in the lists, in the reply slot, and where the pool creates an envelope.
#![allow(unsafe_code)]

use crate::base::sync::{AtomicU32, Ordering};

/// Bits of a list's word that hold an envelope's number; the others hold a count.
pub(crate) const INDEX_BITS: u32 = 24;
pub(crate) const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
/// The end of a list. Numbers from here on are marks, never envelopes.
pub(crate) const NIL: u32 = INDEX_MASK as u32;
/// The largest pool: about 16 million envelopes.
pub(crate) const MAX_ENVELOPES: usize = (NIL - 8) as usize;

/// The exclusive right to touch one envelope.
#[derive(Debug)]
#[must_use = "a token that is dropped is an envelope lost to the pool"]
pub(crate) struct Token(u32);

impl Token {
    /// Makes the token of envelope `index`. Called where the pool creates the envelope, where a list gives out a
    /// token that it took in, and where the reply passes from host to asker.
    ///
    /// # Safety
    /// No other token of that envelope exists.
    pub(crate) unsafe fn mint(index: u32) -> Self {
        debug_assert!((index as usize) < MAX_ENVELOPES);
        Token(index)
    }

    pub(crate) fn index(&self) -> u32 {
        self.0
    }

    /// Gives the token up to a list, which will mint it again.
    pub(crate) fn surrender(self) -> u32 {
        self.0
    }
}

/// For each envelope, the next one in the list that it is in.
#[derive(Debug)]
pub(crate) struct Links(Box<[AtomicU32]>);

impl Links {
    pub(crate) fn new(capacity: usize) -> Self {
        Links((0..capacity).map(|_| AtomicU32::new(NIL)).collect())
    }

    pub(crate) fn next(&self, index: u32) -> u32 {
        self.0[index as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn set_next(&self, index: u32, next: u32) {
        self.0[index as usize].store(next, Ordering::Relaxed);
    }
}

/// A list of tokens with one owner, so it needs no atomics. Its length says where it ends; the link of its last
/// token is not used.
#[derive(Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    len: u32,
}

impl Chain {
    pub(crate) const fn new() -> Self {
        Chain {
            first: NIL,
            last: NIL,
            len: 0,
        }
    }

    /// Makes the list that starts with `first` and ends with `last`.
    ///
    /// # Safety
    /// The tokens of the `len` envelopes that are linked from `first` on were surrendered, and are in no other
    /// list.
    pub(crate) unsafe fn from_parts(first: u32, last: u32, len: u32) -> Self {
        Chain { first, last, len }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push_back(&mut self, links: &Links, token: Token) {
        let index = token.surrender();
        if self.len == 0 {
            self.first = index;
        } else {
            links.set_next(self.last, index);
        }
        self.last = index;
        self.len += 1;
    }

    pub(crate) fn push_front(&mut self, links: &Links, token: Token) {
        let index = token.surrender();
        if self.len == 0 {
            self.last = index;
        } else {
            links.set_next(index, self.first);
        }
        self.first = index;
        self.len += 1;
    }

    pub(crate) fn pop_front(&mut self, links: &Links) -> Option<Token> {
        if self.len == 0 {
            return None;
        }
        let index = self.first;
        self.first = links.next(index);
        self.len -= 1;
        // SAFETY: the token was surrendered to this chain, which gives it out once.
        Some(unsafe { Token::mint(index) })
    }

    /// Appends all tokens of `other`.
    pub(crate) fn append(&mut self, links: &Links, other: Chain) {
        if self.len == 0 {
            *self = other;
        } else if other.len > 0 {
            links.set_next(self.last, other.first);
            self.last = other.last;
            self.len += other.len;
        }
    }

    /// Moves the tokens for which `is_chosen` returns true to the end of `chosen`. Both keep their order.
    pub(crate) fn split_off(
        &mut self,
        links: &Links,
        chosen: &mut Chain,
        mut is_chosen: impl FnMut(Token) -> (Token, bool),
    ) {
        let mut all = std::mem::replace(self, Chain::new());
        while let Some(token) = all.pop_front(links) {
            let (token, is_chosen) = is_chosen(token);
            let chain = if is_chosen { &mut *chosen } else { &mut *self };
            chain.push_back(links, token);
        }
    }

    /// Gives up all tokens. Returns the numbers of the first and the last.
    pub(crate) fn surrender(self) -> Option<(u32, u32)> {
        (self.len > 0).then_some((self.first, self.last))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn chain(links: &Links, indices: impl IntoIterator<Item = u32>) -> Chain {
        let mut chain = Chain::new();
        for index in indices {
            // SAFETY: each number is used for one token, in this chain only.
            chain.push_back(links, unsafe { Token::mint(index) });
        }
        chain
    }

    fn indices(links: &Links, mut chain: Chain) -> Vec<u32> {
        std::iter::from_fn(|| chain.pop_front(links).map(Token::surrender)).collect()
    }

    #[test]
    fn what_is_split_off_and_what_stays_keep_their_order() {
        let links = Links::new(16);
        for chosen in [0_u32, 0b1111_1111, 0b0101_0101, 0b1000_0001, 0b0001_1000] {
            let mut rest = chain(&links, 0..8);
            let mut off = chain(&links, [9]);
            rest.split_off(&links, &mut off, |token| {
                let is_chosen = chosen >> token.index() & 1 == 1;
                (token, is_chosen)
            });
            let (in_off, in_rest): (Vec<_>, Vec<_>) =
                (0..8).partition(|index| chosen >> index & 1 == 1);
            assert_eq!(indices(&links, off), [vec![9], in_off].concat());
            assert_eq!(indices(&links, rest), in_rest);
        }
    }
}
