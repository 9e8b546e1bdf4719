//! The mailbox of a subsystem. `envelope → `**`mailbox`**` → host`
//!
//! Messages of users do not go through actix's queue. A sender links its envelope into the [`inbox`], a list
//! beside the actor, and wakes the actor's task if it sleeps; the task empties the list when it is polled. Only
//! the keepers' orders go through actix's queue: see [`door`]. Why not the envelopes, or a wake-up for them: each
//! message in it costs two allocations, however small, and its capacity is not a bound: `do_send` ignores it, and
//! `send` lets each sender exceed it by one. The guide has the figures, in "How a message travels". Promise:
//! order per sender, nothing lost, room as configured.

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

/// A subsystem's number within its system; 0 means none.
pub(crate) type MailboxId = HolderId;

/// A bit in a table's number: the name belongs to several subsystems.
pub(crate) const FOR_SEVERAL: u32 = 1 << 31;

/// The limits of a mailbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most messages that may be unfinished at once; `u32::MAX` if only the pool limits them.
    pub(crate) capacity: u32,
    /// What happens to a message beyond that.
    pub(crate) overflow: Overflow,
}

/// The mailbox of a subsystem's name, and the counts of its messages. It outlives restarts. As long as a handle
/// points to it, it also outlives an unmount and a new mount under the same name.
///
/// The fields that senders write come first and those that the host writes come last, more than a cache line
/// apart.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Mailbox {
    pub(crate) inbox: Inbox,
    /// The most messages that may be unfinished at once; `u32::MAX` if only the pool limits them.
    capacity: AtomicU32,
    /// The number of the route table that messages must be packed for. Written when the mailbox opens, read by
    /// senders.
    table: AtomicU32,
    pub(crate) id: MailboxId,
    /// The host's number on its thread's agenda. Written by the host when it starts, read by senders on the same
    /// thread.
    number: AtomicU32,
    /// The host's thread, as [`Local::id`] returns it; 0 for none. Written by the host when it starts and ends;
    /// read by senders, to see whether they are on that thread.
    home: AtomicUsize,
    /// The host's waker. The host leaves it before it first sleeps and removes it at its end; senders wake it. A
    /// host is one task for life, so the waker is not renewed at every sleep, as with an `AtomicWaker`.
    waker: Mutex<Option<Waker>>,
    /// What happens to a message beyond the capacity, as an [`Overflow`].
    overflow: AtomicU8,
    /// The queue of senders that wait for room. It is not made while only the pool bounds the mailbox.
    room: OnceCell<Box<Waiters>>,
    /// How many messages their own senders have dropped because there was no room.
    turned_away: AtomicU64,
    pub(crate) name: Arc<str>,
    /// Takes the wakes that can't be made on the current thread.
    deferred: Arc<DeferredWakes>,
    /// How many messages may have expired since the host last swept. Raised by askers that give up, reset
    /// by the host; see [`note_expired`](Self::note_expired).
    expired: AtomicU32,
    /// Messages whose reply was given after their handler had returned. Added by the threads that answer, taken
    /// by the host.
    pub(crate) returned: Returned,
    /// The other lanes. They are not made while all messages have normal priority and none is dropped for a newer
    /// one. The host reads this field for every message, so it lies apart from the inbox: otherwise each read would
    /// wait for senders on other threads.
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
        // Held so that no sender makes lanes meanwhile.
        let life = lock(&self.waker);
        if let Some(lanes) = self.lanes() {
            lanes.reopen(&self.inbox);
        }
        self.inbox.open();
        drop(life);
        self.set_overflow(limits.overflow);
    }

    /// Marks the mailbox as a name for several subsystems, so that no handle takes it for a subsystem with that
    /// table.
    pub(crate) fn stand_for(&self, table: u32) {
        self.table.store(table | FOR_SEVERAL, Ordering::Relaxed);
    }

    /// Changes the capacity.
    pub(crate) fn set_capacity(&self, capacity: u32) {
        self.capacity.store(capacity, Ordering::Relaxed);
        self.recall();
    }

    /// Changes what happens to messages that find no room.
    pub(crate) fn set_overflow(&self, overflow: Overflow) {
        if overflow == Overflow::DropOldest {
            // Messages that can be dropped wait in there.
            self.lanes_made();
        }
        self.overflow.store(overflow as u8, Ordering::Relaxed);
        self.recall();
        if overflow == Overflow::DropOldest {
            // The host may be waiting in a handler, with messages in its backlog that senders don't reach yet.
            self.wake();
        }
    }

    pub(crate) fn overflow(&self) -> Overflow {
        Overflow::from_raw(self.overflow.load(Ordering::Relaxed))
    }

    /// The other lanes, if they are made.
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

    /// The most messages that may be unfinished at once; `u32::MAX` if only the pool limits them.
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

    /// Hands a packed envelope over. Returns true if the host sleeps: the caller must [`ring`](Self::ring) or
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

    /// Refuses every message from now on, and returns those that the mailbox still held. With several lanes it
    /// does nothing: then the host closes each when it looks for the last time.
    pub(crate) fn close(&self, links: &Links) -> Option<Taken> {
        // Held so that no sender makes lanes meanwhile: they must be closed from the start.
        let _life = lock(&self.waker);
        match self.lanes() {
            Some(_) => None,
            None => self.inbox.close(links),
        }
    }

    /// The senders that wait for room in this mailbox.
    pub(crate) fn room(&self) -> &Waiters {
        self.room.get_or_init(|| Box::new(Waiters::new()))
    }

    /// Wakes all senders that wait for room: the capacity or the policy has changed, or the mailbox is closed.
    pub(crate) fn recall(&self) {
        // As in `make_room`.
        fence(Ordering::SeqCst);
        if let Some(room) = self.room.get() {
            room.wake(usize::MAX, &self.deferred);
        }
    }

    /// Wakes the next sender that waits for room: another that gave up may have left some.
    pub(crate) fn wake_next(&self) {
        self.room().wake(1, &self.deferred);
    }

    /// True if a sender waits for room in this mailbox.
    pub(crate) fn is_awaited(&self) -> bool {
        self.room.get().is_some_and(|room| room.any())
    }

    /// Called by the supervisor at its ticks. Wakes the senders that keep no timer and whose deadline has passed.
    /// If there is room, it also wakes the next sender: an earlier wake-up may have gone to a sender that was
    /// forgotten, not dropped.
    pub(crate) fn look_after_waiters(&self, now: Stamp) {
        let Some(room) = self.room.get() else {
            return;
        };
        room.remind(now, &self.deferred);
        if !self.is_full(self.capacity()) {
            room.wake(1, &self.deferred);
        }
    }

    /// Room for so many messages has come: wakes senders that wait for it.
    pub(crate) fn make_room(&self, messages: usize) {
        if self.capacity.load(Ordering::Relaxed) == u32::MAX {
            return;
        }
        // A sender that makes the `Waiters` looks for room once more afterwards.
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

    /// How many of the accepted messages have ended.
    fn finished(&self) -> u64 {
        self.endings.finished() + self.lanes().map_or(0, Lanes::evicted)
    }

    /// How many messages are accepted and not ended.
    pub(crate) fn waiting(&self) -> u64 {
        Inbox::between(self.finished(), self.accepted())
    }

    /// Counts a message that its sender drops because there is no room. Returns false if the mailbox has closed:
    /// then the message is refused.
    pub(crate) fn turn_away(&self) -> bool {
        // Held so that the mailbox can't close meanwhile: once it is closed, its counts are final.
        let _life = lock(&self.waker);
        let _lanes = self.lanes().map(Lanes::hold);
        if self.inbox.is_closed() {
            return false;
        }
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        true
    }

    pub(crate) fn ledger(&self) -> Ledger {
        // The ended ones are read first, so the number of waiting ones is never too small.
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
