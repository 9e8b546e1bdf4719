//! Custody: checks in simulations that every envelope has one owner.
//!
//! The type of a token rules out two owners; this checks the few places that mint tokens. `custody_off.rs`
//! replaces it without the feature `test`.
#![allow(unsafe_code)]

use crate::base::sim::{self, Plant};
use crate::base::sync::{AtomicU8, Ordering};
use crate::envelope::token::{Chain, Links, Token};

const FREE: u8 = 0;
const OUT: u8 = 1;

/// For every envelope: is it in the pool (`FREE`) or out of it (`OUT`).
pub(super) struct Custody(Box<[AtomicU8]>);

impl Custody {
    pub(super) fn new(capacity: u32) -> Self {
        Custody((0..capacity).map(|_| AtomicU8::new(FREE)).collect())
    }

    /// Moves an envelope. If it is there already, reports a violation and returns false.
    fn turn(&self, index: u32, to: u8) -> bool {
        let was_elsewhere = self.0[index as usize].swap(to, Ordering::Relaxed) != to;
        if !was_elsewhere {
            let what = match to {
                OUT => "taken while it had an owner",
                _ => "returned while no one owned it",
            };
            sim::violated(format!("envelope {index} was {what}"));
        }
        was_elsewhere
    }

    /// An envelope leaves the pool.
    #[inline]
    pub(super) fn take(&self, token: &Token) {
        if sim::is_simulated() {
            self.turn(token.index(), OUT);
        }
    }

    /// Envelopes come back to the pool. Returns those that were out, and, as a planted error, some to return a
    /// second time.
    #[inline]
    pub(super) fn give_back(&self, links: &Links, chain: Chain) -> (Chain, Option<Chain>) {
        match sim::is_simulated() {
            false => (chain, None),
            true => self.perhaps_twice(links, self.check(links, chain)),
        }
    }

    /// A planted error: picks an envelope of the chain that is returned a second time.
    fn perhaps_twice(&self, links: &Links, mut chain: Chain) -> (Chain, Option<Chain>) {
        let first = match sim::plants(Plant::DoubleRelease) {
            true => chain.pop_front(links),
            false => None,
        };
        let Some(first) = first else {
            return (chain, None);
        };
        let index = first.index();
        let mut whole = Chain::new();
        whole.push_back(links, first);
        whole.append(links, chain);
        // SAFETY: none: this is the planted error. `check` drops the second token before it is used.
        (whole, Some(unsafe { Chain::from_parts(index, index, 1) }))
    }

    fn check(&self, links: &Links, mut chain: Chain) -> Chain {
        let mut good = Chain::new();
        while let Some(token) = chain.pop_front(links) {
            if self.turn(token.index(), FREE) {
                good.push_back(links, token);
            } else {
                // The owner of the real token returns the envelope.
                token.surrender();
            }
        }
        good
    }
}
