//! Wakes that can't be made on the current thread: the keepers' thread makes them.
//!
//! A thread that is ending can't wake every task: the task's executor may need a thread-local that is destroyed
//! already. And a destructor of a thread-local must not call user code, which a waker is. Promise: a task that is
//! due to be woken is woken, on the current thread or on the keepers' thread.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::base::sync::{AtomicUsize, Mutex, OnceCell, Ordering, lock};
use crate::base::user_code::{self, discard, discard_payload};

thread_local! {
    static HAS_WOKEN: Cell<bool> = const { Cell::new(false) };
    /// Destroyed when the thread is about to end. It is first touched after the thread's first wake, so it is
    /// destroyed before the thread-locals that this wake's executor has made. Once it is gone, no wake is tried
    /// here.
    static LIFE: Sentinel = const { Sentinel };
}

struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {}
}

/// See the module.
#[derive(Default)]
pub(crate) struct DeferredWakes {
    wakers: Mutex<Vec<Waker>>,
    /// Envelopes that came free on threads that could wake no waiter. Added to by those threads, taken by the
    /// keepers.
    freed: AtomicUsize,
    /// Wakes the keepers, so that they call [`make`](Self::make). Set once, when the keepers start.
    bell: OnceCell<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for DeferredWakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeferredWakes")
    }
}

impl DeferredWakes {
    /// Sets the function that wakes the keepers. It may be called in a thread-local's destructor.
    pub(crate) fn set_bell(&self, bell: impl Fn() + Send + Sync + 'static) {
        let _ = self.bell.set(Box::new(bell));
    }

    fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell();
        }
    }

    /// Wakes a task. If the waker panics, the keepers try once more.
    pub(crate) fn wake(&self, waker: Waker) {
        match self.try_wake(&waker) {
            true => discard(waker),
            false => self.defer(waker),
        }
    }

    /// Wakes a task. Returns false if its waker panicked or this thread is ending; the caller must then
    /// [`defer`](Self::defer) it.
    pub(crate) fn try_wake(&self, waker: &Waker) -> bool {
        if HAS_WOKEN.get() && LIFE.try_with(|_| ()).is_err() {
            return false;
        }
        let woken = catch_unwind(AssertUnwindSafe(|| waker.wake_by_ref()));
        if !HAS_WOKEN.replace(true) {
            let _ = LIFE.try_with(|_| ());
        }
        woken.map_err(discard_payload).is_ok()
    }

    /// Leaves the wake of a task to the keepers.
    #[cold]
    pub(crate) fn defer(&self, waker: Waker) {
        lock(&self.wakers).push(waker);
        self.ring();
    }

    /// Leaves the wake of waiters for that many free envelopes to the keepers.
    #[cold]
    pub(crate) fn defer_freed(&self, envelopes: usize) {
        self.freed.fetch_add(envelopes, Ordering::AcqRel);
        self.ring();
    }

    /// Makes the deferred wakes; called on the keepers' thread. Returns how many waiters for an envelope the
    /// caller must wake besides.
    pub(crate) fn make(&self) -> usize {
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        for waker in wakers {
            // If the waker panics a second time, the wake is given up.
            user_code::wake(waker);
        }
        self.freed.swap(0, Ordering::AcqRel)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    /// Panics when it is woken for the first time.
    #[derive(Default)]
    struct Once(AtomicUsize);

    impl Wake for Once {
        fn wake(self: Arc<Self>) {
            assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "not here");
        }
    }

    #[test]
    fn a_task_whose_waker_panics_here_is_woken_by_the_keepers() {
        let deferred = DeferredWakes::default();
        let rung = Arc::new(AtomicUsize::new(0));
        let bell = rung.clone();
        deferred.set_bell(move || {
            bell.fetch_add(1, Ordering::Relaxed);
        });
        let task = Arc::new(Once::default());
        deferred.wake(task.clone().into());
        assert_eq!(rung.load(Ordering::Relaxed), 1);
        deferred.defer_freed(3);
        assert_eq!(deferred.make(), 3);
        assert_eq!(task.0.load(Ordering::Relaxed), 2);
        assert_eq!((Arc::strong_count(&task), deferred.make()), (1, 0));
    }
}
