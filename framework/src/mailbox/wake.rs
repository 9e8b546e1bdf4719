//! How a mailbox wakes its host: through its thread's agenda if the sender is on that thread, else through its
//! task.

use std::task::Waker;

use super::Mailbox;
use super::lanes::Lanes;
use crate::base::sim::{self, Plant, Point};
use crate::base::sync::{Ordering, lock};
use crate::envelope::token::{Links, Token};
use crate::thread::Local;

impl Mailbox {
    /// Lets the host sleep if no message waits. Returns false if one does.
    pub(crate) fn sleep(&self) -> bool {
        self.inbox.sleep() && self.lanes().is_none_or(Lanes::sleep)
    }

    /// Makes the host look into its mailbox.
    #[cold]
    pub(crate) fn ring(&self, local: &Local) {
        sim::preempt(Point::Ring);
        if sim::plants(Plant::LostWakeUp) {
            return;
        }
        if let Some(number) = self.number_on(local)
            && local.agenda.note(number)
        {
            return;
        }
        self.wake();
    }

    /// Wakes the host's task.
    pub(crate) fn wake(&self) {
        // Called under the lock: this waker is the executor's own, and a clone would cost more.
        let held = lock(&self.waker);
        let undone = match &*held {
            Some(waker) if !self.deferred.try_wake(waker) => Some(waker.clone()),
            _ => None,
        };
        drop(held);
        if let Some(waker) = undone {
            // The sender's thread is ending, so the keepers make the wake.
            self.deferred.defer(waker);
        }
    }

    /// A message that may wait here has expired: its asker has given up, or its deadline has passed. The host
    /// ends it in its next turn, even while an `async` handler is pending.
    #[cold]
    pub(crate) fn note_expired(&self) {
        self.expired.fetch_add(1, Ordering::Release);
        if sim::plants(Plant::LostWakeUp) {
            return;
        }
        self.wake();
    }

    /// Gives an envelope whose reply came later back to the host, which ends the message.
    pub(crate) fn give_back(&self, links: &Links, token: Token, local: &Local) {
        self.returned.push(links, token);
        sim::preempt(Point::Ring);
        if sim::plants(Plant::LostWakeUp) {
            return;
        }
        // The host looks here at the end of its turn anyway.
        if !local.is_in_turn_of(self.id) {
            self.ring(local);
        }
    }

    /// True if messages may wait here that have expired.
    #[inline]
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed) != 0
    }

    /// The host begins to look for messages that have expired.
    pub(crate) fn begin_sweep(&self) {
        // Acquire: it sees that their askers have given up.
        self.expired.swap(0, Ordering::Acquire);
    }

    /// As [`ring`](Self::ring), for an asker, which only waits afterwards: if the host lives on this thread, it
    /// runs now in the caller's turn.
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

    /// The host has started on this thread, under that number.
    pub(crate) fn move_in(&self, local: &Local, number: u32) {
        self.number.store(number, Ordering::Relaxed);
        self.home.store(local.id(), Ordering::Relaxed);
    }

    /// The host has ended.
    pub(crate) fn move_out(&self) {
        self.home.store(0, Ordering::Relaxed);
    }

    /// Sets the host's waker. The host removes it at its end, so that the mailbox does not keep its task alive.
    pub(crate) fn leave_waker(&self, waker: Option<Waker>) {
        let before = std::mem::replace(&mut *lock(&self.waker), waker);
        // Outside of the lock: it may be the last reference to a task, whose drop comes here too.
        drop(before);
    }
}
