//! Custody: who has which envelope, checked in simulations.
//!
//! The type of a token forbids two owners; this watches over the few places that mint tokens. `custody_off.rs`
//! is its stand-in without the feature `test`.
#![allow(unsafe_code)]

use crate::base::sim::{self, Plant};
use crate::base::sync::{AtomicU8, Ordering};
use crate::envelope::token::{Chain, Links, Token};

const FREE: u8 = 0;
const OUT: u8 = 1;

/// Where every envelope is.
pub(super) struct Custody(Box<[AtomicU8]>);

impl Custody {
    pub(super) fn new(capacity: u32) -> Self {
        Custody((0..capacity).map(|_| AtomicU8::new(FREE)).collect())
    }

    /// False, and a violation, if it is there already.
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

    /// Envelopes come back: those of them that were out, and what of it is to be returned once more.
    #[inline]
    pub(super) fn give_back(&self, links: &Links, chain: Chain) -> (Chain, Option<Chain>) {
        match sim::is_simulated() {
            false => (chain, None),
            true => self.perhaps_twice(links, self.check(links, chain)),
        }
    }

    /// A planted error: what is returned, and what of it is to be returned once more.
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
        // SAFETY: none. This is the planted error, and `check` sees to it that the second token goes nowhere.
        (whole, Some(unsafe { Chain::from_parts(index, index, 1) }))
    }

    fn check(&self, links: &Links, mut chain: Chain) -> Chain {
        let mut good = Chain::new();
        while let Some(token) = chain.pop_front(links) {
            if self.turn(token.index(), FREE) {
                good.push_back(links, token);
            } else {
                // Anyone who has its true token returns it.
                token.surrender();
            }
        }
        good
    }
}
