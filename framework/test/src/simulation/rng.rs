//! Random numbers from a seed.

use std::cell::Cell;

/// Random numbers that depend on a seed: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014.
///
/// # Examples
/// ```
/// use mycelia_test::Rng;
/// let (one, other) = (Rng::new(7), Rng::new(7));
/// assert_eq!(one.next_u64(), other.next_u64());
/// assert!(one.below(6) < 6);
/// ```
#[derive(Debug)]
pub struct Rng(Cell<u64>);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng {
    /// Makes the sequence of that seed.
    pub fn new(seed: u64) -> Self {
        Rng(Cell::new(seed))
    }

    /// Returns any number.
    pub fn next_u64(&self) -> u64 {
        let state = self.0.get().wrapping_add(STEP);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&self, bound: u32) -> u32 {
        assert!(bound > 0, "no number is below 0");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u32
    }

    /// Returns true with a probability of `part`, 0 to 1.
    pub fn chance(&self, part: f64) -> bool {
        (self.next_u64() >> 11) as f64 / ((1_u64 << 53) as f64) < part
    }

    /// Returns one of several values.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'t, T>(&self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len() as u32) as usize]
    }

    /// Makes an independent sequence that depends on this one.
    pub fn split(&self) -> Rng {
        Rng::new(self.next_u64())
    }
}
