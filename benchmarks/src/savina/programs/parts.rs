//! What the programs have in common: chance, sums, casts.

use crate::savina::stage::{Play, Role};

/// Marsaglia's xorshift: the same numbers for every contender.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u32) -> Self {
        Dice(u64::from(seed) * 0x9e37_79b9 + 0x2545_f491)
    }

    pub(super) fn below(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as u32 % sides
    }
}

/// Adds up what several others report.
#[derive(Default)]
pub(super) struct Sum {
    reports: u64,
    pub(super) total: u64,
}

impl Sum {
    /// True when `wanted` have reported.
    pub(super) fn add(&mut self, value: u64, wanted: u64) -> bool {
        self.reports += 1;
        self.total = self.total.wrapping_add(value);
        self.reports == wanted
    }
}

pub(super) fn play(roles: Vec<Box<dyn Role>>, messages: u64, result: u64) -> Play {
    Play {
        roles,
        messages,
        result,
    }
}

/// Role 0, then so many of another.
pub(super) fn cast<R: Role>(
    first: impl Role,
    others: u32,
    other: impl Fn(u32) -> R,
) -> Vec<Box<dyn Role>> {
    let mut roles: Vec<Box<dyn Role>> = vec![Box::new(first)];
    roles.extend((1..=others).map(|me| -> Box<dyn Role> { Box::new(other(me)) }));
    roles
}
