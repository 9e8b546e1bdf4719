//! The registry: the actor that owns the truth about names, routes, and who is whose child.
//!
//! It mounts and unmounts, and is the only writer of the directory that senders resolve in. Why they
//! resolve on the spot and do not send through the registry: a hop through an actor costs many times what
//! a look-up costs (the guide has the figures, in "How a message travels"); and since every envelope goes
//! straight to its mailbox, paths and handles can be mixed without reordering. What it does when subsystems
//! begin, end or fail stands in [`mounting`], [`unmounting`], [`ending`] and [`restarts`].

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod before_stop;
pub(crate) mod demanding;
mod unused;
pub(crate) mod ending;
mod restarts;
pub(crate) mod unmounting;
pub(crate) mod mounting;
pub(crate) mod managing;
mod names;
pub(crate) mod resizing;

use std::sync::{Arc, Weak};

use actix::{Actor, Addr, Context};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::watch;

use crate::base::thread_handle::ThreadHandle;
use crate::directory::Mounted;
use crate::mailbox::orders::Report;
use crate::mailbox::{Mailbox, MailboxId};
use crate::runtime::deadlock::Tree;
use crate::runtime::shared::Shared;
use crate::topics::Topics;
use crate::words::events::Change;
use crate::words::supervision::RestartScope;
use ending::Ended;
use resizing::Replenish;
use unused::OnDemandKinds;

/// How many vacant mailboxes are kept before those that no one needs are looked for.
const VACANT: usize = 64;

/// The registry actor of a system.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    topics: Arc<Topics>,
    /// Who is restarted when a subsystem without a parent is.
    restart_scope: RestartScope,
    threads: Vec<ThreadHandle>,
    /// Subsystems per thread.
    population: Vec<usize>,
    /// Names in between: not yet, or no longer, in the directory.
    moving: FxHashMap<Arc<str>, Moving>,
    /// Mounts that have begun and are not decided.
    mounts: watch::Sender<u32>,
    /// Mailboxes of unmounted subsystems that handles still point to.
    vacant: FxHashMap<Arc<str>, Weak<Mailbox>>,
    /// How many of those there may be before those that no handle points to are forgotten.
    vacant_limit: usize,
    /// Those that are being restarted together.
    restarting: FxHashSet<MailboxId>,
    /// Failures of those, to be looked at afterwards.
    postponed: Vec<Report>,
    /// How more replicas are mounted, by the name that they share.
    replicas: FxHashMap<Arc<str>, Replenish>,
    /// What is mounted when it is first sent to.
    on_demand: OnDemandKinds,
    /// True once the end of all has begun.
    ending: watch::Sender<bool>,
    /// Tells how the end of all went, once it has begun.
    ended: Option<watch::Receiver<Option<Ended>>>,
    next_mount: u64,
}

enum Moving {
    /// The mount of that number.
    In(u64),
    Out(Leaving),
}

/// Subsystems that end together.
#[derive(Clone)]
struct Leaving {
    /// Tells when it is over.
    left: watch::Receiver<()>,
    tree: Arc<Tree>,
}

impl Registry {
    pub(crate) fn start_on_this_thread(
        shared: Arc<Shared>,
        topics: Arc<Topics>,
        restart_scope: RestartScope,
        threads: Vec<ThreadHandle>,
    ) -> Addr<Self> {
        let registry = Registry {
            topics,
            restart_scope,
            population: vec![0; threads.len()],
            threads,
            moving: FxHashMap::default(),
            mounts: watch::Sender::new(0),
            vacant: FxHashMap::default(),
            vacant_limit: VACANT,
            restarting: FxHashSet::default(),
            postponed: Vec::new(),
            replicas: FxHashMap::default(),
            on_demand: OnDemandKinds::default(),
            ending: watch::Sender::new(false),
            ended: None,
            next_mount: 1,
            shared: shared.clone(),
        };
        let registry = registry.start();
        let _ = shared.reports.set(registry.downgrade().recipient());
        let bell = registry.downgrade();
        shared.directory.demand.set_bell(move || {
            if let Some(registry) = bell.upgrade() {
                registry.do_send(demanding::LookAtDemand);
            }
        });
        registry
    }

    /// The mailbox for a name: the one that handles still point to, or a new one.
    fn mailbox(&mut self, name: Arc<str>) -> Arc<Mailbox> {
        // Not looked for where there is none: many may be mounted at once.
        let vacant = (!self.vacant.is_empty()).then(|| self.vacant.remove(&name));
        if let Some(mailbox) = vacant.flatten().and_then(|mailbox| mailbox.upgrade()) {
            return mailbox;
        }
        let directory = &self.shared.directory;
        // Its senders wait there.
        if directory.demand.is_awaited()
            && let Some(awaited) = directory.demand.mailbox_of(&name)
        {
            return awaited;
        }
        let id = directory.new_mailbox_id();
        let deferred = self.shared.pool.deferred.clone();
        Arc::new(Mailbox::new(id, name, deferred))
    }

    /// Lets no path and no topic lead to a subsystem any more; false if no path did.
    fn remove(&self, mounted: &Mounted) -> bool {
        let was_there = self.shared.directory.remove(mounted);
        self.topics.ended(mounted.number);
        was_there
    }

    /// A subsystem is gone: its name can be used again. Anyone who waited for its end may say so; the first
    /// counts.
    fn vacate(&mut self, mounted: &Mounted) {
        if !self.shared.directory.retire(mounted) {
            return;
        }
        // What it has subscribed to while it was being mounted.
        self.topics.ended(mounted.number);
        let name = &mounted.mailbox.name;
        self.moving.remove(name);
        if mounted.group().is_none() {
            let population = &mut self.population[mounted.thread];
            *population = population.saturating_sub(1);
        }
        if let Some(parent) = mounted.parent.as_ref().and_then(Weak::upgrade) {
            parent.disown(mounted);
            if let Some(group) = parent.group() {
                group.retire(mounted.ledger());
            }
        }
        if self.vacant.len() > self.vacant_limit {
            self.vacant.retain(|_, mailbox| mailbox.strong_count() > 0);
            // When many leave at once, all of them are not gone through for each.
            self.vacant_limit = VACANT.max(self.vacant.len().saturating_mul(2));
        }
        self.vacant
            .insert(name.clone(), Arc::downgrade(&mounted.mailbox));
        self.tell_end(mounted);
        if mounted.group().is_some() {
            self.replicas.remove(name);
        }
        if mounted.is_on_demand() {
            self.on_demand.vacated(mounted);
        }
        self.shared.directory.demand.want_again(name);
    }

    /// Tells that a subsystem has ended, if it ever stood and that is not told yet.
    fn tell_end(&self, mounted: &Mounted) {
        if let Some(reason) = mounted.take_end() {
            let change = Change::Ended(reason);
            self.shared.events.tell(&mounted.mailbox.name, change);
        }
    }

    /// True if it does not stand yet, or who mounts it has not been told.
    fn is_moving_in(&self, mounted: &Mounted) -> bool {
        let moving = self.moving.get(&mounted.mailbox.name);
        matches!(moving, Some(Moving::In(number)) if *number == mounted.number)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.directory.demand.shut();
    }
}

impl Actor for Registry {
    type Context = Context<Self>;
}
