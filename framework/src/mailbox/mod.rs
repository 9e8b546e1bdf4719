//! The mailbox of a subsystem. `envelope → `**`mailbox`**` → host`
//!
//! A subsystem is an actix actor, and what wakes it is its actix context: the list of envelopes in
//! front of it, the [`inbox`], hangs on that context as the one future that the host spawns there. A
//! sender links its envelope into the inbox and, only if the subsystem sleeps, wakes the actor's task.
//! actix's own queue stays the door for control. Why not send the envelopes, or a bell, through that
//! queue: each of its messages costs two allocations, however small (measured: 2.0 for a bell, 0 for a
//! wake-up; one at a time 430 ns against 405, of which 310 are the executor's), and its capacity is
//! soft and counted per sender. Promise: order per sender, nothing lost, room as stated.

pub(crate) mod inbox;
pub(crate) mod orders;

use std::sync::Arc;
use std::task::Waker;

use once_cell::sync::OnceCell;

use crate::ledger::{Endings, Ledger};
use crate::local::Local;
use crate::pool::waiters::Waiters;
use crate::sync::{AtomicU32, AtomicUsize, Mutex, Ordering, fence, lock};
use crate::token::{Links, Token};
use inbox::{Inbox, Refusal};

/// A subsystem's number within its system; 0 is nobody.
pub(crate) type SeatId = u32;

/// Where a subsystem of a name sits: its mailbox and its account. A seat outlives restarts, and, as
/// long as a handle points to it, an unmount and a new mount under the same name.
///
/// What senders write stands first, what the host writes last, more than a cache line apart.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Seat {
    pub(crate) inbox: Inbox,
    /// Wakes the host; left by it before it first sleeps. It stays: a host is one task for life, so
    /// that there is nothing to renew at every sleep as an `AtomicWaker` would have it.
    waker: Mutex<Option<Waker>>,
    /// Most messages that may be unfinished at once; `u32::MAX` for as many as the pool has.
    capacity: AtomicU32,
    /// The table that messages must be packed for.
    table: AtomicU32,
    /// The thread that its host lives on, as [`Local::id`] has it, and its number there; 0 for none.
    home: AtomicUsize,
    number: AtomicU32,
    pub(crate) id: SeatId,
    /// Who waits for room; none while the mailbox is bounded by the pool only.
    room: OnceCell<Box<Waiters>>,
    pub(crate) name: Arc<str>,
    pub(crate) endings: Endings,
}

const _: () =
    assert!(std::mem::offset_of!(Seat, endings) >= 64 + std::mem::offset_of!(Seat, waker));

impl Seat {
    pub(crate) fn new(id: SeatId, name: Arc<str>) -> Self {
        Seat {
            id,
            name,
            inbox: Inbox::new(),
            waker: Mutex::new(None),
            capacity: AtomicU32::new(u32::MAX),
            table: AtomicU32::new(0),
            home: AtomicUsize::new(0),
            number: AtomicU32::new(0),
            room: OnceCell::new(),
            endings: Endings::default(),
        }
    }

    /// Opens the seat for a new host.
    pub(crate) fn open(&self, table: u32, capacity: u32) {
        self.table.store(table, Ordering::Relaxed);
        self.capacity.store(capacity, Ordering::Relaxed);
        self.inbox.open();
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
        capacity != u32::MAX && self.waiting() >= u64::from(capacity)
    }

    /// Hands a packed envelope over. True if the host sleeps: the caller must [`ring`](Self::ring) or
    /// [`lend`](Self::lend).
    #[inline]
    pub(crate) fn push(
        &self,
        links: &Links,
        token: Token,
        capacity: u32,
    ) -> Result<bool, (Token, Refusal)> {
        self.inbox
            .push(links, token, capacity, || self.endings.finished())
    }

    /// Has the host look into its mailbox.
    #[cold]
    pub(crate) fn ring(&self, local: &Local) {
        if let Some(number) = self.number_on(local)
            && local.agenda.note(number)
        {
            return;
        }
        self.wake();
    }

    /// Wakes the host's task.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*lock(&self.waker) {
            waker.wake_by_ref();
        }
    }

    /// As [`ring`](Self::ring) for an asker, who will only wait: lends it the caller's turn if it lives on this thread.
    pub(crate) fn lend(&self, local: &Local) {
        match self.number_on(local) {
            Some(number) if local.agenda.lend(number) => {}
            _ => self.ring(local),
        }
    }

    fn number_on(&self, local: &Local) -> Option<u32> {
        let is_home = self.home.load(Ordering::Relaxed) == local.id();
        is_home.then(|| self.number.load(Ordering::Relaxed))
    }

    /// The host has moved in on this thread, under that number.
    pub(crate) fn move_in(&self, local: &Local, number: u32) {
        self.number.store(number, Ordering::Relaxed);
        self.home.store(local.id(), Ordering::Relaxed);
    }

    /// The host has ended.
    pub(crate) fn move_out(&self) {
        self.home.store(0, Ordering::Relaxed);
    }

    /// Leaves what wakes the host; nothing at its end, so that the seat does not keep the task.
    pub(crate) fn leave_waker(&self, waker: Option<Waker>) {
        let before = std::mem::replace(&mut *lock(&self.waker), waker);
        // Outside of the lock: it may be the last hold on a task, whose end comes here too.
        drop(before);
    }

    /// Who waits for room in this mailbox.
    pub(crate) fn room(&self) -> &Waiters {
        self.room.get_or_init(|| Box::new(Waiters::new()))
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
            room.wake(messages);
        }
    }

    /// Messages accepted and not ended.
    pub(crate) fn waiting(&self) -> u64 {
        Inbox::between(self.endings.finished(), self.inbox.ticket())
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.endings
            .ledger(|finished| Inbox::between(finished, self.inbox.ticket()))
    }
}
