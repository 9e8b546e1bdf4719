//! Run with `cargo run --release --example stress`
//!
//! Sends a million real messages per mode through routes, pool, mailboxes, handlers and histograms,
//! proves that each was handled, and reports how fast. `-- --help` shows the options.
//!
//! It is read in this order: [`options`] become [`plan`]s; [`run`] carries one out with a fresh
//! system, the two [`subsystems`] and its [`senders`], which look at the [`pace`]; what it measured is an
//! [`outcome`], which [`health`] judges and [`report`] and [`json`] write down.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

mod health;
mod json;
mod options;
mod original;
mod outcome;
mod pace;
mod plan;
mod report;
mod senders;
mod subsystems;
mod target;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use examples_lib::heap::Counting;
use examples_lib::progress::Progress;
use examples_lib::verdict::Verdict;
use examples_lib::{figures, interrupt, program};
use mycelia::prelude::*;

use options::Options;
use outcome::{Ends, Outcome};
use pace::Pace;
use plan::Plan;
use senders::{Crew, checksums};
use subsystems::{Api, Calls, Db};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[mycelia::main]
async fn main() -> ExitCode {
    program::run(stress).await
}

async fn stress(options: &Options) -> anyhow::Result<Verdict> {
    report::configuration(options);
    let mut outcomes = Vec::new();
    for (at, plan) in options.plans().into_iter().enumerate() {
        let outcome = run(plan).await?;
        report::run(at + 1, &outcome);
        outcomes.push(outcome);
        if interrupt::is_wanted() {
            break;
        }
    }
    let verdict = report::health(&outcomes);
    json::write(options, &outcomes, verdict)?;
    Ok(verdict)
}

/// Carries out a plan, with a system of its own, so that ledger, pool and latencies are those of this run alone.
///
/// # Errors
/// The system does not start, a subsystem is not mounted, or a thread is not given. What goes wrong
/// with messages is part of the outcome.
async fn run(plan: Plan) -> anyhow::Result<Outcome> {
    // The subsystems.
    let builder = System::builder().name("stress").threads(plan.threads);
    let builder = plan.strategy.give_to(builder.pool(plan.pool));
    let system = builder.start().await?;
    let calls = [Arc::<Calls>::default(), Arc::default()];
    let [api, db] = calls.clone();
    system.mount(move || Api::new(api.clone())).await?;
    system.mount(move || Db::new(db.clone())).await?;

    // The messages: all of them have been handled when the senders have ended.
    let pace = Arc::new(Pace::new(plan.until, calls));
    let progress = show(&plan, &pace);
    let crew = Arc::new(Crew::new(system.clone(), plan.clone(), pace.clone()));
    let expected = crew.send_all().await?;

    // What came of them: by the subsystems' own account, by the histograms, and by the ledger.
    let found = checksums(&system).await?;
    let snapshot = system.snapshot();
    let (ledger, broken) = program::stop(&system).await;
    drop(progress);

    let (before, after) = crew
        .readings()
        .context("a sender did not come to its end")?;
    let ends = Ends {
        before,
        after,
        last: ledger,
        control: crew.control() + 2,
    };
    let mut outcome = Outcome::new(plan, &pace, &ends);
    outcome.compare(&expected, found);
    outcome.latencies_of(&snapshot);
    outcome.failure = outcome.failure.or(broken);
    Ok(outcome)
}

/// The progress bar of a run.
fn show(plan: &Plan, pace: &Arc<Pace>) -> Progress {
    let pace = pace.clone();
    Progress::with_text(plan.title(), move || {
        (pace.done(), format!("{} sent", figures::count(pace.sent())))
    })
}
