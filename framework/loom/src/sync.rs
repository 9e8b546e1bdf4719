//! Replaces `framework/src/base/sync.rs` with loom's types.

pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering, fence};
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

pub(crate) use loom::thread;

pub(crate) use crate::map::Map;
pub(crate) use crate::once::{OnceBox, OnceCell};
pub(crate) use crate::word::AtomicU64;

/// The shipped function omits the fence where every swap of the processor is one; loom has no such swaps.
pub(crate) fn fence_after_swap() {
    fence(Ordering::SeqCst);
}

/// As in the shipped file.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    is_woken: Mutex<bool>,
    condvar: Condvar,
}

impl Parker {
    pub(crate) fn park(&self) {
        let mut is_woken = lock(&self.is_woken);
        while !*is_woken {
            let woken = self.condvar.wait(is_woken);
            is_woken = woken.unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        *is_woken = false;
    }

    pub(crate) fn unpark(&self) {
        *lock(&self.is_woken) = true;
        self.condvar.notify_one();
    }
}

/// As in the shipped file; no model panics while it holds a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
