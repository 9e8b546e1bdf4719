//! Run with `cargo run --release --example stress`
//!
//! Sends a million real messages per mode through routes, pool, mailboxes, handlers and histograms,
//! proves that each was handled, and reports how fast. `-- --help` shows the options.
//!
//! A run is read in this order: [`options`] become [`plan`]s; [`run`] carries one out with a fresh
//! system, the two [`subsystems`] and its [`senders`]; what it measured is an [`outcome`], which
//! [`health`] judges and [`report`] and [`json`] write down.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

mod allocations;
mod health;
mod json;
mod options;
mod original;
mod outcome;
mod pace;
mod plan;
mod progress;
mod report;
mod run;
mod senders;
mod subsystems;
mod target;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;

use common::verdict::Verdict;
use common::{figures, memory};
use options::Options;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// A Ctrl-C so long after the first ends the program at once.
const PATIENCE: Duration = Duration::from_millis(500);

/// Set by the first Ctrl-C: senders stop, everything sent is still handled and reported.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

#[mycelia::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(mistake) = options.check() {
        eprintln!("error: {mistake}");
        return ExitCode::from(2);
    }
    match stress(&options).await {
        Ok(verdict) => ExitCode::from(verdict.exit_status()),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn stress(options: &Options) -> anyhow::Result<Verdict> {
    let mut asked = None;
    ctrlc::set_handler(move || {
        INTERRUPTED.store(true, Ordering::Relaxed);
        // Asked again: anyone who asks does not want to wait for the report. `timeout` and some shells
        // deliver one request twice, at once.
        if asked.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            std::process::exit(130);
        }
    })?;
    report::configuration(options);
    let mut outcomes = Vec::new();
    for (at, plan) in options.plans().into_iter().enumerate() {
        let outcome = run::run(plan, &INTERRUPTED).await?;
        report::run(at + 1, &outcome);
        outcomes.push(outcome);
        if INTERRUPTED.load(Ordering::Relaxed) {
            break;
        }
    }
    let verdict = health::verdict(&outcomes);
    report::health(&outcomes, verdict);
    if let Some(path) = &options.json {
        json::write(path, options, &outcomes, verdict)?;
    }
    Ok(verdict)
}
