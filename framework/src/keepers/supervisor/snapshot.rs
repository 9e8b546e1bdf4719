//! Snapshots: what a system is doing, read while it goes on doing it.

use std::sync::Arc;
use std::time::Duration;

use crate::base::sim::{self, Point};
use crate::base::sync::{Ordering, lock};
use crate::books::dead_letters::DeadLetter;
use crate::books::latency::RouteLatency;
use crate::directory::Mounted;
use crate::envelope::pool::PoolStats;
use crate::runtime::shared::Shared;
use crate::thread::stamps::Stamps;
use crate::words::ledger::Ledger;

/// What a system is doing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The system's name.
    pub system: Arc<str>,
    /// Whether latencies are told by stamps that messages share.
    pub stamps: Stamps,
    /// What the strategy in use calls itself.
    pub strategy: &'static str,
    /// Every message of the system, those of unmounted subsystems included.
    pub total: Ledger,
    /// The envelopes.
    pub pool: PoolStats,
    /// Messages that were accepted and not handled, but for those whose asker was told.
    pub dead_letters: u64,
    /// The last of them, the latest last.
    pub last_dead_letters: Vec<DeadLetter>,
    /// The mounted subsystems, by name.
    pub subsystems: Vec<SubsystemSnapshot>,
}

/// What a subsystem is doing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SubsystemSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// The system's thread on which it lives.
    pub thread: usize,
    /// True if it takes no messages any more: it has failed for good and is
    /// [kept](crate::MountOptions::keep_failed), or it is about to end.
    pub is_closed: bool,
    /// Its messages since it was mounted.
    pub ledger: Ledger,
    /// How often it was restarted after a panic.
    pub restarts: u32,
    /// The last error or panic of a handler.
    pub last_failure: Option<Box<str>>,
    /// Messages that it may handle in one turn.
    pub slice: u32,
    /// How long its turns take on average while messages wait, if its slice says so.
    pub slice_time: Option<Duration>,
    /// How long its messages should wait at most, 99 in 100 of them.
    pub wait_goal: Option<Duration>,
    /// Its routes.
    pub routes: Vec<RouteSnapshot>,
}

/// What a route is doing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RouteSnapshot {
    /// The pattern with the name: `api://users/{id}`.
    pub path: Box<str>,
    /// The types of messages that it takes.
    pub messages: Vec<&'static str>,
    /// Latencies; `None` before its first message.
    pub latency: Option<RouteLatency>,
    /// True if the latencies are those of all subsystems of this kind together.
    pub is_shared: bool,
}

impl Snapshot {
    /// The subsystem of that name.
    pub fn subsystem(&self, name: &str) -> Option<&SubsystemSnapshot> {
        self.subsystems.iter().find(|s| &*s.name == name)
    }

    /// The route with that pattern, as `name://pattern`.
    pub fn route(&self, path: &str) -> Option<&RouteSnapshot> {
        self.subsystems
            .iter()
            .flat_map(|subsystem| &subsystem.routes)
            .find(|route| &*route.path == path)
    }

    pub(crate) fn take(shared: &Shared) -> Self {
        let (all, mut total) = shared.directory.all_and_gone();
        let mut subsystems: Vec<SubsystemSnapshot> = all
            .iter()
            .map(|mounted| SubsystemSnapshot::take(mounted))
            .collect();
        for subsystem in &subsystems {
            total.include(subsystem.ledger);
        }
        subsystems.sort_by(|a, b| a.name.cmp(&b.name));
        Snapshot {
            system: shared.name.clone(),
            stamps: shared.stamps,
            strategy: *lock(&shared.strategy),
            total,
            pool: shared.pool.stats(),
            dead_letters: shared.dead_letters.count(),
            last_dead_letters: shared.dead_letters.last(),
            subsystems,
        }
    }
}

impl SubsystemSnapshot {
    fn take(mounted: &Mounted) -> Self {
        let is_shared = mounted.shares_book();
        let routes = mounted
            .map
            .routes
            .iter()
            .enumerate()
            .map(|(at, route)| RouteSnapshot {
                path: format!("{}://{}", mounted.mailbox.name, route.pattern).into(),
                messages: route.takes().into_vec(),
                latency: mounted.read_latency(at as u16),
                is_shared,
            })
            .collect();
        let slice = mounted.slice.get();
        sim::preempt(Point::Keeper);
        SubsystemSnapshot {
            name: mounted.mailbox.name.clone(),
            thread: mounted.thread,
            is_closed: mounted.mailbox.inbox.is_closed(),
            // After the latencies: a message that counts as ended here may be newer than those.
            ledger: mounted.ledger(),
            restarts: mounted.restarts.load(Ordering::Relaxed),
            last_failure: mounted.last_failure(),
            slice: slice.messages(),
            slice_time: slice.time(),
            wait_goal: mounted.wait_goal(),
            routes,
        }
    }
}
