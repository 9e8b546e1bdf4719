//! Locks. Under a thread sanitizer they are parking_lot's, which it can see into: the standard library comes
//! compiled without it.

#[cfg(mycelia_thread_sanitizer)]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(mycelia_thread_sanitizer))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Locks a mutex, also a poisoned one: every critical section of this crate leaves its data consistent at each
/// step.
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
