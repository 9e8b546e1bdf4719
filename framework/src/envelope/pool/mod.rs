//! The pool: a fixed number of envelopes, recycled. `send → `**`pool`**` → envelope`
//!
//! Promise: there are never more than `capacity` envelopes, and an envelope returns only when the holder of its
//! token returns it. `acquire` never waits: it returns `None` if none is free. Waiting is in `send/room.rs`. Free
//! envelopes lie in lanes, one per thread, found through a `DashMap` (see [`lane`]). The last ones are kept for
//! subsystems that hold few (see [`reserve`]).
#![allow(unsafe_code)]

#[cfg_attr(not(feature = "test"), path = "custody_off.rs")]
mod custody;
pub(crate) mod stack;
pub(crate) mod lane;
pub(crate) mod waiters;
pub(crate) mod holders;
pub(crate) mod reserve;
mod stats;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use dashmap::DashMap;

use crate::base::clock::{Due, Stamp};
use crate::base::deferred::DeferredWakes;
use crate::base::sim::{self, Point, ThreadKey};
use crate::base::sync::{AtomicU32, AtomicU64, Ordering};
use crate::base::user_code::contain;
use crate::envelope::token::{Chain, Links, Token};
use crate::envelope::{Envelope, Slab};
use custody::Custody;
use holders::Holder;
use lane::Lane;
use reserve::Reserve;
pub use stats::PoolStats;
use waiters::Waiters;

/// How often `fetch` looks for envelopes that are free but in no lane at the moment.
const LOOKS: usize = 1000;

/// The envelopes of one system.
pub(crate) struct Pool {
    capacity: u32,
    pub(crate) slab: Slab,
    pub(crate) links: Links,
    lanes: DashMap<ThreadKey, Arc<Lane>>,
    /// The same lanes as a list, to iterate over: iterating over a `DashMap` locks and allocates once per shard.
    roster: RwLock<Vec<Arc<Lane>>>,
    /// The free list of threads whose thread-locals are destroyed. Envelopes of ended threads come here too.
    common: Lane,
    pub(crate) reserve: Reserve,
    retired: Retired,
    /// How many envelopes were created, without those of the reserve.
    created: AtomicU32,
    /// How many envelopes were created before their first use.
    warmed: AtomicU32,
    /// The most envelopes that were seen in flight.
    high_water: AtomicU32,
    pub(crate) room: Waiters,
    pub(crate) deferred: Arc<DeferredWakes>,
    custody: Custody,
}

/// The counts of lanes whose threads have ended.
#[derive(Default)]
struct Retired {
    acquired: AtomicU64,
    released: AtomicU64,
    boxed: AtomicU64,
    refused: AtomicU64,
}

impl Pool {
    pub(crate) fn new(capacity: u32) -> Self {
        let deferred: Arc<DeferredWakes> = Arc::default();
        Pool {
            capacity,
            slab: Slab::new(capacity as usize),
            links: Links::new(capacity as usize),
            lanes: DashMap::new(),
            roster: RwLock::default(),
            common: Lane::new(),
            reserve: Reserve::of(capacity, deferred.clone()),
            retired: Retired::default(),
            created: AtomicU32::new(0),
            warmed: AtomicU32::new(0),
            high_water: AtomicU32::new(0),
            room: Waiters::new(),
            deferred,
            custody: Custody::new(capacity),
        }
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Creates up to `count` envelopes before their first use.
    pub(crate) fn warm_up(&self, count: u32) {
        let mut chain = Chain::new();
        while chain.len() < count {
            let Some(token) = self.create() else { break };
            chain.push_back(&self.links, token);
        }
        let rest = count - chain.len();
        let kept = (self.reserve).warm_up(&self.links, rest, |index| self.create_kept(index));
        self.warmed.fetch_add(chain.len() + kept, Ordering::Relaxed);
        self.common.stack.push(&self.links, chain);
    }

    /// Takes a free envelope for a message to `holder`; `None` if none is free that it may have.
    #[inline]
    pub(crate) fn acquire(&self, lane: &Lane, holder: &impl Holder) -> Option<Envelope<'_>> {
        let token = match lane.stack.pop(&self.links) {
            Some(token) => token,
            None => self.fetch(lane, holder)?,
        };
        self.custody.take(&token);
        lane.acquired.add(1);
        Some(Envelope::new(&self.slab, token))
    }

    /// Fills an empty lane from the others, creates an envelope, or takes one from the reserve.
    #[cold]
    fn fetch(&self, to: &Lane, holder: &impl Holder) -> Option<Token> {
        for _ in 0..LOOKS {
            if let Some(token) = self.steal(to) {
                self.note_in_flight(self.in_flight() + 1);
                // A waiter that looked while the other envelopes were moving here has not seen them.
                self.wake_waiters(1);
                return Some(token);
            }
            sim::preempt(Point::Freed);
            if let Some(token) = self.create() {
                self.note_in_flight(self.in_flight() + 1);
                return Some(token);
            }
            if !self.has_free_in_lanes() {
                break;
            }
            // Some are free, but another thread is just moving them from lane to lane.
            std::thread::yield_now();
        }
        let create = |index| self.create_kept(index);
        let token = self.reserve.take(&self.links, holder.held(), create);
        self.note_in_flight(match token {
            Some(_) => self.in_flight().saturating_add(1),
            None => self.capacity - self.reserve.free(),
        });
        token
    }

    /// True if an envelope is free outside of the reserve: in a lane, on its way to one, or not created yet.
    pub(crate) fn has_free_in_lanes(&self) -> bool {
        let elsewhere = self.in_flight().saturating_add(self.reserve.free());
        elsewhere < self.capacity
    }

    fn steal(&self, to: &Lane) -> Option<Token> {
        if let Some(token) = to.stack.steal(&self.links, &self.common.stack) {
            return Some(token);
        }
        self.roster()
            .iter()
            .filter(|lane| !std::ptr::eq(&***lane, to))
            .find_map(|lane| to.stack.steal(&self.links, &lane.stack))
    }

    fn create(&self) -> Option<Token> {
        let index = self
            .created
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |created| {
                (created < self.common_capacity()).then_some(created + 1)
            })
            .ok()?;
        self.slab.create(index);
        // SAFETY: the counter gives out each index once.
        Some(unsafe { Token::mint(index) })
    }

    /// Creates an envelope of the reserve. `index` is its number there, which the caller has claimed.
    fn create_kept(&self, index: u32) -> Token {
        let index = self.common_capacity() + index;
        self.slab.create(index);
        // SAFETY: the reserve claims each number once, and no other envelope has it.
        unsafe { Token::mint(index) }
    }

    /// How many envelopes are not in the reserve. The reserve creates those with the numbers after them; once
    /// created, an envelope may be in either part.
    fn common_capacity(&self) -> u32 {
        self.capacity - self.reserve.size()
    }

    /// Returns a chain of cleared envelopes. The reserve gets those that it lacks, and wakes senders that may
    /// have them; the others go to the caller's lane. Returns how many went to the lane; the caller must wake
    /// waiters for them.
    pub(crate) fn release(&self, to: &Lane, chain: Chain) -> u32 {
        let (chain, again) = self.custody.give_back(&self.links, chain);
        to.released.add(u64::from(chain.len()));
        let chain = match self.reserve.lacks() {
            true => self.reserve.refill(&self.links, chain),
            false => chain,
        };
        let for_all = chain.len();
        to.stack.push(&self.links, chain);
        if let Some(again) = again {
            self.release(to, again);
        }
        for_all
    }

    /// Returns one envelope, and wakes a waiter for it.
    pub(crate) fn release_one(&self, to: &Lane, mut envelope: Envelope<'_>) {
        if envelope.is_loaded() {
            // The value is of a user's type and no longer needed, so a panic of its drop is ignored.
            let _ = contain(|| envelope.clear());
        }
        let mut chain = Chain::new();
        chain.push_back(&self.links, envelope.into_token());
        let for_all = self.release(to, chain);
        sim::preempt(Point::Freed);
        if for_all > 0 {
            self.wake_waiters(1);
        }
    }

    /// Wakes waiters for so many free envelopes.
    pub(crate) fn wake_waiters(&self, envelopes: usize) {
        if self.room.any() {
            self.room.wake(envelopes, &self.deferred);
        }
    }

    /// Wakes the next waiter: a waiter that gave up may have left an envelope.
    pub(crate) fn wake_next(&self) {
        self.room.wake(1, &self.deferred);
    }

    /// Called by the supervisor at its ticks. Wakes the waiters that keep no timer and whose deadline has passed.
    /// If an envelope is free, it also wakes the next waiter: an earlier wake-up may have gone to a sender that
    /// was forgotten, not dropped.
    pub(crate) fn look_after_waiters(&self, now: Stamp) {
        self.room.remind(now, &self.deferred);
        if self.has_free_in_lanes() {
            self.wake_waiters(1);
        }
    }

    /// Makes the wakes that were left to the keepers' thread.
    pub(crate) fn make_deferred_wakes(&self) {
        let freed = self.deferred.make();
        self.wake_waiters(freed);
    }

    fn roster(&self) -> RwLockReadGuard<'_, Vec<Arc<Lane>>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn roster_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Lane>>> {
        self.roster.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the lane of a thread. It is made when the thread first meets the pool.
    pub(crate) fn enlist(&self, thread: ThreadKey) -> Arc<Lane> {
        let new = || {
            let lane = Arc::new(Lane::new());
            self.roster_mut().push(lane.clone());
            lane
        };
        self.lanes.entry(thread).or_insert_with(new).clone()
    }

    /// A thread has ended: its envelopes and counts become common. Called in the destructor of a thread-local,
    /// where no waiter can be woken: the keepers do that.
    pub(crate) fn retire(&self, thread: ThreadKey, lane: &Lane) {
        self.lanes.remove(&thread);
        self.roster_mut().retain(|one| !std::ptr::eq(&**one, lane));
        self.fold(lane);
    }

    fn fold(&self, lane: &Lane) {
        let mut chain = Chain::new();
        while let Some(token) = lane.stack.pop(&self.links) {
            chain.push_back(&self.links, token);
        }
        let moved = chain.len() as usize;
        self.common.stack.push(&self.links, chain);
        let retired = &self.retired;
        for (from, to) in [
            (&lane.acquired, &retired.acquired),
            (&lane.released, &retired.released),
            (&lane.boxed, &retired.boxed),
            (&lane.refused, &retired.refused),
        ] {
            to.fetch_add(from.get(), Ordering::Relaxed);
        }
        if moved > 0 && self.room.any() {
            self.deferred.defer_freed(moved);
        }
    }

    /// Records `in_flight` if it is the highest so far.
    pub(crate) fn note_in_flight(&self, in_flight: u32) {
        let in_flight = in_flight.min(self.capacity);
        if in_flight > self.high_water.load(Ordering::Relaxed) {
            self.high_water.fetch_max(in_flight, Ordering::Relaxed);
        }
    }

    fn sum(&self, of: impl Fn(&Lane) -> u64) -> u64 {
        self.roster().iter().map(|lane| of(lane)).sum()
    }

    /// How many envelopes are not free now.
    pub(crate) fn in_flight(&self) -> u32 {
        // The returned ones are read first, so the difference is never too small.
        let released =
            self.retired.released.load(Ordering::Relaxed) + self.sum(|lane| lane.released.get());
        let acquired =
            self.retired.acquired.load(Ordering::Relaxed) + self.sum(|lane| lane.acquired.get());
        u32::try_from(acquired.saturating_sub(released)).unwrap_or(u32::MAX)
    }

    /// Wakes askers that keep no timer and whose deadline has passed. Every ask waits in an envelope, so all are
    /// found here.
    pub(crate) fn remind(&self, now: Stamp) {
        let common = self.created.load(Ordering::Acquire);
        let kept = self.common_capacity()..self.common_capacity() + self.reserve.created();
        for index in (0..common).chain(kept) {
            let Some(slot) = self.slab.created(index) else {
                continue;
            };
            let due = Due::from_raw(slot.reply.due());
            if due.is_rough()
                && due.is_past(now)
                && let Some(asker) = slot.reply.remind()
            {
                self.deferred.wake(asker);
            }
        }
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let in_flight = u64::from(self.in_flight());
        self.note_in_flight(in_flight as u32);
        let retired = &self.retired;
        let acquired =
            retired.acquired.load(Ordering::Relaxed) + self.sum(|lane| lane.acquired.get());
        let created = self.created.load(Ordering::Relaxed) + self.reserve.created();
        let created = u64::from(created);
        let warmed = u64::from(self.warmed.load(Ordering::Relaxed));
        let capacity = u64::from(self.capacity);
        PoolStats {
            capacity,
            created,
            warmed,
            reused: acquired.saturating_sub(created - warmed),
            released: retired.released.load(Ordering::Relaxed)
                + self.sum(|lane| lane.released.get()),
            idle: capacity.saturating_sub(in_flight),
            in_flight,
            high_water: u64::from(self.high_water.load(Ordering::Relaxed)),
            boxed: retired.boxed.load(Ordering::Relaxed) + self.sum(|lane| lane.boxed.get()),
            refused: retired.refused.load(Ordering::Relaxed) + self.sum(|lane| lane.refused.get()),
        }
    }
}
