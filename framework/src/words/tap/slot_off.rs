//! No place for a tap: no one sees the messages. It stands in for `slot.rs` without the feature `test`.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::task::Context;
use std::time::Duration;

use super::Tap;

/// Nothing is written on an envelope.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mark;

impl Mark {
    pub(crate) const NONE: Mark = Mark;

    #[inline(always)]
    pub(crate) fn new(_: u16) -> Self {
        Mark
    }

    #[inline(always)]
    pub(crate) fn number(self) -> u16 {
        0
    }

    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        true
    }
}

pub(crate) struct TapSlot;

impl TapSlot {
    pub(crate) fn new() -> Self {
        TapSlot
    }

    #[inline(always)]
    pub(crate) fn seeded(self, _: u64) -> Self {
        self
    }

    #[inline(always)]
    pub(crate) fn active(&self) -> Option<&dyn Tap> {
        None
    }
}

/// Nothing is held back: no value of this type exists, nor does it take room beside others.
pub(crate) struct Hold<T>(Infallible, PhantomData<T>);

impl<T> Hold<T> {
    pub(crate) fn new(_: T, _: Duration) -> Self {
        unreachable!("no message is marked")
    }

    #[inline(always)]
    pub(crate) fn is_over(&mut self, _: &mut Context<'_>) -> bool {
        match self.0 {}
    }

    #[inline(always)]
    pub(crate) fn into_inner(self) -> T {
        match self.0 {}
    }
}
