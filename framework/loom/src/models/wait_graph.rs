//! Waits that can't end: a handler that waits against the supervisor that finds its wait hopeless.

use loom::thread;
use std::sync::Arc;

use super::{Sleeper, in_full, up_to};
use crate::runtime::deadlock::{For, Starting, WaitGraph};

#[test]
fn a_handler_whose_wait_is_found_hopeless_is_woken_and_told() {
    in_full(|| {
        let waits = Arc::new(WaitGraph::default());
        let wait = waits.begin(1, For::Envelope).unwrap();
        let supervisor = {
            let waits = waits.clone();
            thread::spawn(move || {
                let found = waits.deadlocked(Some(3), |_| 3, None).unwrap();
                found.declare();
            })
        };
        let handler = Sleeper::new();
        handler.block_on(|waker| wait.is_hopeless(waker).then_some(()));
        waits.end(wait.id);
        supervisor.join().unwrap();
    });
}

#[test]
fn of_two_that_would_wait_for_each_other_one_is_refused_and_leaves_nothing_behind() {
    in_full(|| {
        let waits = Arc::new(WaitGraph::default());
        let other = {
            let waits = waits.clone();
            thread::spawn(move || waits.begin(2, For::Reply(1)).ok())
        };
        let one = waits.begin(1, For::Reply(2)).ok();
        let other = other.join().unwrap();
        assert_ne!(one.is_some(), other.is_some(), "one goes on");
        for wait in one.into_iter().chain(other) {
            waits.end(wait.id);
        }
        assert!(waits.begin(1, For::Reply(2)).is_ok(), "2 still waits");
        waits.end_all(1);
        assert!(waits.begin(2, For::Reply(1)).is_ok(), "1 still waits");
    });
}

#[test]
fn of_three_that_would_wait_in_a_circle_one_is_refused() {
    up_to(2, || {
        let waits = Arc::new(WaitGraph::default());
        let begin = |who, whom| {
            let waits = waits.clone();
            thread::spawn(move || waits.begin(who, For::Reply(whom)).is_err())
        };
        let others = [begin(2, 3), begin(3, 1)];
        let is_refused = waits.begin(1, For::Reply(2)).is_err();
        let all = others.map(|one| one.join().unwrap());
        let refused = usize::from(is_refused) + all.iter().filter(|one| **one).count();
        assert_eq!(refused, 1);
    });
}

#[test]
fn waits_that_were_never_there_at_one_time_are_no_circle() {
    in_full(|| {
        let waits = Arc::new(WaitGraph::default());
        let ended = waits.begin(2, For::Reply(3)).unwrap();
        let other = {
            let waits = waits.clone();
            thread::spawn(move || {
                waits.end(ended.id);
                waits.begin(3, For::Reply(1)).is_ok()
            })
        };
        assert!(waits.begin(1, For::Reply(2)).is_ok());
        assert!(other.join().unwrap());
    });
}

#[test]
fn a_start_that_is_over_closes_no_circle_with_what_began_after_it() {
    in_full(|| {
        let waits = Arc::new(WaitGraph::default());
        let starting = Arc::new(Starting::default());
        starting.add(3);
        let _mount = waits.begin(2, For::Start(starting.clone())).unwrap();
        let other = {
            let waits = waits.clone();
            thread::spawn(move || {
                starting.stands(3);
                waits.begin(3, For::Reply(1)).is_ok()
            })
        };
        assert!(waits.begin(1, For::Reply(2)).is_ok());
        assert!(other.join().unwrap());
    });
}
