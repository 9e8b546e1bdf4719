//! `once_cell`'s two cells on loom's atomics, with the orderings that it documents: a thread that finds the value
//! sees all that was done to it before. A thread that does not find it is ordered after nothing.
//!
//! The cells return a plain reference, valid as long as the cell lives: the value is written once, before it is
//! published, and never moved. loom reports a race if that is ever untrue.
#![allow(unsafe_code)]

use std::fmt;

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use loom::sync::atomic::{AtomicPtr, AtomicU8};

use crate::base::sync::lock;

/// `once_cell::sync::OnceCell`: one thread initialises it, the others wait.
pub(crate) struct OnceCell<T> {
    is_there: AtomicU8,
    init: Mutex<()>,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written by one thread, which holds the lock, before others can find it.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

impl<T> OnceCell<T> {
    pub(crate) fn new() -> Self {
        OnceCell {
            is_there: AtomicU8::new(0),
            init: Mutex::new(()),
            value: UnsafeCell::new(None),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_there.load(Acquire) == 0 {
            return None;
        }
        self.value.with(|value| {
            // SAFETY: the value is there, so no thread writes it any more.
            unsafe { (*value).as_ref() }
        })
    }

    /// Sets the value.
    ///
    /// # Errors
    /// Returns `value` if there is one already.
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("used once"));
        value.map_or(Ok(()), Err)
    }

    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let init_lock = lock(&self.init);
        if self.is_there.load(Acquire) == 0 {
            let made = init();
            self.value.with_mut(|value| {
                // SAFETY: the value is not there yet, and the lock keeps other writers out.
                unsafe { *value = Some(made) }
            });
            self.is_there.store(1, Release);
        }
        drop(init_lock);
        self.get().expect("it was made")
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        OnceCell::new()
    }
}

impl<T> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceCell")
    }
}

/// `once_cell::race::OnceBox`: all threads that find it empty make a value, and the first one stays.
pub(crate) struct OnceBox<T>(AtomicPtr<T>);

impl<T> OnceBox<T> {
    pub(crate) fn new() -> Self {
        OnceBox(AtomicPtr::new(std::ptr::null_mut()))
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let found = self.0.load(Acquire);
        // SAFETY: null, or a box that lives as long as the cell.
        unsafe { found.as_ref() }
    }

    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> Box<T>) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let made = Box::into_raw(init());
        match self
            .0
            .compare_exchange(std::ptr::null_mut(), made, AcqRel, Acquire)
        {
            // SAFETY: the cell owns it from now on.
            Ok(_) => unsafe { &*made },
            Err(theirs) => {
                // SAFETY: no other thread has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: not null, and owned by the cell.
                unsafe { &*theirs }
            }
        }
    }
}

impl<T> Default for OnceBox<T> {
    fn default() -> Self {
        OnceBox::new()
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // If the model has failed already, report only that.
            return;
        }
        self.0.with_mut(|place| {
            if !place.is_null() {
                // SAFETY: the cell owned it, and is being dropped.
                drop(unsafe { Box::from_raw(*place) });
            }
        });
    }
}

impl<T> fmt::Debug for OnceBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceBox")
    }
}
