//! A subsystem's whole mailbox: its lanes, its room, its bell, who waits for room, and what becomes of
//! messages when it is full. Host and senders take the steps of `host/backlog.rs`, `host/turn.rs`,
//! `route/pack.rs` and `send/overflow.rs`.

use loom::thread::{self, JoinHandle};
use std::sync::Arc;
use std::task::Waker;

use super::waiters::Queued;
use super::{Slab, Sleeper, in_full, up_to, with_loads_up_to};
use crate::ledger::{Ending, Tally};
use crate::local::Local;
use crate::mailbox::inbox::{Inbox, Refusal};
use crate::mailbox::lanes::{Evicted, Look};
use crate::mailbox::{Limits, Seat};
use crate::overflow::Overflow;
use crate::priority::Priority::{self, High, Low, Normal};
use crate::token::{Chain, Token};

const TABLE: u32 = 1;

struct World {
    slab: Slab,
    seat: Seat,
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Accepted,
    /// Dropped by its sender: nothing waited that could have been dropped for it.
    TurnedAway,
    Closed,
}

impl World {
    /// An open seat.
    fn with(envelopes: usize, capacity: u32, overflow: Overflow) -> Arc<Self> {
        let seat = Seat::new(1, "seat".into());
        seat.open(TABLE, Limits { capacity, overflow });
        Arc::new(World {
            slab: Slab::new(envelopes),
            seat,
        })
    }

    fn unbounded(envelopes: usize) -> Arc<Self> {
        World::with(envelopes, u32::MAX, Overflow::Wait)
    }

    /// Packs an envelope and pushes it: `Packer::post`.
    fn post(&self, envelope: u32, priority: Priority) -> Result<(), Refusal> {
        let seat = &self.seat;
        let capacity = seat.capacity();
        if seat.is_full(capacity) {
            return Err(Refusal::Full);
        }
        let token = Token::mint(envelope);
        self.slab.put(&token, u64::from(envelope) + 100);
        match seat.push(&self.slab.links, token, priority, capacity) {
            Ok(is_asleep) => {
                if is_asleep {
                    seat.ring(&Local::new());
                }
                Ok(())
            }
            Err((token, refusal)) => {
                // It came back: still ours to touch.
                self.slab.put(&token, 0);
                Err(refusal)
            }
        }
    }

    /// One attempt at a send, with its overflow policy; none if its sender must wait. Envelopes that it
    /// dropped are entered in `evicted`.
    fn attempt(&self, envelope: u32, priority: Priority, evicted: &mut Vec<u32>) -> Option<Sent> {
        let seat = &self.seat;
        loop {
            if self.post(envelope, priority).is_ok() {
                return Some(Sent::Accepted);
            }
            if seat.inbox.is_closed() {
                return Some(Sent::Closed);
            }
            if seat.overflow() != Overflow::DropOldest {
                return None;
            }
            // It may see the policy before it sees the lanes: who set it calls it back.
            let lanes = seat.lanes()?;
            match lanes.evict(&seat.inbox, &self.slab.links) {
                Evicted::Message(token) => {
                    assert_eq!(self.slab.get(&token), u64::from(token.index()) + 100);
                    self.slab.put(&token, 0);
                    evicted.push(token.surrender());
                }
                Evicted::NotYet => return None,
                Evicted::Nothing if !seat.is_full(seat.capacity()) => {}
                Evicted::Nothing if seat.turn_away() => return Some(Sent::TurnedAway),
                Evicted::Nothing => return Some(Sent::Closed),
            }
        }
    }

    /// Sends, and waits for room if it must: `until_room`.
    fn send(&self, envelope: u32, priority: Priority, evicted: &mut Vec<u32>) -> Sent {
        if let Some(sent) = self.attempt(envelope, priority, evicted) {
            return sent;
        }
        let mut queued = Queued::new(self.seat.room());
        Sleeper::new()
            .block_on(|waker| queued.poll(waker, || self.attempt(envelope, priority, evicted)))
    }

    /// A thread that sends these; tells which were accepted, and which it dropped.
    fn sender(
        self: &Arc<Self>,
        messages: impl IntoIterator<Item = (u32, Priority)> + 'static,
    ) -> JoinHandle<(Vec<u32>, Vec<u32>)> {
        let world = self.clone();
        thread::spawn(move || {
            let (mut accepted, mut evicted) = (Vec::new(), Vec::new());
            for (envelope, priority) in messages {
                if world.send(envelope, priority, &mut evicted) == Sent::Accepted {
                    accepted.push(envelope);
                }
            }
            (accepted, evicted)
        })
    }

    /// True if every message that was accepted has ended.
    fn assert_quiet(&self, accepted: usize) {
        let ledger = self.seat.ledger();
        assert!(ledger.closes() && ledger.is_quiet(), "{ledger:?}");
        assert_eq!(ledger.sent, accepted as u64);
    }
}

/// A host with what it has taken out of the mailbox.
struct Host<'w> {
    world: &'w World,
    backlog: Chain,
    ticket: u64,
    is_ending: bool,
    tally: Tally,
    /// The envelopes of messages that it began, in order.
    begun: Vec<u32>,
}

impl<'w> Host<'w> {
    /// The first that ever sat there.
    fn of(world: &'w World) -> Self {
        Host {
            world,
            backlog: Chain::new(),
            ticket: 0,
            is_ending: false,
            tally: Tally::default(),
            begun: Vec::new(),
        }
    }

    /// The next message: `Resident::next`.
    fn next(&mut self) -> Option<Token> {
        let World { slab, seat } = self.world;
        let links = &slab.links;
        if let Some(lanes) = seat.lanes() {
            let look = match self.is_ending {
                false => Look::Awake,
                true => Look::Closing,
            };
            let looked = lanes.next(&seat.inbox, links, look, (&mut self.backlog, self.ticket));
            if looked.has_opened {
                seat.recall();
            }
            assert_eq!(looked.off, 0, "the tickets don't count the tokens");
            return looked.next;
        }
        if let Some(token) = self.backlog.pop_front(links) {
            return Some(token);
        }
        let taken = match self.is_ending {
            false => seat.inbox.take(links, false),
            true => seat.close(links),
        }?;
        let accepted = Inbox::between(self.ticket, taken.ticket);
        assert_eq!(accepted, u64::from(taken.chain.len()));
        self.ticket = taken.ticket;
        self.backlog = taken.chain;
        self.backlog.pop_front(links)
    }

    /// Begins the next message, and holds it in its handler.
    fn begin(&mut self) -> bool {
        let Some(token) = self.next() else {
            return false;
        };
        let slab = &self.world.slab;
        assert_eq!(slab.get(&token), u64::from(token.index()) + 100);
        slab.put(&token, 0);
        self.begun.push(token.surrender());
        true
    }

    /// Ends a message that was begun.
    fn finish(&mut self) {
        self.tally.add(Ending::Handled);
        let ended = self.world.seat.endings.enter(&mut self.tally);
        self.world.seat.make_room(ended as usize);
    }

    /// Handles until `is_done`, and rests in between; its waker stays with the seat.
    fn serve_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        let sleeper = Sleeper::new();
        let seat = &self.world.seat;
        seat.leave_waker(Some(sleeper.waker()));
        sleeper.block_on(|_: &Waker| {
            loop {
                while self.begin() {
                    self.finish();
                }
                if is_done(self) {
                    return Some(());
                }
                if seat.sleep() {
                    return None;
                }
            }
        });
        seat.leave_waker(None);
    }

    /// Ends every message that was accepted, as a host that ends does.
    fn end(&mut self) {
        self.is_ending = true;
        if let Some(taken) = self.world.seat.close(&self.world.slab.links) {
            self.ticket = taken.ticket;
            let links = &self.world.slab.links;
            self.backlog.append(links, taken.chain);
        }
        while self.begin() {
            self.finish();
        }
        self.world.seat.recall();
    }
}

fn sorted(parts: impl IntoIterator<Item = Vec<u32>>) -> Vec<u32> {
    let mut all: Vec<u32> = parts.into_iter().flatten().collect();
    all.sort_unstable();
    all
}

#[test]
fn a_message_of_another_priority_wakes_a_host_that_knows_of_one_list_only() {
    in_full(|| {
        let world = World::unbounded(1);
        let sender = world.sender([(0, Low)]);
        let mut host = Host::of(&world);
        host.serve_until(|host| host.begun.len() == 1);
        assert_eq!(sender.join().unwrap().0, [0]);
        world.assert_quiet(1);
    });
}

#[test]
fn a_host_never_rests_over_a_message_in_any_lane() {
    up_to(2, || {
        let world = World::unbounded(2);
        let senders = [world.sender([(0, Normal)]), world.sender([(1, High)])];
        let mut host = Host::of(&world);
        host.serve_until(|host| host.begun.len() == 2);
        let accepted = senders.map(|sender| sender.join().unwrap().0);
        assert_eq!(sorted([host.begun]), sorted(accepted));
        world.assert_quiet(2);
    });
}

#[test]
fn messages_of_one_sender_keep_their_order_while_the_lanes_are_made() {
    up_to(2, || {
        let world = World::unbounded(3);
        let senders = [
            world.sender([(0, Normal), (1, Normal)]),
            world.sender([(2, Low)]),
        ];
        let mut host = Host::of(&world);
        host.serve_until(|host| host.begun.len() == 3);
        let of_one: Vec<_> = host.begun.iter().filter(|at| **at < 2).collect();
        assert_eq!(of_one, [&0, &1]);
        for sender in senders {
            sender.join().unwrap();
        }
        world.assert_quiet(3);
    });
}

#[test]
fn a_mailbox_that_closes_while_its_lanes_are_made_refuses_a_message_or_gives_it_out() {
    in_full(|| {
        let world = World::unbounded(1);
        let sender = world.sender([(0, Low)]);
        let mut host = Host::of(&world);
        host.end();
        let (accepted, _) = sender.join().unwrap();
        assert_eq!(host.begun, accepted);
        world.assert_quiet(accepted.len());
    });
    up_to(2, || {
        let world = World::unbounded(2);
        let senders = [world.sender([(0, Normal)]), world.sender([(1, High)])];
        let mut host = Host::of(&world);
        host.end();
        let accepted = sorted(senders.map(|sender| sender.join().unwrap().0));
        assert_eq!(sorted([std::mem::take(&mut host.begun)]), accepted);
        world.assert_quiet(accepted.len());
    });
}

#[test]
fn a_message_sent_while_its_subsystem_is_mounted_anew_is_refused_or_reaches_one_of_the_hosts() {
    up_to(3, || {
        let world = World::unbounded(2);
        let sender = {
            let world = world.clone();
            thread::spawn(move || {
                let mut accepted = Vec::new();
                for envelope in 0..2 {
                    // What a handle does before it packs a message.
                    let table = world.seat.table();
                    if world.post(envelope, Normal).is_ok() {
                        accepted.push((envelope, table));
                    }
                }
                accepted
            })
        };
        let mut first = Host::of(&world);
        first.end();
        let limits = Limits {
            capacity: u32::MAX,
            overflow: Overflow::Wait,
        };
        let opened_at = world.seat.inbox.ticket();
        world.seat.open(TABLE + 1, limits);
        let mut second = Host::of(&world);
        second.ticket = opened_at;
        while second.begin() {
            second.finish();
        }
        let accepted = sender.join().unwrap();
        while second.begin() {
            second.finish();
        }
        for (envelope, table) in &accepted {
            let of_first = first.begun.contains(envelope);
            assert_ne!(of_first, second.begun.contains(envelope));
            // A handle that knows the second host's table has nothing to do with the first.
            assert!(*table == TABLE || !of_first);
        }
        assert_eq!(first.begun.len() + second.begun.len(), accepted.len());
        world.assert_quiet(accepted.len());
    });
}

#[test]
fn who_finds_nobody_waiting_for_room_yet_is_seen_by_who_waits_first() {
    up_to(3, || {
        let world = World::with(2, 1, Overflow::Wait);
        world.post(0, Normal).unwrap();
        let sender = world.sender([(1, Normal)]);
        let mut host = Host::of(&world);
        assert!(host.begin());
        // The first who waits makes the queue of those who wait.
        host.finish();
        assert_eq!(sender.join().unwrap().0, [1]);
        assert!(host.begin());
        host.finish();
        world.assert_quiet(2);
    });
}

#[test]
fn a_sender_that_waits_is_woken_when_more_may_come_in() {
    up_to(3, || {
        let world = World::with(2, 1, Overflow::Wait);
        world.post(0, Normal).unwrap();
        let sender = world.sender([(1, Normal)]);
        world.seat.set_capacity(2);
        assert_eq!(sender.join().unwrap().0, [1]);
    });
}

#[test]
fn a_sender_that_waits_is_woken_when_it_may_drop_the_oldest() {
    up_to(3, || {
        let world = World::with(3, 2, Overflow::DropOldest);
        world.post(0, Normal).unwrap();
        world.post(1, Normal).unwrap();
        let sender = world.sender([(2, Normal)]);
        // It takes 0 and is in its handler for ever: nothing but 1 can make room.
        let mut host = Host::of(&world);
        assert!(host.begin());
        let (accepted, evicted) = sender.join().unwrap();
        assert_eq!((accepted, evicted), (vec![2], vec![1]));
        assert!(host.begin());
        assert_eq!(host.begun, [0, 2]);
    });
}

#[test]
fn a_sender_that_waits_is_woken_when_the_policy_changes() {
    up_to(2, || {
        let world = World::with(3, 2, Overflow::Wait);
        world.post(0, Normal).unwrap();
        world.post(1, Normal).unwrap();
        let sender = world.sender([(2, Normal)]);
        let mut host = Host::of(&world);
        assert!(host.begin());
        world.seat.set_overflow(Overflow::DropOldest);
        // The host comes by once more; what it finds stays in its handler for ever.
        assert!(host.begin());
        let (accepted, evicted) = sender.join().unwrap();
        let has_evicted = evicted == [1];
        assert!(has_evicted || evicted.is_empty());
        // Both were in their handlers: the new one was dropped.
        assert_eq!(accepted.len(), usize::from(has_evicted));
    });
}

#[test]
fn a_message_is_handled_or_dropped_for_a_newer_one_but_not_both() {
    up_to(2, || {
        let world = World::with(3, 2, Overflow::DropOldest);
        world.post(0, Normal).unwrap();
        world.post(1, Low).unwrap();
        let sender = world.sender([(2, Normal)]);
        let mut host = Host::of(&world);
        // One that it begins, it ends before the next: nothing fills the mailbox but what waits.
        for _ in 0..2 {
            if host.begin() {
                host.finish();
            }
        }
        let (accepted, evicted) = sender.join().unwrap();
        assert_eq!(accepted, [2], "dropped, though there was room for it");
        while host.begin() {
            host.finish();
        }
        assert_eq!(sorted([host.begun, evicted]), [0, 1, 2]);
        world.assert_quiet(3);
    });
}

#[test]
fn two_who_drop_the_oldest_drop_different_ones() {
    up_to(2, || {
        let world = World::with(4, 2, Overflow::DropOldest);
        let mut host = Host::of(&world);
        // The host has come by and opened the room.
        assert!(!host.begin());
        world.post(0, Normal).unwrap();
        world.post(1, Low).unwrap();
        let senders = [world.sender([(2, Normal)]), world.sender([(3, Normal)])];
        let [one, other] = senders.map(|sender| sender.join().unwrap());
        while host.begin() {
            host.finish();
        }
        let evicted = sorted([one.1, other.1]);
        assert_eq!(evicted.len(), 2, "no more than had to make room");
        assert_eq!(sorted([host.begun, evicted]), [0, 1, 2, 3]);
        assert_eq!([one.0, other.0], [[2], [3]]);
        world.assert_quiet(4);
    });
}

#[test]
fn a_host_that_goes_to_rest_while_a_sender_drops_the_oldest_is_woken_by_the_new_one() {
    up_to(1, || {
        let world = World::with(2, 1, Overflow::DropOldest);
        let mut host = Host::of(&world);
        assert!(!host.begin());
        world.post(0, Normal).unwrap();
        let sender = {
            let world = world.clone();
            thread::spawn(move || {
                let sent = world.send(1, Normal, &mut Vec::new());
                if sent == Sent::TurnedAway {
                    // Nothing comes that would wake the host: the model ends here.
                    world.seat.wake();
                }
            })
        };
        let seat = &world.seat;
        host.serve_until(|host| host.begun.contains(&1) || seat.ledger().sent > seat.accepted());
        sender.join().unwrap();
    });
}

#[test]
fn a_mailbox_with_room_never_says_full() {
    with_loads_up_to(2, || {
        let world = World::with(3, 2, Overflow::Wait);
        let work = {
            let world = world.clone();
            thread::spawn(move || {
                let mut host = Host::of(&world);
                world.post(0, Normal).unwrap();
                assert!(host.begin());
                host.finish();
                world.post(1, Normal).unwrap();
            })
        };
        // One other at most is there at any time.
        assert_eq!(world.post(2, Normal), Ok(()));
        work.join().unwrap();
    });
}

#[test]
fn no_more_than_capacity_are_admitted_to_several_lanes() {
    up_to(3, || {
        let world = World::with(3, 2, Overflow::Wait);
        // The lanes are there; one more may come in.
        world.post(0, High).unwrap();
        let post = |envelope, priority| {
            let world = world.clone();
            thread::spawn(move || world.post(envelope, priority).is_ok())
        };
        let senders = [post(1, Normal), post(2, Low)];
        let accepted = senders.map(|sender| sender.join().unwrap());
        assert_eq!(accepted.into_iter().filter(|accepted| *accepted).count(), 1);
        assert_eq!(world.seat.waiting(), 2);
    });
}
