//! Wakes that can't be made where they are due: the keepers make them.
//!
//! A thread that ends can't wake every task, for the task's executor may have kept something in the thread's
//! local memory that is gone already. And what a thread's local destructors do must not call user code, which
//! a waker is. Promise: a task that is due to be woken is woken, here or on the keepers' thread.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::base::sync::{AtomicUsize, Mutex, OnceCell, Ordering, lock};
use crate::base::user_code::{self, discard, discard_payload};

thread_local! {
    static HAS_WOKEN: Cell<bool> = const { Cell::new(false) };
    /// Is gone when the thread is about to end. It is first touched after the thread's first wake, and so goes
    /// before what that wake's executor keeps there: no wake is tried that would not find it any more.
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
    /// Envelopes that came free while no waiter could be woken for them.
    freed: AtomicUsize,
    /// Has the keepers look here.
    bell: OnceCell<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for DeferredWakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeferredWakes")
    }
}

impl DeferredWakes {
    /// Sets what has the keepers look here. It may be called in a thread-local's destructor.
    pub(crate) fn set_bell(&self, bell: impl Fn() + Send + Sync + 'static) {
        let _ = self.bell.set(Box::new(bell));
    }

    fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell();
        }
    }

    /// Wakes a task. If its waker panics here, the keepers wake it.
    pub(crate) fn wake(&self, waker: Waker) {
        match self.try_wake(&waker) {
            true => discard(waker),
            false => self.defer(waker),
        }
    }

    /// Wakes a task; false if its waker panicked. Then it is to be given to [`defer`](Self::defer).
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

    /// Has the keepers wake a task.
    #[cold]
    pub(crate) fn defer(&self, waker: Waker) {
        lock(&self.wakers).push(waker);
        self.ring();
    }

    /// Has the keepers wake those who wait for so many envelopes.
    #[cold]
    pub(crate) fn defer_freed(&self, envelopes: usize) {
        self.freed.fetch_add(envelopes, Ordering::AcqRel);
        self.ring();
    }

    /// Makes the deferred wakes, on the keepers' thread. Returns how many waiters for an envelope are to be
    /// woken besides.
    pub(crate) fn make(&self) -> usize {
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        for waker in wakers {
            // A second panic is the end of it.
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
