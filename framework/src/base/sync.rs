//! The atomics under every lock-free file, in one place.
//!
//! Files that threads share without a lock take their atomics from here and nowhere else, so that the
//! crate `mycelia-loom` can compile those very files against loom's versions and try every
//! interleaving of them. There `cfg(loom)` is set.

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

/// A full fence, for a thread whose last write that matters was a read-modify-write: on x86-64 such an
/// instruction is one already, and a second costs 4 ns more. (The compiler knows of no such fence; that
/// much is between us and the processor's manual.)
#[inline]
pub(crate) fn fence_after_swap() {
    if cfg!(all(target_arch = "x86_64", not(mycelia_thread_sanitizer))) {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Where a thread sleeps until another wakes it. Not `std::thread::park`: in the drop of a thread's local values
/// that sleeps elsewhere than where it is woken.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    is_woken: Mutex<bool>,
    condvar: Condvar,
}

impl Parker {
    /// Sleeps until woken; not at all if that has happened since the last sleep.
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

/// A map that threads share: each of its operations is one step.
pub(crate) type Map<K, V> = dashmap::DashMap<K, V, rustc_hash::FxBuildHasher>;

/// Locks, and goes on with the data if a thread panicked while holding the lock: every critical
/// section of this crate leaves its data whole at each step.
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

/// The same by a lock that the sanitizer sees through: the standard library's comes compiled without it.
#[cfg(mycelia_thread_sanitizer)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
