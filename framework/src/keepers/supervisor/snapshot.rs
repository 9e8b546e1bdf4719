//! Snapshots: what a system is doing, read while it goes on doing it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::sim::{self, Point};
use crate::base::sync::{Ordering, lock};
use crate::books::dead_letters::DeadLetter;
use crate::books::latency::{self, LatencySummary, RouteBuckets, RouteLatency};
use crate::books::topics::TopicsSnapshot;
use crate::directory::Mounted;
use crate::envelope::pool::PoolStats;
use crate::route::RouteMap;
use crate::runtime::shared::Shared;
use crate::thread::stamps::Stamps;
use crate::topics::Topics;
use crate::words::ledger::Ledger;
use crate::words::stuck::Stuck;

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
    /// Latency histograms by kind, that is by Rust type and route, in the order of the types' names. Every
    /// message for which a handler was begun is in one of them, and in one only. What unmounted subsystems
    /// recorded stays in; but a bridged actor's goes with its mount.
    pub kinds: Vec<KindSnapshot>,
    /// What was published.
    pub topics: TopicsSnapshot,
}

/// What all subsystems of one Rust type have done together, on all threads.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KindSnapshot {
    /// The type's name, as [`std::any::type_name`] tells it.
    pub type_name: &'static str,
    /// Its routes, in the order of their patterns.
    pub routes: Vec<KindRouteSnapshot>,
}

/// What a route has done in all subsystems of one Rust type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KindRouteSnapshot {
    /// The pattern: `users/{id}`.
    pub pattern: Arc<str>,
    /// Latencies; `None` before its first message.
    pub latency: Option<RouteLatency>,
    /// The same as cumulative buckets, for metrics systems.
    pub buckets: Option<RouteBuckets>,
}

/// What a subsystem is doing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SubsystemSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its Rust type, as [`std::any::type_name`] tells it: the [kind](Snapshot::kinds) that it is of.
    pub type_name: &'static str,
    /// The system's thread on which it lives.
    pub thread: usize,
    /// True if it takes no messages any more: it has failed for good and is
    /// [kept](crate::MountOptions::keep_failed), or it is about to end.
    pub is_closed: bool,
    /// True if it is [paused](crate::System::pause).
    pub is_paused: bool,
    /// Since when its handler has not returned, if that is longer than
    /// [`stuck_after`](crate::Builder::stuck_after).
    pub stuck: Option<Stuck>,
    /// Its messages since it was mounted.
    pub ledger: Ledger,
    /// How often it was restarted after a panic.
    pub restarts: u32,
    /// Futures that it has running beside its mailbox, or waiting for their turn to.
    pub spawned: u32,
    /// The last error or panic of a handler.
    pub last_failure: Option<Box<str>>,
    /// Messages that it may handle in one turn.
    pub slice: u32,
    /// How long its turns take on average while messages wait, if its slice says so.
    pub slice_time: Option<Duration>,
    /// How long its messages should wait at most, 99 in 100 of them.
    pub wait_goal: Option<Duration>,
    /// How long its messages have waited since it was mounted: from sent until the handler began.
    pub wait: LatencySummary,
    /// How long their handlers took, with their `.await`s.
    pub service: LatencySummary,
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
    /// Latencies of this subsystem alone; `None` before its first message, and if it has no
    /// [histograms of its own](crate::MountOptions::own_histograms). Its messages are among those of its
    /// [kind](Snapshot::kinds) in any case.
    pub latency: Option<RouteLatency>,
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

    /// What all subsystems of a Rust type have done together, if any was ever mounted.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # #[derive(Message)] struct Show;
    /// # #[derive(Subsystem, Default)] struct Shop;
    /// # #[routes] impl Shop { #[route("items/{id}")] fn show(&mut self, _: Show, _: Path<u64>) {} }
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let system = System::builder().start().await?;
    /// for name in ["books", "toys"] {
    ///     system.mount_as(name, Shop::default).await?;
    ///     system.ask(&format!("{name}://items/7"), Show).await?;
    /// }
    /// let now = system.snapshot();
    /// let shops = now.kind::<Shop>().expect("some are mounted");
    /// let show = shops.latency("items/{id}").expect("there were messages");
    /// assert_eq!(show.count, 2);
    /// println!("99 in 100 waited at most {} ns", show.wait.p99_ns);
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub fn kind<S: 'static>(&self) -> Option<&KindSnapshot> {
        let type_name = std::any::type_name::<S>();
        self.kinds.iter().find(|kind| kind.type_name == type_name)
    }

    pub(crate) fn take(shared: &Shared, topics: &Topics) -> Self {
        // Before the ledgers too: a copy that was accepted counts as sent there.
        let topics = topics.snapshot();
        // Before the ledgers: what is recorded here counts as sent there.
        let kinds = shared.kinds.all();
        let kinds = kinds.chunk_by(|one, next| one.type_name == next.type_name);
        let kinds = kinds.map(KindSnapshot::take).collect();
        let (all, mut total) = shared.directory.all_and_gone();
        let mut subsystems: Vec<SubsystemSnapshot> = all
            .iter()
            .map(|mounted| SubsystemSnapshot::take(mounted, shared))
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
            kinds,
            topics,
        }
    }
}

impl KindSnapshot {
    /// The latencies of the route with that pattern, if it has had messages.
    pub fn latency(&self, pattern: &str) -> Option<RouteLatency> {
        let mut routes = self.routes.iter();
        routes.find(|route| &*route.pattern == pattern)?.latency
    }

    /// Of one type, whose route tables may be several: a bridged actor has one for each mount.
    fn take(maps: &[Arc<RouteMap>]) -> Self {
        let mut routes: BTreeMap<&Arc<str>, Vec<_>> = BTreeMap::new();
        for map in maps {
            for (at, route) in map.routes.iter().enumerate() {
                let places = map.books().iter().map(|book| (book, at as u16));
                routes.entry(&route.text).or_default().extend(places);
            }
        }
        let routes = routes.into_iter().map(|(pattern, places)| {
            let (latency, buckets) = latency::read(places.into_iter()).unzip();
            KindRouteSnapshot {
                pattern: pattern.clone(),
                latency,
                buckets,
            }
        });
        KindSnapshot {
            type_name: maps.first().map_or("", |map| map.type_name),
            routes: routes.collect(),
        }
    }
}

impl SubsystemSnapshot {
    fn take(mounted: &Mounted, shared: &Shared) -> Self {
        let routes = mounted
            .map
            .routes
            .iter()
            .enumerate()
            .map(|(at, route)| RouteSnapshot {
                path: route.path(&mounted.mailbox.name),
                messages: route.takes().into_vec(),
                latency: mounted.read_latency(at as u16),
            })
            .collect();
        let (wait, service) = mounted.summaries();
        let slice = mounted.slice.get();
        sim::preempt(Point::Keeper);
        SubsystemSnapshot {
            name: mounted.mailbox.name.clone(),
            type_name: mounted.map.type_name,
            thread: mounted.thread,
            is_paused: mounted.is_paused(),
            stuck: mounted.stuck(&shared.clock),
            is_closed: mounted.mailbox.inbox.is_closed(),
            // After the latencies: a message that counts as ended here may be newer than those.
            ledger: mounted.ledger(),
            restarts: mounted.restarts.load(Ordering::Relaxed),
            spawned: mounted.spawned(),
            last_failure: mounted.last_failure(),
            slice: slice.messages(),
            slice_time: slice.time(),
            wait_goal: mounted.wait_goal(),
            wait,
            service,
            routes,
        }
    }
}
