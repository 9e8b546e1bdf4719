//! A table with a version, as the topics have it: publishers remember what they have read of it while the registry
//! changes it.

use loom::thread;
use std::sync::Arc;

use super::in_full;
use crate::base::versioned::Versioned;

/// What a publisher's thread remembers: who subscribes, and the table's version then.
#[derive(Default)]
struct Remembered(Option<(Vec<u32>, u64)>);

impl Remembered {
    /// Whom a publish that begins now sends to: `Topics::remembered`, then `look_up`.
    fn matched(&mut self, table: &Versioned<Vec<u32>>) -> Vec<u32> {
        let version = table.version();
        if let Some((matched, of)) = &self.0
            && *of == version
        {
            return matched.clone();
        }
        let (matched, of) = table.read(|all, version| (all.clone(), version));
        self.0 = Some((matched.clone(), of));
        matched
    }
}

#[test]
fn a_publish_while_one_is_mounted_finds_it_or_not_and_the_next_one_does() {
    in_full(|| {
        let table = Arc::new(Versioned::new(vec![1]));
        let publisher = {
            let table = table.clone();
            thread::spawn(move || {
                let mut remembered = Remembered::default();
                let first = remembered.matched(&table);
                let second = remembered.matched(&table);
                assert!(first.len() <= second.len());
                remembered
            })
        };
        table.change(|all| all.push(2));
        let mut remembered = publisher.join().unwrap();
        // Its mount has returned.
        assert_eq!(remembered.matched(&table), [1, 2]);
    });
}

#[test]
fn who_is_mounted_in_place_of_another_is_found_alone_once_both_are_done() {
    in_full(|| {
        let table = Arc::new(Versioned::new(vec![1]));
        let publisher = {
            let table = table.clone();
            thread::spawn(move || {
                let mut remembered = Remembered::default();
                let matched = remembered.matched(&table);
                assert!([&[1][..], &[], &[2]].contains(&&*matched));
                remembered
            })
        };
        table.change(|all| all.clear());
        table.change(|all| all.push(2));
        let mut remembered = publisher.join().unwrap();
        assert_eq!(remembered.matched(&table), [2]);
    });
}

#[test]
fn a_message_that_is_retained_reaches_a_new_subscriber_once() {
    in_full(|| {
        // Who subscribes, and what is retained: both under the table's lock.
        let table = Arc::new(Versioned::new(Vec::<u32>::new()));
        let retained = Arc::new(loom::sync::Mutex::new(Vec::new()));
        let publisher = {
            let (table, retained) = (table.clone(), retained.clone());
            thread::spawn(move || {
                let keep = |all: &Vec<u32>| {
                    retained.lock().unwrap().push(7);
                    all.clone()
                };
                table.read(|all, _| keep(all))
            })
        };
        let caught_up = table.change(|all| {
            all.push(1);
            retained.lock().unwrap().clone()
        });
        let matched = publisher.join().unwrap();
        assert_eq!(caught_up.len() + matched.len(), 1);
    });
}
