//! The atomics and locks of every file that threads share, in one place.
//!
//! Lock-free files take their atomics only from here. So the crate `mycelia-loom` can compile the same files
//! against loom's versions, with `cfg(loom)` set, and try every interleaving.

pub(crate) use std::sync::atomic::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub(crate) use std::thread;

#[cfg(mycelia_thread_sanitizer)]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(mycelia_thread_sanitizer))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

pub(crate) use once_cell::race::OnceBox;
pub(crate) use once_cell::sync::OnceCell;

/// A full fence, for a thread whose last relevant write was a read-modify-write. On x86-64 such an instruction is
/// a full fence already, and a second one costs 4 ns. (The compiler's memory model has no such fence; this relies
/// on the processor's manual.)
#[inline]
pub(crate) fn fence_after_swap() {
    if cfg!(all(target_arch = "x86_64", not(mycelia_thread_sanitizer))) {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Blocks a thread until another wakes it. Not `std::thread::park`: in a thread-local's destructor its handle is
/// not the one that others unpark.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    is_woken: Mutex<bool>,
    condvar: Condvar,
}

impl Parker {
    /// Sleeps until [`unpark`](Self::unpark) is called. Returns at once if that has happened since the last
    /// sleep.
    pub(crate) fn park(&self) {
        let mut is_woken = lock(&self.is_woken);
        while !*is_woken {
            is_woken = wait(&self.condvar, is_woken);
        }
        *is_woken = false;
    }

    pub(crate) fn unpark(&self) {
        *lock(&self.is_woken) = true;
        self.condvar.notify_one();
    }
}

/// A map that threads share. Each operation is atomic.
pub(crate) type Map<K, V> = dashmap::DashMap<K, V, rustc_hash::FxBuildHasher>;

/// Locks a mutex, also a poisoned one: every critical section of this crate leaves its data consistent at each
/// step.
#[cfg(not(mycelia_thread_sanitizer))]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(not(mycelia_thread_sanitizer))]
fn wait<'m, T>(condvar: &Condvar, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
    condvar
        .wait(guard)
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(mycelia_thread_sanitizer)]
fn wait<'m, T>(condvar: &Condvar, mut guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
    condvar.wait(&mut guard);
    guard
}

/// The same with parking_lot, which the sanitizer can see into: the standard library comes compiled without it.
#[cfg(mycelia_thread_sanitizer)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
