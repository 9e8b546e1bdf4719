//! A value with a version: few change it, and many remember what they have read of it.
//!
//! A reader keeps what it made of the value, with the version that it had. While that is still
//! [`version`](Versioned::version), the value is as it was, and is not looked at again.

use crate::base::sync::{AtomicU64, Ordering, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::sync::PoisonError;

#[derive(Debug)]
pub(crate) struct Versioned<T> {
    value: RwLock<T>,
    /// Changed only while the value is locked for a change.
    version: AtomicU64,
}

impl<T> Versioned<T> {
    pub(crate) fn new(value: T) -> Self {
        Versioned {
            value: RwLock::new(value),
            version: AtomicU64::new(1),
        }
    }

    /// Counts the changes. A change that has returned is counted.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Calls `read` with the value and its version. It runs under a lock: no user code in it.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&T, u64) -> R) -> R {
        let value: RwLockReadGuard<'_, T> =
            self.value.read().unwrap_or_else(PoisonError::into_inner);
        // While the lock is held no one changes either: they belong together.
        let version = self.version.load(Ordering::Acquire);
        read(&value, version)
    }

    /// Changes the value. It runs under a lock: no user code in it.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value: RwLockWriteGuard<'_, T> =
            self.value.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut value);
        self.version.fetch_add(1, Ordering::Release);
        drop(value);
        result
    }
}
