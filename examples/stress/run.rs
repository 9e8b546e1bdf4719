//! Runs: a plan is carried out with a system of its own, so that ledger, pool and latencies are
//! those of this run alone.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::Context;
use mycelia::error::StopError;
use mycelia::prelude::*;
use mycelia::schedule::{Adaptive, LoadBased, RoundRobin, Weighted};

use crate::outcome::{Ends, Outcome};
use crate::pace::Pace;
use crate::plan::{Plan, StrategyName};
use crate::progress::Progress;
use crate::senders::{Crew, Expected, checksums};
use crate::subsystems::{Api, Calls, Db};
use crate::target::{QUERY, USERS};

/// Carries out a plan.
///
/// # Errors
/// The system does not start, a subsystem is not mounted, or a thread is not given. What goes wrong
/// with messages is part of the outcome.
pub(crate) async fn run(plan: Plan, interrupted: &'static AtomicBool) -> anyhow::Result<Outcome> {
    let calls = [Arc::<Calls>::default(), Arc::default()];
    let system = start(&plan, &calls).await?;
    let pace = Arc::new(Pace::new(plan.until, interrupted, calls));
    let progress = Progress::show(plan.title(), pace.clone());
    let crew = Arc::new(Crew::new(system.clone(), plan.clone(), pace.clone()));

    let expected = send_all(&crew).await?;
    let (before, after) = crew
        .readings()
        .context("a sender did not come to its end")?;
    let found = checksums(&system).await?;
    let control = crew.control() + 2;
    let snapshot = system.snapshot();
    let (last, stopped) = match system.stop().await {
        Ok(report) => (report.ledger, None),
        Err(StopError::DeadlineExceeded(report)) => {
            let text = StopError::DeadlineExceeded(report.clone()).to_string();
            (report.ledger, Some(text))
        }
        Err(error) => return Err(error.into()),
    };
    drop(progress);

    let ends = Ends {
        before,
        after,
        last,
        control,
    };
    let mut outcome = Outcome::new(plan, &pace, &ends);
    outcome.sent = expected.sent.iter().sum();
    outcome.calls = found.iter().map(|checksum| checksum.handled).sum();
    outcome.checksums_agree = found.map(|checksum| checksum.sum) == expected.sums;
    outcome.wrong_replies = expected.wrong_replies;
    outcome.failure = outcome.failure.or(stopped);
    // Each is the only one of its kind.
    outcome.routes = [
        (USERS, snapshot.kind::<Api>()),
        (QUERY, snapshot.kind::<Db>()),
    ]
    .map(|(path, kind)| {
        let pattern = path.split_once("://").map_or(path, |(_, pattern)| pattern);
        (path, kind.and_then(|kind| kind.latency(pattern)))
    })
    .to_vec();
    Ok(outcome)
}

async fn start(plan: &Plan, calls: &[Arc<Calls>; 2]) -> anyhow::Result<System> {
    let builder = System::builder()
        .name("stress")
        .threads(plan.threads)
        .pool(plan.pool);
    let builder = match plan.strategy {
        StrategyName::RoundRobin => builder.strategy(RoundRobin::default()),
        StrategyName::Weighted => builder.strategy(Weighted::default()),
        StrategyName::LoadBased => builder.strategy(LoadBased::default()),
        StrategyName::Adaptive => builder.strategy(Adaptive::default()),
    };
    let system = builder.start().await?;
    let [api, db] = calls.clone();
    system.mount(move || Api::new(api.clone())).await?;
    system.mount(move || Db::new(db.clone())).await?;
    Ok(system)
}

/// Lets all senders send: the first on this thread, each further one on its own.
async fn send_all(crew: &Arc<Crew>) -> anyhow::Result<Expected> {
    let mut threads = Vec::new();
    for rank in 1..crew.plan.senders {
        let crew = crew.clone();
        let sender = move || actix::System::new().block_on(async move { crew.send(rank).await });
        let name = format!("stress-sender-{rank}");
        threads.push(thread::Builder::new().name(name).spawn(sender)?);
    }
    let mut expected = crew.send(0).await;
    for thread in threads {
        // All senders have left the last gate: they are about to end.
        match thread.join() {
            Ok(other) => expected.merge(&other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    Ok(expected)
}
