//! The mailbox of a subsystem. `envelope → `**`mailbox`**` → host`
//!
//! Messages of users do not go through actix's queue. A sender links its envelope into the [`inbox`], a
//! list beside the actor, and wakes the actor's task, only if it sleeps; that task empties the list when
//! it is polled. actix's queue carries the keepers' orders alone: see [`door`]. Why not the envelopes, or
//! a bell for them: each message in it costs two allocations, however small; and its capacity binds
//! no one, for `do_send` passes it over, and `send` lets each sender exceed it by one. The guide has the
//! figures, in "How a message travels". Promise: order per sender, nothing lost, room as stated.

pub(crate) mod inbox;
pub(crate) mod lanes;
pub(crate) mod returned;
mod wake;
#[cfg(not(loom))]
pub(crate) mod orders;
#[cfg(not(loom))]
pub(crate) mod door;

use std::sync::Arc;
use std::task::Waker;

use crate::base::clock::Stamp;
use crate::base::deferred::DeferredWakes;
use crate::base::sim::{self, Point};
use crate::base::sync::{
    AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Mutex, OnceCell, Ordering, fence, lock,
};
use crate::envelope::pool::holders::{Holder, HolderId};
use crate::envelope::pool::waiters::Waiters;
use crate::envelope::token::{Links, Token};
use crate::words::ledger::{Endings, Ledger};
use crate::words::overflow::Overflow;
use crate::words::priority::Priority;
use inbox::{Inbox, Refusal, Taken};
use lanes::Lanes;
use returned::Returned;

/// A subsystem's number within its system; 0 is no one.
pub(crate) type MailboxId = HolderId;

/// Marks the number of a table whose subsystems share a name.
pub(crate) const FOR_SEVERAL: u32 = 1 << 31;

/// How much a mailbox takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most messages that may be unfinished at once; `u32::MAX` for as many as the pool has.
    pub(crate) capacity: u32,
    /// What happens to one more.
    pub(crate) overflow: Overflow,
}

/// Where a subsystem of a name sits: its mailbox and its account. A mailbox outlives restarts, and, as
/// long as a handle points to it, an unmount and a new mount under the same name.
///
/// What senders write stands first, what the host writes last, more than a cache line apart.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Mailbox {
    pub(crate) inbox: Inbox,
    /// Most messages that may be unfinished at once; `u32::MAX` for as many as the pool has.
    capacity: AtomicU32,
    /// The table that messages must be packed for.
    table: AtomicU32,
    pub(crate) id: MailboxId,
    /// The host's number on its thread's agenda. Written by the host when it moves in.
    number: AtomicU32,
    /// The host's thread, as [`Local::id`] has it; 0 for none. Written by the host when it moves in and out.
    home: AtomicUsize,
    /// Wakes the host; left by it before it first sleeps. It stays: a host is one task for life, so
    /// that there is nothing to renew at every sleep as an `AtomicWaker` would have it.
    waker: Mutex<Option<Waker>>,
    /// What happens to one more than the capacity, as an [`Overflow`].
    overflow: AtomicU8,
    /// Who waits for room; none while the mailbox is bounded by the pool only.
    room: OnceCell<Box<Waiters>>,
    /// Messages that senders have dropped for want of room.
    turned_away: AtomicU64,
    pub(crate) name: Arc<str>,
    /// Where wakes go that can't be made here.
    deferred: Arc<DeferredWakes>,
    /// Messages whose asker has given up since the host last swept; see [`note_expired`](Self::note_expired).
    expired: AtomicU32,
    /// Messages whose reply has come after their handler had returned.
    pub(crate) returned: Returned,
    /// None while all messages have the same priority and none is dropped for a newer one. The host looks
    /// here for every message: beside the inbox it would wait for senders on other threads each time.
    lanes: OnceCell<Box<Lanes>>,
    pub(crate) endings: Endings,
}

const _: () = {
    let lanes = std::mem::offset_of!(Mailbox, lanes);
    assert!(lanes >= 64 + std::mem::offset_of!(Mailbox, waker));
};

impl Holder for Mailbox {
    fn id(&self) -> MailboxId {
        self.id
    }

    fn held(&self) -> u64 {
        self.waiting()
    }
}

impl Mailbox {
    pub(crate) fn new(id: MailboxId, name: Arc<str>, deferred: Arc<DeferredWakes>) -> Self {
        Mailbox {
            id,
            name,
            deferred,
            inbox: Inbox::new(),
            waker: Mutex::new(None),
            capacity: AtomicU32::new(u32::MAX),
            overflow: AtomicU8::new(Overflow::Wait as u8),
            table: AtomicU32::new(0),
            home: AtomicUsize::new(0),
            number: AtomicU32::new(0),
            room: OnceCell::new(),
            lanes: OnceCell::new(),
            turned_away: AtomicU64::new(0),
            expired: AtomicU32::new(0),
            returned: Returned::new(),
            endings: Endings::default(),
        }
    }

    /// Opens the mailbox for a new host.
    pub(crate) fn open(&self, table: u32, limits: Limits) {
        self.table.store(table, Ordering::Relaxed);
        self.capacity.store(limits.capacity, Ordering::Relaxed);
        // Held against a sender that makes lanes right now.
        let life = lock(&self.waker);
        if let Some(lanes) = self.lanes() {
            lanes.reopen(&self.inbox);
        }
        self.inbox.open();
        drop(life);
        self.set_overflow(limits.overflow);
    }

    /// Lets no handle take it for the mailbox of a subsystem with that table: it is a name for several.
    pub(crate) fn stand_for(&self, table: u32) {
        self.table.store(table | FOR_SEVERAL, Ordering::Relaxed);
    }

    /// Lets more or fewer messages in from now on.
    pub(crate) fn set_capacity(&self, capacity: u32) {
        self.capacity.store(capacity, Ordering::Relaxed);
        self.recall();
    }

    /// Changes what happens to messages for which there is no room.
    pub(crate) fn set_overflow(&self, overflow: Overflow) {
        if overflow == Overflow::DropOldest {
            // Where messages wait that can be dropped again.
            self.lanes_made();
        }
        self.overflow.store(overflow as u8, Ordering::Relaxed);
        self.recall();
        if overflow == Overflow::DropOldest {
            // A host that waits for something has messages yet that senders don't reach.
            self.wake();
        }
    }

    pub(crate) fn overflow(&self) -> Overflow {
        Overflow::from_raw(self.overflow.load(Ordering::Relaxed))
    }

    /// The other lanes, if there are any.
    #[inline]
    pub(crate) fn lanes(&self) -> Option<&Lanes> {
        self.lanes.get().map(|lanes| &**lanes)
    }

    #[cold]
    fn lanes_made(&self) -> &Lanes {
        if let Some(lanes) = self.lanes() {
            return lanes;
        }
        let _life = lock(&self.waker);
        self.lanes
            .get_or_init(|| Box::new(Lanes::new(!self.inbox.is_closed())))
    }

    pub(crate) fn table(&self) -> u32 {
        self.table.load(Ordering::Acquire)
    }

    /// Most messages that may be unfinished at once; `u32::MAX` for as many as the pool has.
    #[inline]
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// True if the mailbox has no room now.
    #[inline]
    pub(crate) fn is_full(&self, capacity: u32) -> bool {
        capacity != u32::MAX && self.has_reached(capacity)
    }

    fn has_reached(&self, capacity: u32) -> bool {
        let mut finished = self.finished();
        while Inbox::between(finished, self.accepted()) >= u64::from(capacity) {
            // Unless messages came and went between the two looks.
            let now = self.finished();
            if now == finished {
                return true;
            }
            finished = now;
        }
        false
    }

    /// Hands a packed envelope over. True if the host sleeps: the caller must [`ring`](Self::ring) or
    /// [`lend`](Self::lend).
    #[inline(always)]
    pub(crate) fn push(
        &self,
        links: &Links,
        token: Token,
        priority: Priority,
        capacity: u32,
    ) -> Result<bool, (Token, Refusal)> {
        sim::preempt(Point::Push);
        if priority != Priority::Normal || capacity != u32::MAX && self.lanes().is_some() {
            return self.push_to_lane(links, token, priority, capacity);
        }
        self.inbox
            .push(links, token, capacity, || self.endings.finished())
    }

    #[cold]
    fn push_to_lane(
        &self,
        links: &Links,
        token: Token,
        priority: Priority,
        capacity: u32,
    ) -> Result<bool, (Token, Refusal)> {
        let lanes = self.lanes_made();
        let inbox = lanes.inbox(&self.inbox, priority);
        let _admission = (capacity != u32::MAX).then(|| lock(&lanes.admission));
        if self.is_full(capacity) {
            return Err((token, Refusal::Full));
        }
        inbox.push(links, token, u32::MAX, || 0)
    }

    /// Refuses every message from now on; what the mailbox still held. With several lanes it does nothing:
    /// then the host closes each when it looks for the last time.
    pub(crate) fn close(&self, links: &Links) -> Option<Taken> {
        // Held against a sender that makes lanes right now: they must be closed from the start.
        let _life = lock(&self.waker);
        match self.lanes() {
            Some(_) => None,
            None => self.inbox.close(links),
        }
    }

    /// Who waits for room in this mailbox.
    pub(crate) fn room(&self) -> &Waiters {
        self.room.get_or_init(|| Box::new(Waiters::new()))
    }

    /// Has all who wait for room try again: how much may come in has changed, or nothing may any more.
    pub(crate) fn recall(&self) {
        // As below.
        fence(Ordering::SeqCst);
        if let Some(room) = self.room.get() {
            room.wake(usize::MAX, &self.deferred);
        }
    }

    /// One who waits for room may look: there may be some that another has left.
    pub(crate) fn wake_next(&self) {
        self.room().wake(1, &self.deferred);
    }

    /// True if a sender waits for room in this mailbox.
    pub(crate) fn is_awaited(&self) -> bool {
        self.room.get().is_some_and(|room| room.any())
    }

    /// The supervisor looks after those who wait for room: it wakes those whose deadline has passed and who
    /// keep no timer, and, if there is room, the next. That one's wake-up may have gone to a sender that was
    /// forgotten and not dropped.
    pub(crate) fn look_after_waiters(&self, now: Stamp) {
        let Some(room) = self.room.get() else {
            return;
        };
        room.remind(now, &self.deferred);
        if !self.is_full(self.capacity()) {
            room.wake(1, &self.deferred);
        }
    }

    /// Room for `messages` has come: wakes those who wait for it.
    pub(crate) fn make_room(&self, messages: usize) {
        if self.capacity.load(Ordering::Relaxed) == u32::MAX {
            return;
        }
        // A waiter that finds no `Waiters` makes them, and then looks for room once more.
        fence(Ordering::SeqCst);
        if let Some(room) = self.room.get()
            && room.any()
        {
            room.wake(messages, &self.deferred);
        }
    }

    /// How many messages were ever accepted, modulo 2^40.
    pub(crate) fn accepted(&self) -> u64 {
        let others = self.lanes().map_or(0, Lanes::tickets);
        self.inbox.ticket().wrapping_add(others)
    }

    /// How many of them have ended.
    fn finished(&self) -> u64 {
        self.endings.finished() + self.lanes().map_or(0, Lanes::evicted)
    }

    /// Messages accepted and not ended.
    pub(crate) fn waiting(&self) -> u64 {
        Inbox::between(self.finished(), self.accepted())
    }

    /// Counts a message that its sender drops for want of room; false if the mailbox has closed: then it is
    /// refused.
    pub(crate) fn turn_away(&self) -> bool {
        // Held against its end: once it is closed its account is final.
        let _life = lock(&self.waker);
        let _lanes = self.lanes().map(Lanes::hold);
        if self.inbox.is_closed() {
            return false;
        }
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        true
    }

    pub(crate) fn ledger(&self) -> Ledger {
        // First how many have ended, then how many were accepted: never too few wait.
        let finished = self.finished();
        let sent = finished + Inbox::between(finished, self.accepted());
        let turned_away = self.turned_away.load(Ordering::Relaxed);
        let mut ledger = self.endings.read();
        ledger.dropped += turned_away + self.lanes().map_or(0, Lanes::evicted);
        ledger.sent = sent + turned_away;
        // The parts may be newer than the total.
        ledger.waiting = ledger.sent.saturating_sub(ledger.ended());
        ledger
    }
}
