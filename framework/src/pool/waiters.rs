//! Those who wait for room: for a free envelope, or for a place in a bounded mailbox.
//!
//! The fast paths pay one load of a counter that is nearly always zero. The rule that no wake-up is
//! lost: a waiter first registers, then looks for room once more; who makes room first makes it, then
//! looks at the counter; a fence on each side (Dekker's pattern).

use std::collections::VecDeque;
use std::task::Waker;

use crate::sync::{AtomicUsize, Mutex, Ordering, fence, fence_after_swap, lock};

#[derive(Debug)]
pub(crate) struct Waiters {
    count: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    next_id: u64,
    entries: VecDeque<(u64, Waker)>,
}

/// A waiter's place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Waiters {
    pub(crate) fn new() -> Self {
        Waiters {
            count: AtomicUsize::new(0),
            queue: Mutex::new(Queue {
                next_id: 0,
                entries: VecDeque::new(),
            }),
        }
    }

    /// Queues a waiter; one that was woken and found the room gone again goes to the front. After
    /// this the caller must look for room once more before it sleeps.
    pub(crate) fn register(&self, waker: &Waker, again: bool) -> Place {
        let mut queue = lock(&self.queue);
        let id = queue.next_id;
        queue.next_id += 1;
        if again {
            queue.entries.push_front((id, waker.clone()));
        } else {
            queue.entries.push_back((id, waker.clone()));
        }
        self.count.store(queue.entries.len(), Ordering::Relaxed);
        drop(queue);
        fence(Ordering::SeqCst);
        Place(id)
    }

    /// Renews the waker of a waiter that was polled again; false if it has been woken, and so is no
    /// longer queued.
    pub(crate) fn renew(&self, place: Place, waker: &Waker) -> bool {
        let mut queue = lock(&self.queue);
        match queue.entries.iter_mut().find(|(id, _)| *id == place.0) {
            Some((_, held)) => {
                held.clone_from(waker);
                true
            }
            None => false,
        }
    }

    /// Takes a waiter out; false if it had been woken: a waiter that leaves without having used its
    /// wake-up must then pass it on with [`wake`](Self::wake).
    pub(crate) fn leave(&self, place: Place) -> bool {
        let mut queue = lock(&self.queue);
        let before = queue.entries.len();
        queue.entries.retain(|(id, _)| *id != place.0);
        self.count.store(queue.entries.len(), Ordering::Relaxed);
        queue.entries.len() < before
    }

    /// True if anyone waits. The caller has made room before, by a read-modify-write, or has
    /// fenced since.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        fence_after_swap();
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Wakes up to `room` waiters, first come first served.
    pub(crate) fn wake(&self, room: usize) {
        for _ in 0..room {
            let mut queue = lock(&self.queue);
            let Some((_, waker)) = queue.entries.pop_front() else {
                return;
            };
            self.count.store(queue.entries.len(), Ordering::Relaxed);
            drop(queue);
            waker.wake();
        }
    }
}
