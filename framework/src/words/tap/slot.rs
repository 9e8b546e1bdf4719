//! The place of a system's tap, and what of it a message carries. `slot_off.rs` is its stand-in without the feature
//! `test`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use tokio::time::Sleep;

use super::Tap;
use crate::base::sync::OnceCell;

/// What a tap has written on an envelope; 0 for nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(u16);

impl Mark {
    pub(crate) const NONE: Mark = Mark(0);

    pub(crate) fn new(mark: u16) -> Self {
        Mark(mark)
    }

    pub(crate) fn number(self) -> u16 {
        self.0
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self == Mark::NONE
    }
}

/// The place of a system's tap. It gets one at most, and keeps it.
pub(crate) struct TapSlot {
    tap: OnceCell<Arc<dyn Tap>>,
    /// Of what happens by chance in the system.
    seed: u64,
}

impl TapSlot {
    /// Without a tap.
    pub(crate) fn new() -> Self {
        TapSlot {
            tap: OnceCell::new(),
            seed: 0,
        }
    }

    pub(crate) fn of(tap: Arc<dyn Tap>) -> Self {
        TapSlot {
            tap: tap.into(),
            seed: 0,
        }
    }

    pub(crate) fn seeded(self, seed: u64) -> Self {
        TapSlot { seed, ..self }
    }

    /// The tap; if there is none yet, the one that `make` makes out of the system's seed.
    pub(crate) fn get_or_init(&self, make: impl FnOnce(u64) -> Arc<dyn Tap>) -> &Arc<dyn Tap> {
        self.tap.get_or_init(|| make(self.seed))
    }

    /// The tap, if there is one that wants to hear of messages.
    #[inline]
    pub(crate) fn active(&self) -> Option<&dyn Tap> {
        self.tap
            .get()
            .map(|tap| &**tap)
            .filter(|tap| tap.is_active())
    }
}

/// What is held back for a time.
pub(crate) struct Hold<T> {
    held: T,
    time: Pin<Box<Sleep>>,
}

impl<T> Hold<T> {
    pub(crate) fn new(held: T, by: Duration) -> Self {
        let time = Box::pin(tokio::time::sleep(by));
        Hold { held, time }
    }

    /// True once the time is over.
    pub(crate) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.time.as_mut().poll(cx).is_ready()
    }

    pub(crate) fn into_inner(self) -> T {
        self.held
    }
}
