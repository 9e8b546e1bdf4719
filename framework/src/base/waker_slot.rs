//! A slot for one waker: one thread leaves it, another takes it.
//!
//! A waker is user code: its clone and its drop may panic or call back. So neither runs while the slot is locked
//! or half changed.

use std::task::Waker;

use crate::base::sync::{Mutex, lock};

/// See the module.
#[derive(Debug)]
pub(crate) struct WakerSlot(Mutex<Option<Waker>>);

impl WakerSlot {
    pub(crate) fn new() -> Self {
        WakerSlot(Mutex::new(None))
    }

    /// Leaves a clone of `waker` and drops the one before.
    pub(crate) fn set(&self, waker: &Waker) {
        let is_there = |held: &Waker| held.will_wake(waker);
        if lock(&self.0).as_ref().is_some_and(is_there) {
            return;
        }
        let waker = waker.clone();
        let before = lock(&self.0).replace(waker);
        drop(before);
    }

    /// Takes the waker out, if there is one.
    pub(crate) fn take(&self) -> Option<Waker> {
        lock(&self.0).take()
    }
}

impl Default for WakerSlot {
    fn default() -> Self {
        WakerSlot::new()
    }
}
