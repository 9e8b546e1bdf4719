//! The directory: what is mounted, by name.
//!
//! The registry writes it, senders read it. It is a `DashMap`; what a thread has looked up there it
//! remembers until that is unmounted: see [`path_cache`](crate::send::path_cache).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub(crate) mod life;
#[cfg(not(loom))]
pub(crate) mod resized;
#[cfg(not(loom))]
pub(crate) mod replicas;
#[cfg(not(loom))]
pub(crate) mod spawning;
#[cfg(not(loom))]
pub(crate) mod work;
#[cfg(not(loom))]
mod mounted;
#[cfg(not(loom))]
mod below;
#[cfg(not(loom))]
pub(crate) mod demand;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

#[cfg(loom)]
use crate::mounted;
#[cfg(not(loom))]
pub(crate) use below::Below;
pub(crate) use mounted::Mounted;
#[cfg(not(loom))]
pub(crate) use mounted::Placing;

use crate::base::sync::{
    AtomicU32, AtomicU64, Map, Mutex, Ordering, RwLock, RwLockReadGuard, RwLockWriteGuard, lock,
};
use crate::mailbox::MailboxId;
use crate::words::ledger::Ledger;
use life::LifeState;

/// What is mounted in a system.
pub(crate) struct Directory {
    mounted: Map<Arc<str>, Arc<Mounted>>,
    /// The same, but for names of several, to go through: iterating over a `DashMap` locks and allocates
    /// per shard.
    roster: RwLock<Vec<Arc<Mounted>>>,
    /// All that have a host, by the number of their mailbox.
    by_mailbox: Map<MailboxId, Arc<Mounted>>,
    epoch: AtomicU64,
    /// The last number that a mailbox was given.
    last_mailbox: AtomicU32,
    /// What is mounted when it is first sent to.
    #[cfg(not(loom))]
    pub(crate) demand: demand::Demand,
    gone: Mutex<Gone>,
}

/// Subsystems to which no path leads any more.
#[derive(Default)]
struct Gone {
    /// Those that still end the messages that they have accepted, by their number.
    leaving: BTreeMap<u64, Arc<Mounted>>,
    /// The account of the others.
    retired: Ledger,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Directory {
            mounted: Map::default(),
            roster: RwLock::default(),
            by_mailbox: Map::default(),
            epoch: AtomicU64::new(1),
            last_mailbox: AtomicU32::new(0),
            #[cfg(not(loom))]
            demand: demand::Demand::default(),
            gone: Mutex::default(),
        }
    }

    /// A number for a mailbox. After four billion names they come round: one that still has a subsystem is not
    /// given again, nor is 0, which is no one's.
    pub(crate) fn new_mailbox_id(&self) -> MailboxId {
        loop {
            let id = self
                .last_mailbox
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_add(1);
            if id != 0 && self.by_mailbox(id).is_none() {
                return id;
            }
        }
    }

    /// Lets a subsystem be found by its mailbox. Before its host stands: handles that were kept over an
    /// unmount reach it from then on, and its handlers may send.
    pub(crate) fn introduce(&self, mounted: Arc<Mounted>) {
        self.by_mailbox.insert(mounted.mailbox.id, mounted);
    }

    /// The subsystem with that mailbox.
    pub(crate) fn by_mailbox(&self, mailbox: MailboxId) -> Option<Arc<Mounted>> {
        self.by_mailbox.get(&mailbox).map(|mounted| mounted.clone())
    }

    /// Lets paths lead to them, each under its name.
    pub(crate) fn insert(&self, all: Vec<(Arc<str>, Arc<Mounted>)>) {
        let count = all.len() as u64;
        let mut hosts = Vec::with_capacity(all.len());
        for (name, mounted) in all {
            if mounted.group().is_none() {
                hosts.push(mounted.clone());
            }
            self.mounted.insert(name, mounted);
        }
        let mut roster = self.roster_mut();
        for (at, mounted) in (roster.len()..).zip(&hosts) {
            mounted.roster_at.store(at as u32, Ordering::Relaxed);
        }
        roster.append(&mut hosts);
        drop(roster);
        // Release: who sees the new epoch finds the new entries.
        self.epoch.fetch_add(count, Ordering::Release);
    }

    /// Lets no path lead to a subsystem any more; it counts as leaving until it is retired. False if none
    /// did: its name may be another's by now.
    pub(crate) fn remove(&self, mounted: &Mounted) -> bool {
        // Held across both lists: anyone who adds them up finds each subsystem once.
        let mut gone = lock(&self.gone);
        let is_it = |_: &Arc<str>, one: &Arc<Mounted>| std::ptr::eq(one.family(), mounted);
        let Some((_, mounted)) = self.mounted.remove_if(&mounted.mailbox.name, is_it) else {
            return false;
        };
        mounted.life.end_at(LifeState::Gone);
        if mounted.group().is_none() {
            let mut roster = self.roster_mut();
            let at = mounted.roster_at.load(Ordering::Relaxed) as usize;
            if roster.get(at).is_some_and(|one| Arc::ptr_eq(one, &mounted)) {
                roster.swap_remove(at);
                if let Some(moved) = roster.get(at) {
                    moved.roster_at.store(at as u32, Ordering::Relaxed);
                }
            }
            drop(roster);
            gone.leaving.insert(mounted.number, mounted);
        }
        drop(gone);
        self.epoch.fetch_add(1, Ordering::Release);
        true
    }

    /// Has paths lead to one name for several in place of another one, which goes on to be the parent of those.
    /// False if none led there.
    #[cfg(not(loom))]
    pub(crate) fn replace(&self, before: &Mounted, after: Arc<Mounted>) -> bool {
        match self.mounted.get_mut(&before.mailbox.name) {
            Some(mut known) if std::ptr::eq(&**known, before) => *known = after,
            _ => return false,
        }
        before.life.replace();
        self.epoch.fetch_add(1, Ordering::Release);
        true
    }

    /// Keeps the account of a subsystem that is gone, after its last message has ended. False if that is
    /// done already: several may have waited for its end.
    pub(crate) fn retire(&self, mounted: &Mounted) -> bool {
        if !mounted.life.end_at(LifeState::Retired) {
            return false;
        }
        self.by_mailbox.remove(&mounted.mailbox.id);
        let mut gone = lock(&self.gone);
        gone.leaving.remove(&mounted.number);
        if mounted.group().is_none() {
            gone.retired.include(mounted.ledger());
        }
        true
    }

    /// All that is mounted, and the account of all that is not any more.
    pub(crate) fn all_and_gone(&self) -> (Vec<Arc<Mounted>>, Ledger) {
        let gone = lock(&self.gone);
        let mut ledger = gone.retired;
        for mounted in gone.leaving.values() {
            ledger.include(mounted.ledger());
        }
        (self.all(), ledger)
    }

    /// All that still has, or may get, messages: what is being mounted, is mounted, or is leaving; in the
    /// order in which they were started.
    pub(crate) fn all_alive(&self) -> Vec<Arc<Mounted>> {
        let mut all: Vec<_> = self.by_mailbox.iter().map(|one| one.clone()).collect();
        all.sort_unstable_by_key(|one| one.number);
        all
    }

    fn roster(&self) -> RwLockReadGuard<'_, Vec<Arc<Mounted>>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn roster_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Mounted>>> {
        self.roster.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts mounts and unmounts.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Mounted>> {
        self.mounted.get(name).map(|mounted| mounted.clone())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.mounted.get(name).is_some()
    }

    pub(crate) fn name_of(&self, mailbox: MailboxId) -> Option<Arc<str>> {
        let mounted = self.by_mailbox.get(&mailbox)?;
        Some(mounted.mailbox.name.clone())
    }

    /// The names of those who wait for each other: `a -> b -> a`.
    pub(crate) fn names_of(&self, circle: &[MailboxId]) -> Box<str> {
        let name_of = |mailbox: &MailboxId| self.name_of(*mailbox).unwrap_or_else(|| "?".into());
        let names: Vec<Arc<str>> = circle.iter().map(name_of).collect();
        names.join(" -> ").into()
    }

    /// Calls `f` with each that is mounted, in no order.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Mounted)) {
        for mounted in self.roster().iter() {
            f(mounted);
        }
    }

    /// All that is mounted, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Mounted>> {
        self.roster().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.mounted.len()
    }
}
