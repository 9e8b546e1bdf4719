//! Lanes: every thread that sends or handles has a free list of its own.
//!
//! A thread takes envelopes from its own lane and returns the ones it has handled there, so that the
//! common case touches no memory that another thread writes. A thread whose lane is empty takes over
//! all that another lane holds. The pool's index of lanes, a `DashMap` by thread, is consulted when a
//! thread first meets a pool and when a lane runs empty; in between the thread remembers its lane.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::thread::ThreadId;

use super::Pool;
use super::stack::Stack;
use crate::sync::{AtomicU64, Ordering};

/// One thread's free list and its share of the pool's counts.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Lane {
    pub(crate) stack: Stack,
    pub(crate) acquired: Count,
    pub(crate) released: Count,
    pub(crate) boxed: Count,
    pub(crate) refused: Count,
}

/// A counter with one writer, the lane's thread, and any number of readers.
#[derive(Debug)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn new() -> Self {
        Count(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn add(&self, n: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now + n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Lane {
    pub(crate) fn new() -> Self {
        Lane {
            stack: Stack::new(),
            acquired: Count::new(),
            released: Count::new(),
            boxed: Count::new(),
            refused: Count::new(),
        }
    }
}

/// A thread's hold on its lane; when the thread ends, the lane is folded into the pool.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) lane: Arc<Lane>,
    /// Envelopes returned by this thread's hosts since those who wait for one were last woken.
    pub(crate) owed: Cell<usize>,
    /// Nanoseconds of handling since then.
    pub(crate) busy_ns: Cell<u64>,
    /// Hosts of this thread whose last turn ended with more to do.
    pub(crate) going_on: Cell<u32>,
    thread: ThreadId,
    pool: Weak<Pool>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(self.thread, &self.lane);
        }
    }
}

thread_local! {
    /// This thread's lanes, one for each pool that it has met; nearly always one.
    static LANES: RefCell<Vec<Rc<Hold>>> = const { RefCell::new(Vec::new()) };
}

impl Hold {
    /// A pool's address tells it apart: the `Weak` keeps the place from being used again.
    fn is_of(&self, pool: &Arc<Pool>) -> bool {
        std::ptr::eq(self.pool.as_ptr(), Arc::as_ptr(pool))
    }
}

/// The calling thread's lane of `pool`; `None` while the thread's local storage is being torn down.
#[inline]
pub(crate) fn of_this_thread(pool: &Arc<Pool>) -> Option<Rc<Hold>> {
    LANES
        .try_with(|lanes| {
            if let Some(hold) = lanes.borrow().first()
                && hold.is_of(pool)
            {
                return hold.clone();
            }
            meet(lanes, pool)
        })
        .ok()
}

#[cold]
fn meet(lanes: &RefCell<Vec<Rc<Hold>>>, pool: &Arc<Pool>) -> Rc<Hold> {
    let mut lanes = lanes.borrow_mut();
    if let Some(at) = lanes.iter().position(|hold| hold.is_of(pool)) {
        // The pool used last stands first.
        lanes.swap(0, at);
        return lanes[0].clone();
    }
    lanes.retain(|hold| hold.pool.strong_count() > 0);
    let thread = std::thread::current().id();
    let hold = Rc::new(Hold {
        lane: pool.enlist(thread),
        owed: Cell::new(0),
        busy_ns: Cell::new(0),
        going_on: Cell::new(0),
        thread,
        pool: Arc::downgrade(pool),
    });
    lanes.insert(0, hold.clone());
    hold
}
