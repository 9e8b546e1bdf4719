//! The chooser without simulations: every answer is "no" and known at compile time. It replaces `chooser.rs`
//! without the feature `test`.

use std::convert::Infallible;

use super::{Plant, Point};

/// There are no simulated threads to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ThreadNumber;

#[inline(always)]
pub(super) fn thread() -> ThreadNumber {
    ThreadNumber
}

#[inline(always)]
pub(crate) fn is_simulated() -> bool {
    false
}

#[inline(always)]
pub(crate) fn coin(_: Point) -> bool {
    false
}

#[inline(always)]
pub(crate) fn preempt(_: Point) {}

#[inline(always)]
pub(crate) fn at_most(_: Point, most: u32) -> u32 {
    most
}

#[inline(always)]
pub(crate) fn plants(_: Plant) -> bool {
    false
}

#[inline(always)]
pub(crate) fn waits_for_others() -> bool {
    false
}

/// There is no simulated thread that could be given work: no value of this type exists.
#[derive(Clone)]
pub(crate) struct Jobs(Infallible);

impl Jobs {
    pub(crate) fn run(&self, _: impl FnOnce() + Send + 'static) {
        match self.0 {}
    }
}
