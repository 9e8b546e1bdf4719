//! A reply that comes later: the thread that answers against the host, which ends or sleeps.

use loom::thread::{self, JoinHandle};
use std::sync::Arc;

use super::{Slab, Sleeper, in_full, up_to};
use crate::base::clock::Stamp;
use crate::envelope::deferral::{Deferral, DeferralRight};
use crate::envelope::mint;
use crate::mailbox::Mailbox;
use crate::thread::Local;

/// A subsystem's mailbox, and a deferred message in each of its envelopes.
struct Deferred {
    slab: Slab,
    mailbox: Mailbox,
    cells: Vec<Deferral>,
    right: DeferralRight,
}

impl Deferred {
    fn new(messages: u32) -> Arc<Self> {
        let deferred = Deferred {
            slab: Slab::new(messages as usize),
            mailbox: Mailbox::new(1, "mailbox".into(), Arc::default()),
            cells: (0..messages).map(|_| Deferral::new()).collect(),
            right: DeferralRight::of_mount(1),
        };
        Arc::new(deferred)
    }

    /// Stores the token, as the host does when the handler has returned. It has written into the envelope before.
    fn open(&self, index: u32) {
        let token = mint(index);
        self.slab.put(&token, 1);
        self.cells[index as usize].open(token, self.right, Stamp(1));
    }

    /// Answers on another thread. The result is false if the host has ended before.
    fn answer(self: &Arc<Self>, index: u32) -> JoinHandle<bool> {
        let this = self.clone();
        thread::spawn(move || {
            // SAFETY: this cell belongs to the envelope.
            let claimed = unsafe { this.cells[index as usize].claim(index, this.right) };
            let Some(token) = claimed else {
                return false;
            };
            this.slab.touch(&token);
            let links = &this.slab.links;
            this.mailbox.give_back(links, token, &Local::new());
            true
        })
    }

    /// Takes the envelopes that have come back, and touches each.
    fn take(&self) -> Vec<u32> {
        let mut returned = self.mailbox.returned.take(&self.slab.links);
        let mut taken = Vec::new();
        while let Some(token) = returned.pop_front(&self.slab.links) {
            self.slab.touch(&token);
            taken.push(token.surrender());
        }
        taken
    }
}

#[test]
fn of_the_one_who_answers_and_the_host_that_ends_exactly_one_has_the_envelope() {
    in_full(|| {
        let deferred = Deferred::new(1);
        // Only the cell passes the token on, as to a scan of the slab.
        let answerer = deferred.answer(0);
        deferred.open(0);
        // SAFETY: this cell belongs to the envelope.
        let own = unsafe { deferred.cells[0].claim(0, deferred.right) };
        let is_own = own.inspect(|token| deferred.slab.touch(token)).is_some();
        let has_answered = answerer.join().unwrap();
        assert_ne!(is_own, has_answered);
        assert_eq!(deferred.take().len(), usize::from(has_answered));
    });
}

#[test]
fn a_host_that_sleeps_is_woken_for_replies_and_takes_each_once() {
    up_to(3, || {
        let deferred = Deferred::new(2);
        deferred.open(0);
        deferred.open(1);
        let host = Sleeper::new();
        deferred.mailbox.leave_waker(Some(host.waker()));
        let answerers = [deferred.answer(0), deferred.answer(1)];
        let mut taken = Vec::new();
        host.block_on(|_| {
            taken.extend(deferred.take());
            (taken.len() == 2).then_some(())
        });
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
        for answerer in answerers {
            assert!(answerer.join().unwrap());
        }
        deferred.mailbox.leave_waker(None);
    });
}

#[test]
fn a_right_of_an_earlier_mount_claims_nothing() {
    in_full(|| {
        let deferred = Deferred::new(1);
        deferred.open(0);
        let before = DeferralRight::of_mount(0);
        assert!(!deferred.cells[0].is_open(before));
        // SAFETY: this cell belongs to the envelope.
        assert!(unsafe { deferred.cells[0].claim(0, before) }.is_none());
    });
}
