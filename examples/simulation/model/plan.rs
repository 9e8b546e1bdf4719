//! What a seed chooses: subsystems, clients, how it all ends.

use std::time::Duration;

use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Overflow};
use mycelia::supervise::{Backoff, Restart, RestartScope};
use mycelia::test::Rng;

use super::client;
use super::node::Deed;
use super::tasks::Kind;

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
}

#[derive(Debug)]
pub(crate) struct NodePlan {
    pub(crate) name: String,
    pub(crate) parent: Option<String>,
    pub(crate) options: MountOptions,
}

impl Plan {
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
                false => Some(rng.pick(&nodes).name.clone()),
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
            nodes.push(NodePlan {
                name,
                parent,
                options,
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
            99 if self.escalates => Deed::Stop,
            _ => Deed::Quick,
        }
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

fn together(rng: &Rng) -> RestartScope {
    *rng.pick(&[
        RestartScope::OneForOne,
        RestartScope::OneForOne,
        RestartScope::AllForOne,
        RestartScope::RestForOne,
    ])
}
