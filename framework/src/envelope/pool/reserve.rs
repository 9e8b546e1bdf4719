//! The reserve: the last envelopes, for subsystems that hold few.
//!
//! A subsystem that is flooded would take every envelope, and then no message would reach its idle
//! neighbours. So the last ones are given out by a rule: one that holds no message may always take one.
//! One that holds some may take more while more than half of the reserve is there, and while it holds
//! fewer than a sixteenth of what is there above that half. So the first to come get several, and as many
//! subsystems as half of the reserve has envelopes get one, however greedy they all are. The rule is a
//! dynamic threshold as in Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
//! Switches", 1998. It costs nothing while the rest of the pool has a free envelope: the reserve is asked
//! after everything else, and what comes back fills it up before anything else.

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

/// A pool keeps one of this many envelopes in reserve.
const PART: u32 = 16;

/// Or one of this many, where that is no more than [`ENOUGH`].
const SMALL_PART: u32 = 8;

/// Enough for a hundred flooded subsystems and a neighbour.
const ENOUGH: u32 = 128;

/// What one subsystem may hold, in parts of what lies in the upper half of the reserve.
const SHARE: u32 = 16;

/// The smallest pool that has a reserve.
const SMALLEST: u32 = 8;

/// A sender that was woken for the reserve, and has not tried for so many of the supervisor's ticks, is
/// not expected to try any more.
const PATIENCE: u32 = 100;

/// Most subsystems whose senders are woken at once.
const AT_ONCE: usize = 8;

/// One envelope of those that were taken; the low half of the word counts those that are free.
const MISSING: u64 = 1 << 32;

/// Envelopes for subsystems that hold few, and the senders that wait for them.
#[derive(Debug)]
pub(crate) struct Reserve {
    size: u32,
    /// How many may be taken, and how many were taken and not replaced yet. The sum is `size`, but for
    /// those that are being put back.
    counts: AtomicU64,
    stack: Stack,
    /// How many were ever created. The others are free as well: they are created when they are taken.
    created: AtomicU32,
    /// Senders that wait for an envelope, and whose subsystem held few when they began to.
    modest: AtomicUsize,
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
    /// The reserve of a pool of that capacity, full.
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

    /// How many may be taken now.
    pub(crate) fn free(&self) -> u32 {
        free_of(self.counts.load(Ordering::Acquire))
    }

    /// True if it lacks envelopes: what comes back must be offered to [`refill`](Self::refill).
    #[inline]
    pub(crate) fn lacks(&self) -> bool {
        self.counts.load(Ordering::Relaxed) >= MISSING
    }

    /// Takes an envelope for a subsystem that holds `held`, if it may have one; `create` makes the one
    /// of that number, counted from 0, where none lies here ready.
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
            // Together, so that one who sees that it is gone sees that it is missing.
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
        // What may be taken is on the stack or not created yet, and is put there before it is counted:
        // for each that was promised there is one, and none is found on the stack only if enough are
        // left to be created.
        let ready = self.stack.pop(links);
        ready.or_else(|| self.claim(1).next().map(create))
    }

    /// Creates up to `count` ahead of use; how many.
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

    /// Up to `count` numbers of envelopes that are to be created.
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

    /// Takes from envelopes that came back as many as are missing, and wakes senders that may have
    /// them; what is left.
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
        // Release: who is promised one finds it on the stack.
        self.counts.fetch_add(u64::from(count), Ordering::AcqRel);
        fence_after_swap();
        if self.modest.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
        chain
    }

    /// Wakes senders that may have an envelope now: one for each that is free at most, and one for each
    /// subsystem. Such a one wakes the next when it leaves.
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
        // Without the lock, since wakers are not ours.
        for waiters in woken.into_iter().flatten() {
            waiters.wake(1, &self.deferred);
        }
    }

    /// As [`wake`](Self::wake), at each of the supervisor's ticks: a subsystem may hold fewer than before
    /// though no envelope has come back. True if a sender that waits may have one, so that it is about
    /// to go on.
    pub(crate) fn tick(&self) -> bool {
        if self.size == 0 {
            return false;
        }
        self.wake();
        let free = self.free();
        let mut goes_on = false;
        for queue in &mut lock(&self.queues).list {
            // Woken, and not tried again yet: but a sender that was forgotten never will.
            queue.ticks = match queue.waiters.any() {
                true => 0,
                false => queue.ticks.saturating_add(1),
            };
            goes_on |= queue.ticks < PATIENCE && self.admits(queue.holder.held(), free);
        }
        goes_on
    }

    /// A sender begins to wait for an envelope for a message to `holder`; none if there is no reserve.
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

    /// A sender has sent, or waits no longer.
    pub(crate) fn leave(&self, seeking: Seeking) {
        let waiters = &seeking.waiters;
        let left = seeking.place.map(|place| waiters.leave(place));
        let missed = matches!(left, Some(None));
        let ended = lock(&self.queues).leave(seeking.holder);
        // Without the lock: it may be the last hold on a mailbox.
        drop(ended);
        if seeking.is_modest {
            self.modest.fetch_sub(1, Ordering::Relaxed);
        }
        // What it was woken for, or was just about to be woken for, is for others now.
        if missed || self.modest.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
        // The waker is the user's.
        discard(left);
    }
}

/// A sender's place among those who wait for an envelope of the reserve. It waits for one of the other
/// envelopes as well, in the pool's own queue.
#[derive(Debug)]
#[must_use = "it must leave"]
pub(crate) struct Seeking {
    holder: HolderId,
    waiters: Arc<Waiters>,
    place: Option<Ticket>,
    is_modest: bool,
}

impl Seeking {
    /// Makes sure of a place in the queue; true if it is a new one, so that there may be an envelope. Of its
    /// deadline the pool's own queue knows.
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
