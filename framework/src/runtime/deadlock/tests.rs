use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use proptest::prelude::*;

use super::caller::Waiting;
use super::*;

/// The waits, by number, with their two ends.
type Known = BTreeMap<WaitId, (MailboxId, MailboxId)>;

fn is_left(waits: &WaitGraph) -> bool {
    !waits.copied().is_empty() || waits.any_undecided()
}

fn tree(root: MailboxId, mailboxes: &[MailboxId]) -> For {
    For::End(Arc::new(Tree {
        root: Some(root),
        mailboxes: mailboxes.to_vec(),
    }))
}

#[test]
fn a_circle_of_asks_is_found_when_its_last_edge_is_entered() {
    let waits = WaitGraph::default();
    let _one = waits.begin(1, For::Reply(2)).unwrap();
    let _two = waits.begin(2, For::Room(3)).unwrap();
    assert_eq!(waits.begin(3, For::Reply(1)).unwrap_err(), [3, 1, 2, 3]);
    assert_eq!(waits.begin(3, For::Reply(3)).unwrap_err(), [3, 3]);
    assert!(waits.begin(3, For::Reply(4)).is_ok());
}

#[test]
fn a_wait_that_ended_closes_no_circle() {
    let waits = WaitGraph::default();
    let one = waits.begin(1, For::Reply(2)).unwrap();
    waits.end(one.id);
    assert!(waits.begin(2, For::Reply(1)).is_ok());
}

#[test]
fn a_wait_that_was_refused_leaves_nothing_behind() {
    let waits = WaitGraph::default();
    let one = waits.begin(1, For::Reply(2)).unwrap();
    assert!(waits.begin(2, For::Room(1)).is_err());
    waits.end(one.id);
    assert!(!is_left(&waits));
}

#[test]
fn a_handler_that_has_ended_waits_for_nothing() {
    let waits = Arc::new(WaitGraph::default());
    let forgotten = waits.guard(1, For::Reply(2)).unwrap();
    std::mem::forget(forgotten);
    let late = waits.guard(1, For::Envelope).unwrap();
    waits.end_all(1);
    assert!(!is_left(&waits));
    let next = waits.guard(1, For::Reply(3)).unwrap();
    drop(late);
    assert!(is_left(&waits), "the wait of the next handler stays");
    drop(next);
    assert!(!is_left(&waits));
}

#[test]
fn a_handler_that_waits_for_the_end_of_a_tree_waits_for_each_in_it() {
    let waits = WaitGraph::default();
    let _unmount = waits.begin(1, tree(2, &[2, 3])).unwrap();
    assert_eq!(waits.begin(2, For::Reply(1)).unwrap_err(), [2, 1, 2]);
    // The end of 2 waits for the end of 3.
    assert_eq!(waits.begin(3, For::Reply(1)).unwrap_err(), [3, 1, 2, 3]);
    assert_eq!(waits.begin(1, tree(4, &[4, 1])).unwrap_err(), [1, 4, 1]);
}

#[test]
fn a_handler_waits_for_those_that_it_mounts_until_they_stand() {
    let waits = WaitGraph::default();
    let starting = Arc::new(Starting::default());
    let _mount = waits.begin(1, For::Start(starting.clone())).unwrap();
    starting.add(2);
    starting.add(3);
    assert_eq!(waits.begin(2, For::Reply(1)).unwrap_err(), [2, 1, 2]);
    starting.stands(2);
    assert!(waits.begin(2, For::Reply(1)).is_ok());
    assert!(waits.begin(3, For::Reply(1)).is_err());
}

#[test]
fn a_caller_waits_until_it_goes_away_or_the_registry_is_done() {
    let waits = Arc::new(WaitGraph::default());
    let waiting = Waiting::new(&waits, 1);
    let caller = waiting.caller().unwrap();
    let edge = caller.enter(tree(2, &[2])).unwrap();
    assert!(is_left(&waits));
    drop(edge);
    assert!(!is_left(&waits));
    let edge = caller.enter(tree(2, &[2])).unwrap();
    drop(waiting);
    assert!(!is_left(&waits));
    drop(edge);
    let late = caller.enter(tree(1, &[1])).unwrap();
    assert!(late.is_none() && !is_left(&waits));
    assert!(Waiting::new(&waits, 0).caller().is_none());
}

#[test]
fn waiting_for_envelopes_is_hopeless_only_if_the_blocked_hold_them_all() {
    let waits = WaitGraph::default();
    let _one = waits.begin(1, For::Envelope).unwrap();
    let _two = waits.begin(2, For::Reply(1)).unwrap();
    let _three = waits.begin(3, For::Reply(9)).unwrap();
    let holds = |mailbox| match mailbox {
        1 => 3,
        2 => 2,
        3 => 1,
        _ => 0,
    };
    // 3 holds one envelope and waits for 9, which is free to go on.
    assert!(waits.deadlocked(Some(6), holds, None).is_none());
    let hopeless = waits.deadlocked(Some(5), holds, None).unwrap();
    assert_eq!(hopeless.blocked, [1, 2]);
    assert!(waits.deadlocked(None, holds, None).is_none());
}

#[test]
fn waiting_for_a_thread_is_hopeless_only_if_all_who_hold_one_wait_for_it() {
    let waits = WaitGraph::default();
    let _one = waits.begin(1, For::Room(2)).unwrap();
    let _two = waits.begin(2, For::Reply(3)).unwrap();
    let _three = waits.begin(3, For::Thread).unwrap();
    let deadlocked = |holders| waits.deadlocked(None, |_| 0, holders);
    assert!(deadlocked(None).is_none(), "a thread is free");
    assert!(deadlocked(Some(&[1, 7][..])).is_none(), "7 goes on");
    let hopeless = deadlocked(Some(&[1][..])).unwrap();
    assert_eq!(hopeless.blocked, [1, 2, 3]);
    assert_eq!(hopeless.to_thread, Some(vec![1, 2, 3]));
    let seven = waits.begin(7, For::BlockingReply(3)).unwrap();
    let hopeless = deadlocked(Some(&[1, 7][..])).unwrap();
    assert_eq!(hopeless.to_thread, Some(vec![7, 3]), "it began last");
    hopeless.declare();
    assert!(seven.is_hopeless(Waker::noop()));
}

#[test]
fn one_who_holds_no_thread_is_never_told_that_none_comes_free() {
    let waits = WaitGraph::default();
    let _thread = waits.begin(3, For::Thread).unwrap();
    let _holder = waits.begin(1, For::Room(3)).unwrap();
    let other = waits.begin(5, For::Room(3)).unwrap();
    let hopeless = waits.deadlocked(None, |_| 0, Some(&[1])).unwrap();
    hopeless.declare();
    assert!(!other.is_hopeless(Waker::noop()));
}

#[test]
fn a_search_takes_as_many_steps_as_there_are_waits_and_no_recursion() {
    let waits = WaitGraph::default();
    // A chain of 100,000, and 40 layers of ten that each wait for all of the next: 10^40 paths.
    for n in 1..100_000 {
        waits.begin(n, For::Reply(n + 1)).unwrap();
    }
    let layer = |n: u32| (0..10).map(move |at| 200_000 + n * 10 + at);
    for n in 0..40 {
        for (who, to) in layer(n).flat_map(|who| layer(n + 1).map(move |to| (who, to))) {
            waits.begin(who, For::Reply(to)).unwrap();
        }
    }
    waits.begin(100_000, For::Reply(200_000)).unwrap();
    assert!(waits.begin(999_999, For::Reply(1)).is_ok());
    assert_eq!(
        waits.begin(200_400, For::Reply(1)).unwrap_err().len(),
        100_042
    );
}

/// What a naive search over `known` finds.
fn reaches(known: &Known, from: MailboxId, to: MailboxId, seen: &mut BTreeSet<MailboxId>) -> bool {
    from == to
        || seen.insert(from)
            && known
                .values()
                .any(|edge| edge.0 == from && reaches(known, edge.1, to, seen))
}

proptest! {
    #[test]
    fn a_wait_is_refused_if_and_only_if_there_is_a_way_back(
        steps in prop::collection::vec((0_u32..12, 0_u32..12, any::<bool>()), 1..120)
    ) {
        let waits = WaitGraph::default();
        let mut known = Known::new();
        for (who, to, ends) in steps {
            if ends && let Some((id, _)) = known.iter().nth(who as usize).map(|(id, edge)| (*id, *edge)) {
                waits.end(id);
                known.remove(&id);
                continue;
            }
            let closes = reaches(&known, to, who, &mut BTreeSet::new());
            match waits.begin(who, For::Reply(to)) {
                Ok(wait) => {
                    prop_assert!(!closes);
                    known.insert(wait.id, (who, to));
                }
                Err(circle) => {
                    prop_assert!(closes);
                    prop_assert_eq!((circle[0], circle[1]), (who, to));
                    prop_assert_eq!(*circle.last().unwrap(), who);
                    for hop in circle.windows(2).skip(1) {
                        prop_assert!(known.values().any(|edge| *edge == (hop[0], hop[1])));
                    }
                }
            }
        }
        prop_assert_eq!(waits.copied().len(), known.len());
        for id in known.keys() {
            waits.end(*id);
        }
        prop_assert!(!is_left(&waits));
    }

    #[test]
    fn who_is_blocked_is_what_a_naive_exclusion_finds(
        edges in prop::collection::vec((1_u32..10, 0_u32..12), 0..30),
        holders in prop::collection::vec(1_u32..10, 1..3),
    ) {
        let waits = WaitGraph::default();
        // 0 means a thread, 11 an envelope.
        let mut known = Vec::new();
        for (who, to) in edges {
            let what = match to {
                0 => For::Thread,
                11 => For::Envelope,
                to => For::Room(to),
            };
            if waits.begin(who, what).is_ok() {
                known.push((who, to));
            }
        }
        let mut blocked: BTreeSet<MailboxId> = known.iter().map(|(who, _)| *who).collect();
        loop {
            let waits_so = |who: MailboxId, threads: bool| known.iter().any(|&(one, to)| {
                one == who && match to {
                    0 => threads && holders.iter().all(|holder| {
                        known.iter().any(|&(one, to)| {
                            one == *holder && to != 0 && (to == 11 || blocked.contains(&to))
                        })
                    }),
                    11 => true,
                    to => blocked.contains(&to),
                }
            });
            let kept: BTreeSet<MailboxId> =
                blocked.iter().copied().filter(|who| waits_so(*who, true)).collect();
            if kept == blocked {
                break;
            }
            blocked = kept;
        }
        let found = waits.deadlocked(Some(0), |_| 0, Some(&holders));
        if let Some(found) = found {
            let blocked: Vec<MailboxId> = blocked.into_iter().collect();
            prop_assert!(found.to_thread.is_some() || found.blocked == blocked);
        } else {
            prop_assert!(known.iter().all(|(who, to)| *to != 11 || !blocked.contains(who)));
        }
    }
}

#[test]
fn threads_that_wait_in_one_direction_only_are_never_refused_and_leave_nothing() {
    const THREADS: u32 = 4;
    let (waits, start) = (WaitGraph::default(), Barrier::new(THREADS as usize));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (waits, start) = (&waits, &start);
            scope.spawn(move || {
                let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(thread);
                let mut random = move |below: u32| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (state >> 33) as u32 % below
                };
                let mut begun = Vec::new();
                start.wait();
                for _ in 0..20_000 {
                    let who = random(30);
                    let to = who + 1 + random(31 - who);
                    begun.push(waits.begin(who, For::Reply(to)).unwrap().id);
                    if begun.len() > random(20) as usize {
                        let at = random(begun.len() as u32) as usize;
                        waits.end(begun.swap_remove(at));
                    }
                }
                begun.into_iter().for_each(|id| waits.end(id));
            });
        }
    });
    assert!(!is_left(&waits));
}

#[test]
fn of_threads_that_wait_in_all_directions_no_circle_stays() {
    const THREADS: u32 = 4;
    for round in 0..2_000 {
        let (waits, start) = (WaitGraph::default(), Barrier::new(THREADS as usize));
        let refused: usize = std::thread::scope(|scope| {
            let begin = |who| {
                let (waits, start) = (&waits, &start);
                scope.spawn(move || {
                    start.wait();
                    let wait = waits.begin(who, For::Reply((who + 1) % THREADS));
                    usize::from(wait.is_err())
                })
            };
            let all: Vec<_> = (0..THREADS).map(begin).collect();
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(
            refused, 1,
            "round {round}: one gives way, and the others wait"
        );
    }
}
