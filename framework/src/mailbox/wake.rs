//! How a mailbox wakes its host: by its thread's agenda if the sender is on that thread, else by its task.

use std::task::Waker;

use super::Mailbox;
use super::lanes::Lanes;
use crate::base::sim::{self, Plant, Point};
use crate::base::sync::{Ordering, lock};
use crate::envelope::token::{Links, Token};
use crate::thread::Local;

impl Mailbox {
    /// The host goes to sleep if there is nothing for it.
    pub(crate) fn sleep(&self) -> bool {
        self.inbox.sleep() && self.lanes().is_none_or(Lanes::sleep)
    }

    /// Has the host look into its mailbox.
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
        // Under the lock: this waker is the executor's own, and a clone would cost more.
        let held = lock(&self.waker);
        let undone = match &*held {
            Some(waker) if !self.deferred.try_wake(waker) => Some(waker.clone()),
            _ => None,
        };
        drop(held);
        if let Some(waker) = undone {
            // The sender's thread is ending.
            self.deferred.defer(waker);
        }
    }

    /// A message that may wait here has an end before its handler begins: its asker has given up, or its
    /// deadline has passed. The host ends it in its next turn, whatever else it does.
    #[cold]
    pub(crate) fn note_expired(&self) {
        self.expired.fetch_add(1, Ordering::Release);
        if sim::plants(Plant::LostWakeUp) {
            return;
        }
        self.wake();
    }

    /// Gives an envelope back whose message's reply has come later, for the host to end it.
    pub(crate) fn give_back(&self, links: &Links, token: Token, local: &Local) {
        self.returned.push(links, token);
        sim::preempt(Point::Ring);
        if sim::plants(Plant::LostWakeUp) {
            return;
        }
        // In a turn of its own the host looks at the end.
        if !local.is_in_turn_of(self.id) {
            self.ring(local);
        }
    }

    /// True if messages may wait here that have expired.
    #[inline]
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed) != 0
    }

    /// The host looks for those that have expired.
    pub(crate) fn begin_sweep(&self) {
        // Acquire: it sees that they have.
        self.expired.swap(0, Ordering::Acquire);
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

    /// Leaves what wakes the host; nothing at its end, so that the mailbox does not keep the task.
    pub(crate) fn leave_waker(&self, waker: Option<Waker>) {
        let before = std::mem::replace(&mut *lock(&self.waker), waker);
        // Outside of the lock: it may be the last hold on a task, whose end comes here too.
        drop(before);
    }
}
