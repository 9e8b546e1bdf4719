//! What a thread keeps for a system: its lane, its hosts, the subsystem that runs on it now, and the wakes that
//! it owes.
//!
//! All of it is found with one access to a thread-local, which is what a send makes.

pub(crate) mod agenda;
pub(crate) mod stamps;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::Waker;

use crate::base::clock::{Due, Stamp};
use crate::base::sim::ThreadKey;
use crate::books::latency::Sample;
use crate::envelope::pool::Pool;
use crate::envelope::pool::lane::Lane;
use agenda::Agenda;
use stamps::SharedStamp;

/// A thread's part of a system. When the thread ends, its lane is folded into the pool.
pub(crate) struct Local {
    pub(crate) lane: Arc<Lane>,
    /// The subsystem whose handler runs on this thread now; 0 for none.
    serving: Cell<u32>,
    /// True if that handler may block this thread.
    may_block: Cell<bool>,
    /// True if no handler runs, but a future that the subsystem has spawned beside its mailbox.
    is_beside: Cell<bool>,
    /// True during a call that can't wait: a handler that is not `async`.
    pub(crate) in_sync_handler: Cell<bool>,
    /// True if the handler has entered an edge of the wait graph. The edge ends with the handler at the latest.
    pub(crate) has_waited: Cell<bool>,
    /// The data pointer of the waker of the host's task, to recognize that task.
    task: Cell<*const ()>,
    /// The deadline of the message being handled.
    due: Cell<Due>,
    /// The trace of the message being handled; 0 for none.
    trace: Cell<u64>,
    /// How many envelopes this thread's hosts have returned since they last woke waiters for an envelope.
    pub(crate) owed: Cell<usize>,
    /// For how many nanoseconds messages were handled since then.
    pub(crate) busy_ns: Cell<u64>,
    /// How many hosts of this thread ended their last turn with more to do.
    pub(crate) going_on: Cell<u32>,
    /// The buffer for a turn's samples, reused by all turns of the thread.
    pub(crate) samples: Cell<Vec<Sample>>,
    /// When the last message of this thread ended.
    pub(crate) latest: Cell<Stamp>,
    pub(crate) agenda: Agenda,
    pub(crate) stamp: SharedStamp,
    thread: ThreadKey,
    /// The pool's address, which identifies it: the `Weak` keeps the address from being reused.
    address: usize,
    pool: Weak<Pool>,
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(self.thread, &self.lane);
        }
    }
}

thread_local! {
    /// This thread's part of each system that it has met; nearly always one.
    pub(crate) static LOCALS: RefCell<Vec<Rc<Local>>> = const { RefCell::new(Vec::new()) };
}

impl Local {
    fn new(pool: &Arc<Pool>, lane: Arc<Lane>) -> Rc<Self> {
        Rc::new(Local {
            lane,
            serving: Cell::new(0),
            may_block: Cell::new(false),
            is_beside: Cell::new(false),
            in_sync_handler: Cell::new(false),
            has_waited: Cell::new(false),
            task: Cell::new(std::ptr::null()),
            due: Cell::new(Due::NEVER),
            trace: Cell::new(0),
            owed: Cell::new(0),
            busy_ns: Cell::new(0),
            going_on: Cell::new(0),
            samples: Cell::new(Vec::new()),
            latest: Cell::new(Stamp(0)),
            agenda: Agenda::default(),
            stamp: SharedStamp::default(),
            thread: ThreadKey::current(),
            address: Arc::as_ptr(pool) as usize,
            pool: Arc::downgrade(pool),
        })
    }

    /// The calling thread's part of the system that `pool` belongs to.
    #[inline(always)]
    pub(crate) fn of(pool: &Arc<Pool>) -> Rc<Self> {
        let known = LOCALS.try_with(|locals| {
            let locals = locals.borrow();
            locals.first().filter(|local| local.is_of(pool)).cloned()
        });
        match known {
            Ok(Some(local)) => local,
            _ => Local::find(pool),
        }
    }

    #[cold]
    fn find(pool: &Arc<Pool>) -> Rc<Self> {
        let known = LOCALS.try_with(|locals| {
            let mut locals = locals.borrow_mut();
            if let Some(at) = locals.iter().position(|local| local.is_of(pool)) {
                // The system used last comes first.
                locals.swap(0, at);
                return locals[0].clone();
            }
            locals.retain(|local| local.pool.strong_count() > 0);
            let local = Local::new(pool, pool.enlist(ThreadKey::current()));
            locals.insert(0, local.clone());
            local
        });
        // The thread is ending: make a lane for this one use.
        known.unwrap_or_else(|_| Local::new(pool, Arc::new(Lane::new())))
    }

    /// Identifies this thread's part of this system among all that exist.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    #[inline]
    fn is_of(&self, pool: &Arc<Pool>) -> bool {
        self.address == Arc::as_ptr(pool) as usize
    }

    /// The subsystem whose code runs on this thread; 0 for none.
    #[inline]
    pub(crate) fn serving(&self) -> u32 {
        self.serving.get()
    }

    /// The deadline of the message being handled.
    #[inline]
    pub(crate) fn due(&self) -> Due {
        self.due.get()
    }

    /// The trace of a message sent now; 0 for none.
    #[inline]
    pub(crate) fn trace(&self) -> u64 {
        self.trace.get()
    }

    /// Until the guard is dropped, messages sent on this thread have subsystem `mailbox` as their sender.
    pub(crate) fn serve(&self, mailbox: u32) -> Serving<'_> {
        Serving {
            mailbox: self.serving.replace(mailbox),
            due: self.due.replace(Due::NEVER),
            trace: self.trace.replace(0),
            may_block: self.may_block.replace(false),
            is_beside: self.is_beside.replace(false),
            in_sync_handler: self.in_sync_handler.replace(false),
            has_waited: self.has_waited.replace(false),
            task: self.task.replace(std::ptr::null()),
            local: self,
        }
    }

    /// Notes that the current turn runs on the task of `waker`.
    pub(crate) fn serve_on(&self, waker: &Waker) {
        self.task.set(waker.data());
    }

    /// True if `waker` belongs to the task that runs the current turn.
    pub(crate) fn is_task_of(&self, waker: &Waker) -> bool {
        !self.task.get().is_null() && self.task.get() == waker.data()
    }

    /// True if the handler that runs on this thread may block it.
    pub(crate) fn may_block(&self) -> bool {
        self.may_block.get()
    }

    /// True while a handler runs that can't wait: one that is not `async`.
    #[inline]
    pub(crate) fn is_in_sync_handler(&self) -> bool {
        self.in_sync_handler.get()
    }

    /// As [`serve`](Self::serve), for a handler that may block its thread.
    pub(crate) fn serve_blocking(&self, mailbox: u32) -> Serving<'_> {
        let serving = self.serve(mailbox);
        self.may_block.set(true);
        serving
    }

    /// As [`serve`](Self::serve), while a future is polled that the subsystem has spawned beside its mailbox.
    pub(crate) fn serve_beside(&self, mailbox: u32) -> Serving<'_> {
        let serving = self.serve(mailbox);
        self.is_beside.set(true);
        serving
    }

    /// The subsystem that handles no message while the code on this thread waits; 0 for none.
    #[inline]
    pub(crate) fn held_up(&self) -> u32 {
        if self.is_beside.get() {
            0
        } else {
            self.serving.get()
        }
    }

    /// True in a turn of subsystem `mailbox`.
    pub(crate) fn is_in_turn_of(&self, mailbox: u32) -> bool {
        self.serving() == mailbox && !self.is_beside.get() && !self.may_block()
    }

    /// Sets the deadline and the trace of the message being handled.
    #[inline]
    pub(crate) fn take_up(&self, due: Due, trace: u64) {
        self.due.set(due);
        self.trace.set(trace);
    }
}

impl Local {
    /// Until the guard is dropped, messages sent on this thread have that deadline and that trace.
    pub(crate) fn carry(&self, due: Due, trace: u64) -> Carrying<'_> {
        let before = (self.due.replace(due), self.trace.replace(trace));
        Carrying {
            local: self,
            before,
        }
    }
}

/// See [`Local::carry`].
pub(crate) struct Carrying<'l> {
    local: &'l Local,
    before: (Due, u64),
}

impl Drop for Carrying<'_> {
    fn drop(&mut self) {
        self.local.take_up(self.before.0, self.before.1);
    }
}

/// See [`Local::serve`].
pub(crate) struct Serving<'l> {
    local: &'l Local,
    /// The values before, which the drop restores.
    mailbox: u32,
    due: Due,
    trace: u64,
    may_block: bool,
    is_beside: bool,
    in_sync_handler: bool,
    has_waited: bool,
    task: *const (),
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.local.serving.set(self.mailbox);
        self.local.may_block.set(self.may_block);
        self.local.is_beside.set(self.is_beside);
        self.local.in_sync_handler.set(self.in_sync_handler);
        self.local.has_waited.set(self.has_waited);
        self.local.task.set(self.task);
        self.local.take_up(self.due, self.trace);
    }
}

/// True if a subsystem of any system runs on this thread, so that the thread must not block.
pub(crate) fn is_serving() -> bool {
    let must_not_block = |local: &Rc<Local>| local.serving() != 0 && !local.may_block.get();
    LOCALS
        .try_with(|locals| locals.borrow().iter().any(must_not_block))
        .unwrap_or(false)
}
