//! `Literals`: the literal children of one node of the router.
//!
//! Up to eight are compared one after the other, which is faster than hashing; more are moved to a hash map. Its
//! keys come from patterns, never from senders, so a hash without a secret (FNV-1a, draft-eastlake-fnv) is safe.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

const FEW: usize = 8;

#[derive(Debug, Clone)]
pub(crate) enum Literals {
    Few(Vec<(Box<str>, usize)>),
    Many(HashMap<Box<str>, usize, BuildHasherDefault<Fnv>>),
}

impl Literals {
    pub(crate) fn new() -> Self {
        Self::Few(Vec::new())
    }

    /// Returns the node below a literal.
    #[inline]
    pub(crate) fn get(&self, literal: &str) -> Option<usize> {
        match self {
            Self::Few(few) => few
                .iter()
                .find(|(known, _)| **known == *literal)
                .map(|&(_, node)| node),
            Self::Many(many) => many.get(literal).copied(),
        }
    }

    /// Adds a literal that is not yet known.
    pub(crate) fn insert(&mut self, literal: &str, node: usize) {
        match self {
            Self::Few(few) if few.len() < FEW => few.push((literal.into(), node)),
            Self::Few(few) => {
                let known = few.drain(..);
                *self = Self::Many(known.chain([(literal.into(), node)]).collect());
            }
            Self::Many(many) => {
                many.insert(literal.into(), node);
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
