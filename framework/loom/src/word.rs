//! loom's `AtomicU64`, with loads that can count as accesses of their own.
//!
//! loom remembers only the last access to an atomic when it decides which orders to try. Where one thread loads,
//! and another loads and then stores (a counter with one writer, a loop around `compare_exchange`), the last
//! access before the store is the writer's own load. So loom never tries the first thread's load on the other
//! side of the store. With [`heed_loads`] every load is also an access to a second atomic, which orders nothing
//! but makes loom try it. That takes many more runs, so it is for small models.

use std::cell::Cell;

use loom::sync::atomic::{AtomicU8, Ordering};

thread_local! {
    /// loom runs all threads of a model on one thread of the operating system.
    static HEEDS_LOADS: Cell<bool> = const { Cell::new(false) };
}

/// Sets whether loads count in the models that this thread runs from now on.
pub(crate) fn heed_loads(heed: bool) {
    HEEDS_LOADS.set(heed);
}

#[derive(Debug, Default)]
pub(crate) struct AtomicU64 {
    value: loom::sync::atomic::AtomicU64,
    loads: AtomicU8,
}

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        AtomicU64 {
            value: loom::sync::atomic::AtomicU64::new(value),
            loads: AtomicU8::new(0),
        }
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        if HEEDS_LOADS.get() {
            self.loads.fetch_add(0, Ordering::Relaxed);
        }
        self.value.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.value.store(value, order);
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.value.fetch_add(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.value.compare_exchange(current, new, success, failure)
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.value
            .compare_exchange_weak(current, new, success, failure)
    }
}
