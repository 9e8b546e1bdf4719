//! Locks. A thread sanitizer sees through parking_lot's: the standard library's come compiled without it.

#[cfg(mycelia_thread_sanitizer)]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(mycelia_thread_sanitizer))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Locks, and goes on with the data if a thread panicked while holding the lock: every critical section of
/// this crate leaves its data whole at each step.
#[cfg(not(mycelia_thread_sanitizer))]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(mycelia_thread_sanitizer)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
