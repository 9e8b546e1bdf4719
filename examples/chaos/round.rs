//! Rounds: each has a system of its own, a calm one or one under attack, and the same load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use examples_lib::chance::Die;
use examples_lib::program::{self, spawn};
use examples_lib::progress::Progress;
use mycelia::observe::Ledger;
use mycelia::prelude::*;

use crate::abandoned::{self, Abandoned};
use crate::attacker::{Attacker, Attacks};
use crate::log::{Account, Log};
use crate::scene::{self, NEIGHBOURS, PLACES, World};
use crate::senders::{Plan, Sender, Sent};

/// With nothing accepted for so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a round came to.
pub(crate) struct Outcome {
    pub(crate) is_chaos: bool,
    /// Messages that were to be sent.
    pub(crate) planned: u64,
    /// Messages of the senders that were accepted.
    pub(crate) sent: u64,
    pub(crate) refused: u64,
    pub(crate) wrong_replies: u64,
    pub(crate) took: Duration,
    /// The program's own account.
    pub(crate) account: Account,
    /// Messages that the neighbours' handlers began with.
    pub(crate) begun_by_neighbours: u64,
    /// The first thing that was wrong by it.
    pub(crate) example: Option<String>,
    /// The framework's.
    pub(crate) ledger: Ledger,
    pub(crate) dead_letters: u64,
    pub(crate) restarts: u64,
    pub(crate) attacks: Attacks,
    /// Hooks, factories, timers and values that panicked.
    pub(crate) faults: u64,
    /// Systems that were dropped while they worked.
    pub(crate) abandoned: Abandoned,
    /// Asks that were forgotten, and envelopes that did not come home.
    pub(crate) forgotten: u64,
    pub(crate) kept: u64,
    /// The neighbours' waits: their number, median and 99th percentile, the worse of the two each.
    pub(crate) neighbours: Waits,
    /// What was wrong with the stop.
    pub(crate) stop: Option<String>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Waits {
    pub(crate) count: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
}

/// Carries out a round.
///
/// # Errors
/// The system does not start, or the round hangs: the text says where.
pub(crate) async fn run(title: String, plan: Plan, threads: usize) -> anyhow::Result<Outcome> {
    let world = Arc::new(World::default());
    let system = scene::start(threads, &world).await?;
    let plan = Arc::new(plan);
    // One attack per millisecond at most; a round that takes longer than planned has fewer.
    let attacks = plan.messages.div_ceil(plan.rate) * 1000 * u64::from(plan.is_chaos);
    let log = Arc::new(Log::new(plan.messages + attacks));
    let sent = Arc::new(Sent::default());
    let progress = {
        let (sent, messages) = (sent.clone(), plan.messages as f64);
        Progress::show(title, move || {
            sent.accepted.load(Ordering::Relaxed) as f64 / messages
        })
    };
    let senders: Vec<_> = (0..plan.senders)
        .map(|rank| Sender::new(&system, &plan, &log, &sent, rank))
        .collect::<anyhow::Result<_>>()?;
    let begun = Instant::now();
    let senders: Vec<_> = senders
        .into_iter()
        .map(|sender| spawn("chaos-sender", sender.send()))
        .collect::<anyhow::Result<_>>()?;
    let ends = Arc::new(AtomicBool::new(false));
    world.faults.turn(plan.is_chaos);
    let abandoned = match plan.is_chaos {
        false => None,
        true => Some(spawn(
            "chaos-abandoned",
            abandoned::come_and_go(ends.clone()),
        )?),
    };
    let attacker = match plan.is_chaos {
        false => None,
        true => {
            let attacker = Attacker {
                system: system.clone(),
                world: world.clone(),
                log: log.clone(),
                die: Die::new(plan.seed),
                first: plan.messages,
                most: attacks,
            };
            Some(spawn("chaos-attacker", attacker.attack(ends.clone()))?)
        }
    };

    let accepted = || sent.accepted.load(Ordering::Relaxed);
    for sender in senders {
        join("a sender", sender, &system, accepted).await?;
    }
    let took = begun.elapsed();
    ends.store(true, Ordering::Relaxed);
    let attacks = match attacker {
        Some(attacker) => join("the attacker", attacker, &system, accepted).await?,
        None => Attacks::default(),
    };
    world.faults.turn(false);
    let abandoned = match abandoned {
        Some(abandoned) => join("a system that was dropped", abandoned, &system, accepted).await?,
        None => Abandoned::default(),
    };
    quiet(&system).await?;
    drop(progress);

    let now = system.snapshot();
    let (ledger, stop) = program::stop(&system).await;
    let account = log.account();
    let kept = system.snapshot().pool.in_flight as u64;
    Ok(Outcome {
        is_chaos: plan.is_chaos,
        planned: plan.messages,
        sent: accepted(),
        refused: sent.refused.load(Ordering::Relaxed),
        wrong_replies: sent.wrong_replies.load(Ordering::Relaxed),
        took,
        begun_by_neighbours: log.begun_by_neighbours(),
        example: log.example(),
        account,
        ledger,
        dead_letters: now.dead_letters,
        restarts: world.restarts.load(Ordering::Relaxed),
        attacks,
        faults: world.faults.struck.load(Ordering::Relaxed),
        abandoned,
        forgotten: sent.forgotten.load(Ordering::Relaxed),
        kept,
        neighbours: waits(&now),
        stop,
    })
}

/// Waits for a thread's end, for as long as messages go on being accepted.
async fn join<T>(
    who: &str,
    thread: JoinHandle<T>,
    system: &System,
    accepted: impl Fn() -> u64,
) -> anyhow::Result<T> {
    let (mut last, mut since) = (accepted(), Instant::now());
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if accepted() != last {
            (last, since) = (accepted(), Instant::now());
        }
        if since.elapsed() > PATIENCE {
            anyhow::bail!("{who} hangs\n{}", state(system));
        }
    }
    Ok(program::join(thread))
}

/// Waits until every accepted message has ended.
async fn quiet(system: &System) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !system.snapshot().total.is_quiet() {
        anyhow::ensure!(
            begun.elapsed() < PATIENCE,
            "messages wait forever\n{}",
            state(system)
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// What every subsystem is doing, for who has to find out why it hangs.
fn state(system: &System) -> String {
    let now = system.snapshot();
    let mut text = format!("{:?}\n{:?}", now.total, now.pool);
    for subsystem in &now.subsystems {
        let (name, ledger) = (&subsystem.name, &subsystem.ledger);
        let closed = if subsystem.is_closed { " closed" } else { "" };
        text += &format!("\n{name}{closed}: {ledger:?}");
    }
    text
}

fn waits(now: &mycelia::observe::Snapshot) -> Waits {
    let mut all = Waits::default();
    let routes = ["job", "later"].map(|route| {
        PLACES[..NEIGHBOURS]
            .iter()
            .map(move |place| format!("{}://{route}/{{id}}", place.name))
    });
    for route in routes.into_iter().flatten() {
        let route = now.route(&route);
        let Some(latency) = route.and_then(|route| route.latency) else {
            continue;
        };
        all.count += latency.count;
        all.p50_ns = all.p50_ns.max(latency.wait.p50_ns);
        all.p99_ns = all.p99_ns.max(latency.wait.p99_ns);
    }
    all
}

/// The median of some figures; 0 of none.
pub(crate) fn median(figures: impl Iterator<Item = u64>) -> u64 {
    let mut all: Vec<u64> = figures.collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or(0)
}

impl Outcome {
    pub(crate) fn name(&self) -> &'static str {
        if self.is_chaos { "chaos" } else { "calm" }
    }
}
