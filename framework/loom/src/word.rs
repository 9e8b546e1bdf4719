//! loom's `AtomicU64`, whose loads can be made to count.
//!
//! Of all accesses to an atomic loom remembers the last one only, to find out which orders are worth a try.
//! Where one thread loads and another loads and then stores, as a counter with one writer and a loop around
//! `compare_exchange` do, the last access before the store is the writer's own load, and what the other's
//! load does to the store is never tried. With [`heed_loads`] every load is an access of its own to a second
//! atomic, which orders nothing but makes loom try it. Many more runs: for small models.

use std::cell::Cell;

use loom::sync::atomic::{AtomicU8, Ordering};

thread_local! {
    /// All threads of a model are one to the system.
    static HEEDS_LOADS: Cell<bool> = const { Cell::new(false) };
}

/// Whether loads count in the models that this thread tries from now on.
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
