//! The reserve: the last envelopes, for subsystems that hold few.
//!
//! A flooded subsystem would take every envelope, and no message could reach its idle neighbours. So the last
//! envelopes are given out by a rule. A subsystem that holds no message may always take one. A subsystem that
//! holds some may take more while more than half of the reserve is free, and while it holds fewer than a
//! sixteenth of what is free above that half. So the first subsystems get several, and even if all are greedy, as
//! many subsystems get one as half of the reserve has envelopes. The rule is a dynamic threshold as in Choudhury
//! and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998. It costs nothing while
//! the rest of the pool has a free envelope: the reserve is asked last, and it is refilled first.

use std::sync::Arc;
use std::task::Waker;

use super::holders::{Holder, HolderId, HolderQueue, Queues};
use super::stack::Stack;
use super::waiters::{Ticket, Waiters};
use crate::base::clock::Due;
use crate::base::deferred::DeferredWakes;
use crate::base::sync::{
    AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, fence_after_swap, lock,
};
use crate::base::user_code::discard;
use crate::envelope::token::{Chain, Links, Token};

/// A pool keeps one envelope in this many in reserve.
const PART: u32 = 16;

/// Or one in this many, while that is no more than [`ENOUGH`].
const SMALL_PART: u32 = 8;

/// Enough for a hundred flooded subsystems and a neighbour.
const ENOUGH: u32 = 128;

/// One subsystem may hold one in this many of the free envelopes in the upper half of the reserve.
const SHARE: u32 = 16;

/// The smallest pool that has a reserve.
const SMALLEST: u32 = 8;

/// How many of the supervisor's ticks a sender that was woken for the reserve may take to try again. After that
/// it counts as gone.
const PATIENCE: u32 = 100;

/// The most subsystems whose senders are woken at once.
const AT_ONCE: usize = 8;

/// One missing envelope: taken and not replaced yet. They are counted in the upper half of the word, free ones in
/// the lower half.
const MISSING: u64 = 1 << 32;

/// The envelopes kept for subsystems that hold few, and the senders that wait for them.
#[derive(Debug)]
pub(crate) struct Reserve {
    size: u32,
    /// How many envelopes are free, and how many are missing. The sum is `size`, less those that are just being
    /// put back. Written by every thread that takes or returns one.
    counts: AtomicU64,
    /// The envelopes that are free and created.
    stack: Stack,
    /// How many were ever created. The others are free as well; they are created when they are taken.
    created: AtomicU32,
    /// How many senders wait whose subsystem held few envelopes when they began to wait. While this is 0, a
    /// returned envelope wakes no sender here.
    modest: AtomicUsize,
    /// The senders that wait, by subsystem.
    queues: Mutex<Queues>,
    deferred: Arc<DeferredWakes>,
}

fn free_of(counts: u64) -> u32 {
    counts as u32
}

fn missing_of(counts: u64) -> u32 {
    (counts >> 32) as u32
}

impl Reserve {
    /// Makes the reserve of a pool of that capacity, full.
    pub(crate) fn of(capacity: u32, deferred: Arc<DeferredWakes>) -> Self {
        let size = match capacity {
            SMALLEST.. => (capacity / PART).max(ENOUGH.min(capacity / SMALL_PART)),
            _ => 0,
        };
        Reserve {
            size,
            counts: AtomicU64::new(u64::from(size)),
            stack: Stack::new(),
            created: AtomicU32::new(0),
            modest: AtomicUsize::new(0),
            queues: Mutex::default(),
            deferred,
        }
    }

    /// The most envelopes that it holds.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// True if a subsystem that holds `held` messages may take one of `free` envelopes.
    fn admits(&self, held: u64, free: u32) -> bool {
        let above_half = free.saturating_sub(self.size / 2);
        let most = u64::from(above_half / SHARE).max(1);
        free > 0 && held < most
    }

    /// How many of its envelopes were ever created.
    pub(crate) fn created(&self) -> u32 {
        self.created.load(Ordering::Acquire)
    }

    /// How many are free now.
    pub(crate) fn free(&self) -> u32 {
        free_of(self.counts.load(Ordering::Acquire))
    }

    /// True if envelopes are missing: those that come back must be offered to [`refill`](Self::refill).
    #[inline]
    pub(crate) fn lacks(&self) -> bool {
        self.counts.load(Ordering::Relaxed) >= MISSING
    }

    /// Takes an envelope for a subsystem that holds `held`, if it may have one. If none is on the stack, `create`
    /// makes the one with the given number, counted from 0.
    pub(crate) fn take(
        &self,
        links: &Links,
        held: u64,
        create: impl FnOnce(u32) -> Token,
    ) -> Option<Token> {
        let mut seen = self.counts.load(Ordering::Acquire);
        loop {
            if !self.admits(held, free_of(seen)) {
                return None;
            }
            // In one step: a thread that sees the envelope gone also sees it missing.
            let new = seen - 1 + MISSING;
            match (self.counts).compare_exchange_weak(
                seen,
                new,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        // An envelope counts as free only once it is on the stack, or while it is not created yet. So there is
        // one for each successful swap: if the stack is empty, enough are left to be created.
        let ready = self.stack.pop(links);
        ready.or_else(|| self.claim(1).next().map(create))
    }

    /// Creates up to `count` before their first use. Returns how many.
    pub(crate) fn warm_up(
        &self,
        links: &Links,
        count: u32,
        create: impl FnMut(u32) -> Token,
    ) -> u32 {
        let mut chain = Chain::new();
        self.claim(count)
            .map(create)
            .for_each(|token| chain.push_back(links, token));
        let created = chain.len();
        self.stack.push(links, chain);
        created
    }

    /// Claims the numbers of up to `count` envelopes, which the caller must create.
    fn claim(&self, count: u32) -> std::ops::Range<u32> {
        let mut seen = self.created.load(Ordering::Relaxed);
        loop {
            let end = seen.saturating_add(count).min(self.size);
            match (self.created).compare_exchange_weak(
                seen,
                end,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return seen..end,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the missing number from envelopes that came back, and wakes senders that may have them. Returns the
    /// rest.
    #[cold]
    pub(crate) fn refill(&self, links: &Links, mut chain: Chain) -> Chain {
        let mut seen = self.counts.load(Ordering::Relaxed);
        let count = loop {
            let count = missing_of(seen).min(chain.len());
            if count == 0 {
                return chain;
            }
            let new = seen - MISSING * u64::from(count);
            match (self.counts).compare_exchange_weak(
                seen,
                new,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break count,
                Err(now) => seen = now,
            }
        };
        let mut back = Chain::new();
        for token in (0..count).filter_map(|_| chain.pop_front(links)) {
            back.push_back(links, token);
        }
        self.stack.push(links, back);
        // Release: a thread that takes one by this count finds it on the stack.
        self.counts.fetch_add(u64::from(count), Ordering::AcqRel);
        fence_after_swap();
        if self.modest.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
        chain
    }

    /// Wakes senders that may have an envelope now: at most one per free envelope, and one per subsystem. A woken
    /// sender wakes the next when it leaves.
    #[cold]
    fn wake(&self) {
        let free = self.free();
        let mut woken: [Option<Arc<Waiters>>; AT_ONCE] = Default::default();
        if free > 0 {
            let mut queues = lock(&self.queues);
            let Queues { list, next, .. } = &mut *queues;
            let (before, from) = list.split_at(list.partition_point(|queue| queue.id() < *next));
            let admitted = (from.iter().chain(before))
                .filter(|queue| queue.waiters.any() && self.admits(queue.holder.held(), free))
                .take(free as usize);
            let mut last = None;
            for (place, queue) in woken.iter_mut().zip(admitted) {
                *place = Some(queue.waiters.clone());
                last = Some(queue.id());
            }
            if let Some(last) = last {
                *next = last.wrapping_add(1);
            }
        }
        // Without the lock: wakers are user code.
        for waiters in woken.into_iter().flatten() {
            waiters.wake(1, &self.deferred);
        }
    }

    /// Called at each of the supervisor's ticks. Does the same as [`wake`](Self::wake): a subsystem may hold
    /// fewer messages than before although no envelope has come back. Returns true if a waiting sender may have
    /// an envelope, so that it is about to go on.
    pub(crate) fn tick(&self) -> bool {
        if self.size == 0 {
            return false;
        }
        self.wake();
        let free = self.free();
        let mut goes_on = false;
        for queue in &mut lock(&self.queues).list {
            // No sender is queued: the last was woken and has not tried again. If it was forgotten, it never
            // will.
            queue.ticks = match queue.waiters.any() {
                true => 0,
                false => queue.ticks.saturating_add(1),
            };
            goes_on |= queue.ticks < PATIENCE && self.admits(queue.holder.held(), free);
        }
        goes_on
    }

    /// A sender begins to wait for an envelope for a message to `holder`. Returns `None` if there is no reserve.
    pub(crate) fn join(&self, holder: Arc<dyn Holder>) -> Option<Seeking> {
        if self.size == 0 {
            return None;
        }
        let is_modest = self.admits(holder.held(), self.size);
        if is_modest {
            self.modest.fetch_add(1, Ordering::Relaxed);
        }
        let id = holder.id();
        let mut queues = lock(&self.queues);
        let at = match queues.find(id) {
            Ok(at) => at,
            Err(at) => {
                let spare = queues.spares.pop();
                let waiters = spare.unwrap_or_else(|| Arc::new(Waiters::new()));
                queues.list.insert(at, HolderQueue::new(holder, waiters));
                at
            }
        };
        let queue = &mut queues.list[at];
        queue.members += 1;
        Some(Seeking {
            holder: id,
            waiters: queue.waiters.clone(),
            place: None,
            is_modest,
        })
    }

    /// A sender has sent, or stops waiting.
    pub(crate) fn leave(&self, seeking: Seeking) {
        let waiters = &seeking.waiters;
        let left = seeking.place.map(|place| waiters.leave(place));
        let missed = matches!(left, Some(None));
        let ended = lock(&self.queues).leave(seeking.holder);
        // Without the lock: it may be the last reference to a mailbox.
        drop(ended);
        if seeking.is_modest {
            self.modest.fetch_sub(1, Ordering::Relaxed);
        }
        // It may have been woken, or be about to be woken, for an envelope that another sender can use now.
        if missed || self.modest.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
        // The waker is user code.
        discard(left);
    }
}

/// A sender's place in the queue for the reserve. The sender also waits in the pool's own queue, for an envelope
/// outside of the reserve.
#[derive(Debug)]
#[must_use = "it must leave"]
pub(crate) struct Seeking {
    holder: HolderId,
    waiters: Arc<Waiters>,
    place: Option<Ticket>,
    is_modest: bool,
}

impl Seeking {
    /// Makes sure that the sender is queued. Returns true if the place is new: then the caller must look for an
    /// envelope once more. The deadline is kept in the pool's own queue only.
    pub(crate) fn register(&mut self, waker: &Waker, again: bool) -> bool {
        if let Some(place) = self.place
            && self.waiters.renew(place, waker)
        {
            return false;
        }
        self.place = Some(self.waiters.register(waker, again, Due::NEVER));
        true
    }
}
