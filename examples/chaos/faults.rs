//! Faults of the program's own code: values, hooks, factories and wakers that panic.

use std::panic::panic_any;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use examples_lib::chance::mix;
pub(crate) use examples_lib::rude::{RudelyWoken, begin_and_forget};
use examples_lib::silence::{Bomb, ON_PURPOSE};

/// Whether hooks, factories and values of subsystems misbehave now and then: under chaos, while it lasts.
#[derive(Default)]
pub(crate) struct Faults {
    are_on: AtomicBool,
    throws: AtomicU64,
    /// How often one of them did.
    pub(crate) struck: AtomicU64,
}

impl Faults {
    pub(crate) fn turn(&self, on: bool) {
        self.are_on.store(on, Ordering::Relaxed);
    }

    /// True once in so many times.
    pub(crate) fn strike(&self, once_in: u64) -> bool {
        if !self.are_on.load(Ordering::Relaxed) {
            return false;
        }
        let strikes = mix(self.throws.fetch_add(1, Ordering::Relaxed)).is_multiple_of(once_in);
        self.struck.fetch_add(strikes.into(), Ordering::Relaxed);
        strikes
    }

    /// Panics once in so many times.
    pub(crate) fn perhaps_panic(&self, once_in: u64) {
        if self.strike(once_in) {
            panic!("{ON_PURPOSE}");
        }
    }
}

/// Panics with a payload whose drop panics.
pub(crate) fn explode() -> ! {
    panic_any(Bomb)
}

/// Part of a value: its drop panics if it is lit, and nothing else is panicking.
pub(crate) struct Fuse(pub(crate) bool);

impl Drop for Fuse {
    fn drop(&mut self) {
        if self.0 && !std::thread::panicking() {
            panic!("{ON_PURPOSE}, by a drop");
        }
    }
}

/// An error that panics when it is put in words.
#[derive(Debug)]
pub(crate) struct Grudge;

impl std::fmt::Display for Grudge {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("{ON_PURPOSE}, by an error")
    }
}

impl std::error::Error for Grudge {}

/// A capture that panics whatever its text is.
pub(crate) struct Fussy;

impl FromStr for Fussy {
    type Err = std::convert::Infallible;

    fn from_str(_: &str) -> Result<Self, Self::Err> {
        panic!("{ON_PURPOSE}, by a capture")
    }
}
