//! A subsystem's whole mailbox: its lanes, its room, the wake-ups of its host, the senders that wait, and its
//! policies when it is full.

use loom::thread;

use super::world::{Host, Sent, TABLE, World};
use super::{in_full, up_to, with_loads_up_to};
use crate::mailbox::Limits;
use crate::words::overflow::Overflow;
use crate::words::priority::Priority::{Control, High, Low, Normal};

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

/// A handle that is kept across an unmount; for senders by name see [`directory`](super::directory).
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
                    let table = world.mailbox.table();
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
        let opened_at = world.mailbox.inbox.ticket();
        world.mailbox.open(TABLE + 1, limits);
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
            // A sender with the second host's table never reaches the first host.
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
        // The first sender that waits makes the queue.
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
        world.mailbox.set_capacity(2);
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
        // The host takes 0 and stays in its handler forever: only 1 can make room.
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
        world.mailbox.set_overflow(Overflow::DropOldest);
        // The host looks once more. The message that it finds stays in its handler forever.
        assert!(host.begin());
        let (accepted, evicted) = sender.join().unwrap();
        let has_evicted = evicted == [1];
        assert!(has_evicted || evicted.is_empty());
        // If both were in their handlers, the new one was dropped.
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
        // The host ends each message before it begins the next, so only waiting messages fill the mailbox.
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
        // The host has looked once and opened the room.
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
                    // No other message wakes the host: the model ends here.
                    world.mailbox.wake();
                }
            })
        };
        let mailbox = &world.mailbox;
        host.serve_until(|host| {
            host.begun.contains(&1) || mailbox.ledger().sent > mailbox.accepted()
        });
        sender.join().unwrap();
    });
}

#[test]
fn a_host_never_rests_over_a_message_that_a_sender_found_and_could_not_drop() {
    up_to(3, || {
        let world = World::with(2, 1, Overflow::DropOldest);
        let mut host = Host::of(&world);
        assert!(!host.begin());
        // The second message finds only the first, which can't be dropped. So it is dropped itself, and wakes no
        // host.
        let sender = world.sender([(0, Control), (1, Normal)]);
        host.serve_until(|host| host.begun.contains(&0));
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
        // At most one other message is there at any time.
        assert_eq!(world.post(2, Normal), Ok(()));
        work.join().unwrap();
    });
}

#[test]
fn no_more_than_capacity_are_admitted_to_several_lanes() {
    up_to(3, || {
        let world = World::with(3, 2, Overflow::Wait);
        // The lanes exist, and one more message may come in.
        world.post(0, High).unwrap();
        let post = |envelope, priority| {
            let world = world.clone();
            thread::spawn(move || world.post(envelope, priority).is_ok())
        };
        let senders = [post(1, Normal), post(2, Low)];
        let accepted = senders.map(|sender| sender.join().unwrap());
        assert_eq!(accepted.into_iter().filter(|accepted| *accepted).count(), 1);
        assert_eq!(world.mailbox.waiting(), 2);
    });
}
