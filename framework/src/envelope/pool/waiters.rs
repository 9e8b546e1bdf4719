//! A queue of senders that wait for room: for a free envelope, or for a place in a bounded mailbox.
//!
//! The fast paths pay one load of a counter that is nearly always zero. No wake-up is lost, by Dekker's pattern
//! with a fence on each side: a waiter first registers, then looks for room once more; a thread that makes room
//! first makes it, then reads the counter.
//!
//! Wakers are user code: their clone, drop and wake run outside of the lock. A waiter that was forgotten and not
//! dropped uses up its wake-up and passes it to no other; the supervisor checks for unused room at its ticks.

use std::collections::VecDeque;
use std::task::Waker;

use crate::base::clock::{Due, Stamp};
use crate::base::deferred::DeferredWakes;
use crate::base::sync::{AtomicUsize, Mutex, Ordering, fence, fence_after_swap, lock};

#[derive(Debug)]
pub(crate) struct Waiters {
    /// How many waiters are queued. Written under the queue's lock, read without it by threads that make room.
    count: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// Places at the back count up from 0; places at the front count down.
    back: i64,
    front: i64,
    /// In the order of their places.
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    place: Ticket,
    waker: Waker,
    /// When the waiter gives up, for a waiter that keeps no timer; otherwise never. Read by the supervisor.
    due: Due,
}

/// A waiter's place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(i64);

impl Queue {
    fn find(&self, place: Ticket) -> Option<usize> {
        self.entries
            .binary_search_by_key(&place, |entry| entry.place)
            .ok()
    }
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Waiters {
            count: AtomicUsize::new(0),
            queue: Mutex::new(Queue {
                back: 0,
                front: 0,
                entries: VecDeque::new(),
            }),
        }
    }

    /// Queues a waiter. One that was woken and found no room (`again`) goes to the front. The caller must look
    /// for room once more before it sleeps. A waiter that keeps no timer for its deadline passes it as `due`.
    pub(crate) fn register(&self, waker: &Waker, again: bool, due: Due) -> Ticket {
        let waker = waker.clone();
        let mut queue = lock(&self.queue);
        let place = if again {
            queue.front -= 1;
            Ticket(queue.front)
        } else {
            queue.back += 1;
            Ticket(queue.back)
        };
        let entry = Entry { place, waker, due };
        if again {
            queue.entries.push_front(entry);
        } else {
            queue.entries.push_back(entry);
        }
        self.count.store(queue.entries.len(), Ordering::Relaxed);
        drop(queue);
        fence(Ordering::SeqCst);
        place
    }

    /// Replaces the waker of a waiter that was polled again. Returns false if the waiter is no longer queued,
    /// because it was woken.
    pub(crate) fn renew(&self, place: Ticket, waker: &Waker) -> bool {
        let queue = lock(&self.queue);
        let Some(at) = queue.find(place) else {
            return false;
        };
        if queue.entries[at].waker.will_wake(waker) {
            return true;
        }
        drop(queue);
        let mut waker = waker.clone();
        let mut queue = lock(&self.queue);
        let at = queue.find(place);
        if let Some(at) = at {
            std::mem::swap(&mut queue.entries[at].waker, &mut waker);
        }
        drop(queue);
        at.is_some()
    }

    /// Takes a waiter out. Returns `None` if it had been woken: a waiter that leaves without having used its
    /// wake-up must pass it on with [`wake`](Self::wake). The caller must drop the waker outside of locks.
    pub(crate) fn leave(&self, place: Ticket) -> Option<Waker> {
        let mut queue = lock(&self.queue);
        let at = queue.find(place)?;
        let left = queue.entries.remove(at);
        self.count.store(queue.entries.len(), Ordering::Relaxed);
        drop(queue);
        left.map(|entry| entry.waker)
    }

    /// True if there is a waiter. The caller must have made room before, by a read-modify-write, or have fenced
    /// since.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        fence_after_swap();
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Wakes up to `room` of the waiters that are queued now, first come first served.
    pub(crate) fn wake(&self, room: usize, wakes: &DeferredWakes) {
        // A waiter that finds no room and queues again during this loop is not woken a second time.
        for _ in 0..room.min(self.count.load(Ordering::Relaxed)) {
            let mut queue = lock(&self.queue);
            let Some(entry) = queue.entries.pop_front() else {
                return;
            };
            self.count.store(queue.entries.len(), Ordering::Relaxed);
            drop(queue);
            wakes.wake(entry.waker);
        }
    }

    /// Wakes waiters that keep no timer and whose deadline has passed.
    pub(crate) fn remind(&self, now: Stamp, wakes: &DeferredWakes) {
        let mut queue = lock(&self.queue);
        let is_over = |entry: &Entry| entry.due.is_past(now);
        if !queue.entries.iter().any(is_over) {
            return;
        }
        let entries = std::mem::take(&mut queue.entries);
        let over: VecDeque<Entry>;
        (over, queue.entries) = entries.into_iter().partition(is_over);
        self.count.store(queue.entries.len(), Ordering::Relaxed);
        drop(queue);
        for entry in over {
            wakes.wake(entry.waker);
        }
    }
}
