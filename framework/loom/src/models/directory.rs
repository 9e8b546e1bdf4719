//! The subsystem mounted under a name: senders look it up while the registry mounts and unmounts.

use loom::thread;
use std::sync::Arc;

use super::world::{Host, TABLE, World};
use super::{in_full, up_to};
use crate::directory::{Directory, Mounted};
use crate::mailbox::Limits;
use crate::words::ledger::Ledger;
use crate::words::overflow::Overflow;
use crate::words::priority::Priority::Normal;

/// A thread's cache of the directory: `PathCache::mounted`.
struct PathCache(Option<Arc<Mounted>>);

impl PathCache {
    fn mounted(&mut self, directory: &Directory) -> Option<Arc<Mounted>> {
        if self.0.as_ref().is_none_or(|known| known.is_gone()) {
            self.0 = directory.get("mailbox");
        }
        self.0.clone()
    }
}

/// Makes a directory in which the mailbox of `world` is mounted.
fn mounted_in(world: &Arc<World>) -> (Arc<Directory>, Arc<Mounted>) {
    let directory = Arc::new(Directory::new());
    let mounted = Mounted::new(&world.mailbox, TABLE);
    directory.introduce(mounted.clone());
    directory.insert(vec![("mailbox".into(), mounted.clone())]);
    (directory, mounted)
}

/// Sums up the ledgers of all that is and was mounted.
fn total(directory: &Directory) -> Ledger {
    let (all, mut ledger) = directory.all_and_gone();
    for mounted in all {
        ledger += mounted.ledger();
    }
    ledger
}

#[test]
fn a_message_sent_by_name_while_its_subsystem_is_replaced_is_refused_or_reaches_one_of_the_hosts() {
    up_to(2, || {
        let world = World::with(2, u32::MAX, Overflow::Wait);
        let (directory, first) = mounted_in(&world);
        let sender = {
            let (world, directory) = (world.clone(), directory.clone());
            let mut memory = PathCache(Some(first.clone()));
            thread::spawn(move || {
                let mut accepted = Vec::new();
                for envelope in 0..2 {
                    if let Some(mounted) = memory.mounted(&directory)
                        && world.post(envelope, Normal).is_ok()
                    {
                        accepted.push((envelope, mounted.table));
                    }
                }
                accepted
            })
        };
        // The steps of the registry: it removes the name, the host ends, and the mailbox gets another host.
        assert!(directory.remove(&first));
        let mut host = Host::of(&world);
        host.end();
        assert!(directory.retire(&first));
        let second = Mounted::new(&world.mailbox, TABLE + 1);
        directory.introduce(second.clone());
        let opened_at = world.mailbox.inbox.ticket();
        let (capacity, overflow) = (u32::MAX, Overflow::Wait);
        world.mailbox.open(TABLE + 1, Limits { capacity, overflow });
        directory.insert(vec![("mailbox".into(), second.clone())]);
        let accepted = sender.join().unwrap();
        let mut next = Host::of(&world);
        next.ticket = opened_at;
        while next.begin() {
            next.finish();
        }
        for (envelope, table) in &accepted {
            let is_of_first = host.begun.contains(envelope);
            assert_ne!(is_of_first, next.begun.contains(envelope));
            // A sender that has found the second does not reach the first.
            assert!(*table == TABLE || !is_of_first);
        }
        assert_eq!(host.begun.len() + next.begun.len(), accepted.len());
        assert_eq!(total(&directory).sent, accepted.len() as u64);
        assert!(
            directory
                .get("mailbox")
                .is_some_and(|one| Arc::ptr_eq(&one, &second))
        );
    });
}

#[test]
fn who_adds_up_all_accounts_finds_each_subsystem_once() {
    in_full(|| {
        let world = World::with(1, u32::MAX, Overflow::Wait);
        let (directory, mounted) = mounted_in(&world);
        world.post(0, Normal).unwrap();
        Host::of(&world).end();
        let registry = {
            let directory = directory.clone();
            thread::spawn(move || {
                assert!(directory.remove(&mounted));
                assert!(directory.retire(&mounted));
            })
        };
        assert_eq!(total(&directory).sent, 1);
        registry.join().unwrap();
        assert_eq!(total(&directory).sent, 1);
    });
}

#[test]
fn of_two_who_waited_for_its_end_one_keeps_the_account() {
    in_full(|| {
        let world = World::with(1, u32::MAX, Overflow::Wait);
        let (directory, mounted) = mounted_in(&world);
        world.post(0, Normal).unwrap();
        Host::of(&world).end();
        assert!(directory.remove(&mounted));
        let other = {
            let (directory, mounted) = (directory.clone(), mounted.clone());
            thread::spawn(move || directory.retire(&mounted))
        };
        let is_first = directory.retire(&mounted);
        assert_ne!(is_first, other.join().unwrap());
        assert_eq!(total(&directory).sent, 1);
        assert!(directory.by_mailbox(mounted.mailbox.id).is_none());
    });
}
