//! The list of messages for a subsystem: senders, its receiver, sleep, close and room.

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread::{self, JoinHandle};
use std::sync::Arc;

use super::{Slab, Sleeper, in_full, up_to};
use crate::base::user_code;
use crate::base::waker_slot::WakerSlot;
use crate::envelope::mint;
use crate::mailbox::inbox::{Inbox, Refusal, Taken};

/// The mark of a receiver while it works.
const AWAKE: bool = false;
const ASLEEP: bool = true;

/// The parts of a mailbox that the models need.
struct Mailbox {
    slab: Slab,
    inbox: Inbox,
    waker: WakerSlot,
    finished: AtomicU64,
    capacity: u32,
}

/// What the receiver has seen so far.
#[derive(Default)]
struct Received {
    ticket: u64,
    /// The envelopes, in the order in which they came out.
    order: Vec<u32>,
}

impl Received {
    /// Adds the messages that the inbox gave out, and checks their number and contents.
    fn enter(&mut self, mailbox: &Mailbox, taken: Taken) {
        let Taken { mut chain, ticket } = taken;
        assert_eq!(
            Inbox::between(self.ticket, ticket),
            u64::from(chain.len()),
            "the tickets don't count the tokens"
        );
        self.ticket = ticket;
        while let Some(token) = chain.pop_front(&mailbox.slab.links) {
            assert_eq!(mailbox.slab.get(&token), u64::from(token.index()) + 100);
            mailbox.slab.put(&token, 0);
            self.order.push(token.surrender());
        }
    }

    /// Asserts the order: every sender sends its envelopes in ascending order.
    fn assert_ascending(&self, of: &[u32]) {
        let theirs: Vec<_> = self.order.iter().filter(|at| of.contains(at)).collect();
        assert!(theirs.is_sorted(), "out of order: {:?}", self.order);
    }

    fn assert_exactly(mut self, mut accepted: Vec<u32>) {
        accepted.sort_unstable();
        self.order.sort_unstable();
        assert_eq!(self.order, accepted);
    }
}

impl Mailbox {
    fn open(envelopes: usize, capacity: u32) -> Arc<Self> {
        let inbox = Inbox::new();
        inbox.open();
        Arc::new(Mailbox {
            slab: Slab::new(envelopes),
            inbox,
            waker: WakerSlot::new(),
            finished: AtomicU64::new(0),
            capacity,
        })
    }

    /// Sends an envelope, and wakes the receiver if necessary.
    fn send(&self, envelope: u32) -> Result<(), Refusal> {
        let token = mint(envelope);
        self.slab.put(&token, u64::from(envelope) + 100);
        let pushed = self.inbox.push(&self.slab.links, token, self.capacity, || {
            self.finished.load(Ordering::Acquire)
        });
        match pushed {
            Ok(asleep) => {
                if asleep {
                    self.wake();
                }
                Ok(())
            }
            Err((token, refusal)) => {
                // It came back, so this thread may touch it.
                self.slab.put(&token, 0);
                Err(refusal)
            }
        }
    }

    fn wake(&self) {
        if let Some(receiver) = self.waker.take() {
            user_code::wake(receiver);
        }
    }

    /// Starts a thread that sends these. It returns which were accepted.
    fn sender(
        self: &Arc<Self>,
        envelopes: impl IntoIterator<Item = u32> + 'static,
    ) -> JoinHandle<Vec<u32>> {
        let mailbox = self.clone();
        thread::spawn(move || {
            envelopes
                .into_iter()
                .filter(|envelope| mailbox.send(*envelope).is_ok())
                .collect()
        })
    }

    /// The host's loop: takes messages, or leaves its waker and sleeps, until `count` have come.
    fn receive(&self, received: &mut Received, count: usize) {
        self.receive_as(AWAKE, received, count);
    }

    /// The same with a given mark while it works. A host that gets few messages counts as asleep meanwhile.
    fn receive_as(&self, asleep: bool, received: &mut Received, count: usize) {
        Sleeper::new().block_on(|waker| {
            loop {
                if asleep {
                    self.waker.set(waker);
                }
                match self.inbox.take(&self.slab.links, asleep) {
                    Some(taken) => received.enter(self, taken),
                    None => {
                        if received.order.len() >= count {
                            return Some(());
                        }
                        self.waker.set(waker);
                        if self.inbox.sleep() {
                            return None;
                        }
                    }
                }
            }
        });
    }

    /// Ends the messages that were taken, as the host does.
    fn finish(&self, received: &Received) {
        self.finished.store(received.ticket, Ordering::Release);
    }
}

#[test]
fn a_receiver_never_sleeps_over_a_message() {
    in_full(|| {
        let mailbox = Mailbox::open(1, u32::MAX);
        let sender = mailbox.sender([0]);
        let mut received = Received::default();
        mailbox.receive(&mut received, 1);
        received.assert_exactly(sender.join().unwrap());
    });
}

#[test]
fn who_is_to_wake_the_receiver_sees_what_it_left_before_it_slept() {
    in_full(|| {
        let mailbox = Mailbox::open(2, u32::MAX);
        // The second envelope's cell represents the waker: only the inbox orders its use.
        let note = mint(1);
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                let pushed = mailbox
                    .inbox
                    .push(&mailbox.slab.links, mint(0), u32::MAX, || 0);
                if pushed.unwrap() {
                    assert_eq!(mailbox.slab.get(&mint(1)), 7);
                }
            })
        };
        mailbox.slab.put(&note, 7);
        if !mailbox.inbox.sleep() {
            mailbox.slab.put(&note, 0);
        }
        sender.join().unwrap();
    });
}

#[test]
fn a_receiver_never_sleeps_over_the_next_message() {
    up_to(4, || {
        let mailbox = Mailbox::open(2, u32::MAX);
        let sender = mailbox.sender(0..2);
        let mut received = Received::default();
        mailbox.receive(&mut received, 2);
        assert_eq!(received.order, [0, 1]);
        assert_eq!(sender.join().unwrap(), [0, 1]);
    });
}

#[test]
fn a_receiver_that_counts_as_asleep_while_it_is_at_work_is_woken_for_every_message() {
    in_full(|| {
        let mailbox = Mailbox::open(1, u32::MAX);
        let sender = mailbox.sender([0]);
        let mut received = Received::default();
        mailbox.receive_as(ASLEEP, &mut received, 1);
        received.assert_exactly(sender.join().unwrap());
    });
    up_to(4, || {
        let mailbox = Mailbox::open(2, u32::MAX);
        let sender = mailbox.sender(0..2);
        let mut received = Received::default();
        mailbox.receive_as(ASLEEP, &mut received, 2);
        assert_eq!(received.order, [0, 1]);
        assert_eq!(sender.join().unwrap(), [0, 1]);
    });
}

#[test]
fn a_receiver_may_count_as_asleep_at_one_time_and_as_awake_at_another() {
    up_to(2, || {
        let mailbox = Mailbox::open(3, u32::MAX);
        let senders = [mailbox.sender(0..2), mailbox.sender(2..3)];
        let mut received = Received::default();
        mailbox.receive_as(ASLEEP, &mut received, 1);
        mailbox.receive_as(AWAKE, &mut received, 2);
        mailbox.receive_as(ASLEEP, &mut received, 3);
        received.assert_ascending(&[0, 1]);
        let accepted = senders.map(|sender| sender.join().unwrap()).concat();
        received.assert_exactly(accepted);
    });
}

#[test]
fn two_senders_lose_nothing_and_keep_their_order() {
    up_to(2, || {
        let mailbox = Mailbox::open(3, u32::MAX);
        let senders = [mailbox.sender(0..2), mailbox.sender(2..3)];
        let mut received = Received::default();
        mailbox.receive(&mut received, 3);
        received.assert_ascending(&[0, 1]);
        assert_eq!(mailbox.inbox.ticket(), 3);
        let accepted = senders.map(|sender| sender.join().unwrap()).concat();
        received.assert_exactly(accepted);
    });
}

#[test]
fn a_late_wake_up_does_not_swallow_the_next_one() {
    // One sender's wake-up may still be under way when the receiver sleeps again and the other wakes.
    up_to(3, || {
        let mailbox = Mailbox::open(2, u32::MAX);
        let senders = [mailbox.sender([0]), mailbox.sender([1])];
        let mut received = Received::default();
        mailbox.receive(&mut received, 1);
        mailbox.receive(&mut received, 2);
        let accepted = senders.map(|sender| sender.join().unwrap()).concat();
        received.assert_exactly(accepted);
    });
}

#[test]
fn a_token_is_refused_by_a_closed_inbox_or_comes_out_of_closing_it() {
    in_full(|| {
        let mailbox = Mailbox::open(2, u32::MAX);
        let sender = mailbox.sender(0..2);
        let mut received = Received::default();
        if let Some(taken) = mailbox.inbox.take(&mailbox.slab.links, AWAKE) {
            received.enter(&mailbox, taken);
        }
        if let Some(taken) = mailbox.inbox.close(&mailbox.slab.links) {
            received.enter(&mailbox, taken);
        }
        assert!(mailbox.inbox.is_closed());
        received.assert_ascending(&[0, 1]);
        received.assert_exactly(sender.join().unwrap());
        assert!(mailbox.inbox.close(&mailbox.slab.links).is_none());
    });
}

#[test]
fn two_senders_against_closing_lose_nothing() {
    in_full(|| {
        let mailbox = Mailbox::open(2, u32::MAX);
        let senders = [mailbox.sender([0]), mailbox.sender([1])];
        let mut received = Received::default();
        if let Some(taken) = mailbox.inbox.close(&mailbox.slab.links) {
            received.enter(&mailbox, taken);
        }
        let accepted = senders.map(|sender| sender.join().unwrap()).concat();
        assert_eq!(mailbox.inbox.ticket(), accepted.len() as u64);
        received.assert_exactly(accepted);
    });
}

#[test]
fn a_sleeping_inbox_that_is_closed_takes_no_more() {
    in_full(|| {
        let mailbox = Mailbox::open(1, u32::MAX);
        mailbox.waker.set(&Sleeper::new().waker());
        assert!(mailbox.inbox.sleep());
        let sender = mailbox.sender([0]);
        let mut received = Received::default();
        if let Some(taken) = mailbox.inbox.close(&mailbox.slab.links) {
            received.enter(&mailbox, taken);
        }
        received.assert_exactly(sender.join().unwrap());
    });
}

#[test]
fn a_closed_inbox_that_is_opened_again_goes_on_counting() {
    up_to(3, || {
        let mailbox = Mailbox::open(3, u32::MAX);
        let sender = mailbox.sender(0..3);
        let mut received = Received::default();
        if let Some(taken) = mailbox.inbox.close(&mailbox.slab.links) {
            received.enter(&mailbox, taken);
        }
        assert_eq!(mailbox.inbox.ticket(), received.ticket);
        mailbox.inbox.open();
        let mut accepted = received.order.len();
        mailbox.receive(&mut received, accepted);
        let theirs = sender.join().unwrap();
        accepted = theirs.len();
        mailbox.receive(&mut received, accepted);
        received.assert_ascending(&[0, 1, 2]);
        received.assert_exactly(theirs);
    });
}

#[test]
fn no_more_than_capacity_are_ever_unfinished() {
    up_to(3, || {
        let mailbox = Mailbox::open(3, 1);
        let senders = [mailbox.sender(0..2), mailbox.sender(2..3)];
        let mut received = Received::default();
        for _ in 0..3 {
            let finished = received.ticket;
            if let Some(taken) = mailbox.inbox.take(&mailbox.slab.links, AWAKE) {
                received.enter(&mailbox, taken);
            }
            let unfinished = Inbox::between(finished, mailbox.inbox.ticket());
            assert!(unfinished <= 1, "{unfinished} unfinished");
            mailbox.finish(&received);
        }
        let accepted = senders.map(|sender| sender.join().unwrap()).concat();
        assert!(!accepted.is_empty(), "there was room for the first");
        mailbox.receive(&mut received, accepted.len());
        received.assert_exactly(accepted);
    });
}

#[test]
fn a_mailbox_with_room_never_says_full() {
    in_full(|| {
        let mailbox = Mailbox::open(2, 2);
        let sender = mailbox.sender([0]);
        let host = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                let mut received = Received::default();
                if let Some(taken) = mailbox.inbox.take(&mailbox.slab.links, AWAKE) {
                    received.enter(&mailbox, taken);
                }
                mailbox.finish(&received);
            })
        };
        assert_eq!(mailbox.send(1), Ok(()));
        assert_eq!(sender.join().unwrap(), [0]);
        host.join().unwrap();
    });
}
