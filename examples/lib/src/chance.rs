//! Chance that can be repeated: numbers that depend on a seed alone.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Mixes the bits of a number so that neighbours have nothing in common: SplitMix64.
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A seed that no one chose.
pub fn any_seed() -> u64 {
    // Short enough to be typed again.
    RandomState::new().build_hasher().finish() % 1_000_000
}

/// A die that is thrown again and again.
pub struct Die(u64);

impl Die {
    /// A die whose throws depend on the seed.
    pub fn new(seed: u64) -> Self {
        Die(mix(seed))
    }

    /// A number below `sides`.
    pub fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % sides.max(1)
    }
}
