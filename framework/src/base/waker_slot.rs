//! A place for one waker, which one side leaves and the other takes.
//!
//! A waker is user code: its clone and its drop may panic, or call back. So neither runs while the place is
//! locked or half changed.

use std::task::Waker;

use crate::base::sync::{Mutex, lock};

/// See the module.
#[derive(Debug)]
pub(crate) struct WakerSlot(Mutex<Option<Waker>>);

impl WakerSlot {
    pub(crate) fn new() -> Self {
        WakerSlot(Mutex::new(None))
    }

    /// Leaves a copy of `waker`, in place of what was there.
    pub(crate) fn set(&self, waker: &Waker) {
        let is_there = |held: &Waker| held.will_wake(waker);
        if lock(&self.0).as_ref().is_some_and(is_there) {
            return;
        }
        let waker = waker.clone();
        let before = lock(&self.0).replace(waker);
        drop(before);
    }

    /// Takes what is there.
    pub(crate) fn take(&self) -> Option<Waker> {
        lock(&self.0).take()
    }
}

impl Default for WakerSlot {
    fn default() -> Self {
        WakerSlot::new()
    }
}
