//! What a seed chooses: subsystems, clients, how it all ends.

use std::sync::Arc;
use std::time::Duration;

use mycelia::Replicas;
use mycelia::error::MountError;
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Overflow};
use mycelia::supervise::{Backoff, Restart, RestartScope};
use mycelia_test::Rng;

use super::book::Book;
use super::client;
use super::faults::Faults;
use super::later::{Fate, Way};
use super::node;
use super::tasks::Kind;
use super::work::{Deed, Names};

/// One simulation, as its seed has it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) pool: usize,
    pub(crate) together: RestartScope,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) clients: u32,
    pub(crate) actions: u32,
    /// Subsystems are mounted and unmounted while messages flow.
    pub(crate) moves: u32,
    /// Messages may be kept for later.
    pub(crate) keeps: bool,
    /// Subsystems have timers and streams.
    pub(crate) tasks: bool,
    /// No mailbox drops what it has no room for.
    pub(crate) nothing_is_dropped: bool,
    /// Handlers may fail too often.
    pub(crate) escalates: bool,
    /// The system is stopped while messages flow, within this time; else when nothing goes on.
    pub(crate) stops_early: Option<Duration>,
    /// Of a thousand points of user code, so many misbehave.
    pub(crate) faults: u64,
    /// So many systems come and go beside it.
    pub(crate) beside: u32,
    /// It is one of those.
    is_beside: bool,
}

#[derive(Debug)]
pub(crate) struct NodePlan {
    pub(crate) name: String,
    pub(crate) parent: Option<String>,
    pub(crate) options: MountOptions,
    /// How many it is, if several share its name.
    replicas: Option<(u32, Replicas)>,
}

impl NodePlan {
    /// Mounts it.
    pub(crate) async fn mount(&self, system: &System, book: &Arc<Book>) -> Result<(), MountError> {
        let (options, factory) = (self.options.clone(), node::factory(book));
        match &self.replicas {
            Some((_, replicas)) => {
                let mount = system.mount_replicas_with(replicas.clone(), options, factory);
                mount.await
            }
            None => system.mount_with(options, factory).await,
        }
    }

    /// Who may be a parent: replicas are one by one.
    fn one(&self) -> String {
        match self.replicas {
            Some(_) => format!("{}/0", self.name),
            None => self.name.clone(),
        }
    }
}

impl Plan {
    /// A smaller system beside another one.
    pub(crate) fn beside(rng: &Rng, threads: usize) -> Self {
        let plan = Plan::new(rng, threads);
        Plan {
            clients: 1 + rng.below(2),
            actions: 2 + rng.below(10),
            moves: plan.moves.min(1),
            // It ends when its time has come, whatever goes on.
            stops_early: Some(Duration::from_millis(rng.below(20).into())),
            beside: 0,
            is_beside: true,
            ..plan
        }
    }

    pub(crate) fn names(&self) -> Names {
        let targets: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        let mut all = targets.clone();
        for node in &self.nodes {
            let count = node.replicas.as_ref().map_or(0, |(count, _)| *count);
            all.extend((0..count).map(|at| format!("{}/{at}", node.name)));
        }
        Names { targets, all }
    }

    pub(crate) fn faults(&self, rng: &Rng) -> Faults {
        // Forgotten asks are to leave room for all others.
        let may_forget = if self.pool >= 16 { 2 } else { 0 };
        Faults::new(rng.next_u64(), self.faults, may_forget)
    }

    pub(crate) fn new(rng: &Rng, threads: usize) -> Self {
        let keeps = rng.chance(0.25);
        let escalates = rng.chance(0.15);
        let pool = match keeps {
            // What is kept must leave room for what lets it go.
            true => 256,
            false => *rng.pick(&[3, 5, 8, 16, 64, 256]),
        };
        let tasks = rng.chance(0.5);
        let moves = if rng.chance(0.4) { rng.below(5) } else { 0 };
        // Where nothing is dropped, all that timers and streams send must arrive.
        let nothing_is_dropped = rng.chance(0.5);
        let overflows = match nothing_is_dropped {
            true => [
                Overflow::Wait,
                Overflow::Wait,
                Overflow::Reject,
                Overflow::Reject,
            ],
            false => client::OVERFLOWS,
        };
        let mut nodes: Vec<NodePlan> = Vec::new();
        for number in 0..2 + rng.below(4) {
            let parent = match nodes.is_empty() || rng.chance(0.6) {
                true => None,
                false => Some(rng.pick(&nodes).one()),
            };
            let own_name = format!("n{number}");
            let mut options = MountOptions::new()
                .name(own_name.clone())
                .thread(rng.below(threads as u32) as usize)
                .overflow(*rng.pick(&overflows))
                .restart_scope(together(rng))
                .restart_on_error(rng.chance(0.3))
                .restart(*rng.pick(&[
                    Restart::Transient,
                    Restart::Transient,
                    Restart::Permanent,
                    Restart::Never,
                ]));
            if !keeps && rng.chance(0.6) {
                options = options.capacity(*rng.pick(&[1, 2, 4, 16]));
            }
            if rng.chance(0.3) {
                options = options.max_spawned(1 + rng.below(3));
            }
            if escalates {
                options = options.intensity(rng.below(3), Duration::from_millis(100));
            }
            if rng.chance(0.5) {
                let first = Duration::from_millis(1 + u64::from(rng.below(10)));
                options = options.backoff(Backoff::new(first, first * 8).jitter(0.5));
            }
            let name = match &parent {
                Some(parent) => format!("{parent}/{own_name}"),
                None => own_name,
            };
            if let Some(parent) = &parent {
                options = options.parent(parent.clone());
            }
            if rng.chance(0.5) {
                options = options.restart_scope(together(rng));
            }
            nodes.push(NodePlan {
                name,
                parent,
                options,
                replicas: rng.chance(0.15).then(|| replicas(rng)),
            });
        }
        Plan {
            pool,
            together: together(rng),
            nodes,
            clients: 1 + rng.below(4),
            actions: 5 + rng.below(30),
            moves,
            keeps,
            tasks,
            nothing_is_dropped: nothing_is_dropped && moves == 0,
            escalates,
            stops_early: rng
                .chance(0.3)
                .then(|| Duration::from_millis(rng.below(40).into())),
            faults: *rng.pick(&[0, 0, 0, 3, 10, 40]),
            beside: if rng.chance(0.15) {
                1 + rng.below(3)
            } else {
                0
            },
            is_beside: false,
        }
    }

    /// What a handler is to do.
    pub(crate) fn deed(&self, rng: &Rng) -> Deed {
        let to = rng.below(self.nodes.len() as u32) as u8;
        match rng.below(100) {
            0..12 if self.tasks => Deed::Start(kind(rng)),
            12..15 if self.tasks => Deed::Cancel,
            15..18 if self.keeps => Deed::Shut,
            18..24 if self.keeps => Deed::Open,
            24..32 if self.keeps => Deed::KeepWhileShut,
            0..40 => Deed::Quick,
            40..50 => Deed::Work(1 + rng.below(300)),
            50..60 => Deed::Wait(rng.below(5)),
            60..64 => Deed::Fail,
            64..68 => Deed::Panic,
            68..70 => Deed::PanicLate(rng.below(5)),
            70..77 => Deed::Tell(to),
            77..82 => Deed::TryTell(to),
            82..88 => Deed::Ask(to),
            88..93 => Deed::AskWithin(to, 1 + rng.below(10)),
            93..97 if self.keeps => Deed::Keep,
            97 if self.faults > 0 => Deed::Forget(to),
            98..100 if self.escalates || self.faults > 0 => Deed::Stop,
            _ => Deed::Quick,
        }
    }
}

impl Plan {
    /// What becomes of a reply that comes later.
    pub(crate) fn fate(&self, rng: &Rng) -> Fate {
        let to = rng.below(self.nodes.len() as u32) as u8;
        // What never ends comes to its end with a stop only: an unmount waits for it, and so may a client for its room.
        let ends = self.stops_early.is_some() && self.moves == 0 && !self.is_beside;
        match rng.below(20) {
            0..3 => Fate::Now(way(rng)),
            3..8 => Fate::Spawned(rng.below(5), way(rng)),
            8 => Fate::SpawnedTwice(way(rng)),
            9..12 => Fate::Outside,
            // Who is to give it may wait for the room that its message takes up.
            12..14 if self.keeps => Fate::Hand(to),
            14..16 => Fate::Forward(to, 1 + rng.below(10)),
            // It waits for room, which others like it may have.
            16 if self.keeps => Fate::HandBack(rng.below(3)),
            17..19 if self.keeps => Fate::Keep,
            17 if ends => Fate::Forget,
            18 if ends => Fate::Never,
            _ => Fate::Spawned(0, Way::Answer),
        }
    }
}

/// How a reply ends.
pub(crate) fn way(rng: &Rng) -> Way {
    match rng.below(8) {
        0 => Way::Fail,
        1 => Way::Drop,
        2 => Way::Panic,
        _ => Way::Answer,
    }
}

/// A timer or a stream.
fn kind(rng: &Rng) -> Kind {
    let period = 1 + rng.below(5);
    match rng.below(4) {
        0 => Kind::After(rng.below(20)),
        1 => Kind::Every(period, 1 + rng.below(6), MissedTick::Skip),
        2 => Kind::Every(period, 1 + rng.below(6), MissedTick::Burst),
        _ => Kind::Stream(1 + rng.below(12)),
    }
}

fn replicas(rng: &Rng) -> (u32, Replicas) {
    let count = 1 + rng.below(3);
    let several = count as usize;
    let replicas = match rng.below(3) {
        0 => Replicas::round_robin(several),
        1 => Replicas::least_loaded(several),
        _ => Replicas::by_capture(several, "slot"),
    };
    (count, replicas)
}

fn together(rng: &Rng) -> RestartScope {
    *rng.pick(&[
        RestartScope::OneForOne,
        RestartScope::OneForOne,
        RestartScope::AllForOne,
        RestartScope::RestForOne,
    ])
}
