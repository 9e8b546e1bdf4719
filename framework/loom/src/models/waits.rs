//! Waits that can't end: the handler that waits against the supervisor that finds it.

use loom::thread;
use std::sync::Arc;

use super::{Sleeper, in_full};
use crate::waits::{For, Waits};

#[test]
fn a_handler_whose_wait_is_found_hopeless_is_woken_and_told() {
    in_full(|| {
        let waits = Arc::new(Waits::default());
        let wait = waits.begin(1, For::Envelope).unwrap();
        let supervisor = {
            let waits = waits.clone();
            thread::spawn(move || {
                let found = waits.deadlocked(3, |_| 3).unwrap();
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
fn of_two_that_would_wait_for_each_other_one_at_least_is_told() {
    in_full(|| {
        let waits = Arc::new(Waits::default());
        let other = {
            let waits = waits.clone();
            thread::spawn(move || waits.begin(2, For::Room(1)).is_err())
        };
        let is_refused = waits.begin(1, For::Reply(2)).is_err();
        assert_ne!(is_refused, other.join().unwrap(), "one goes on");
    });
}
