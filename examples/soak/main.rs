//! Run with `cargo run --release --example soak`
//!
//! A mixed load for an hour: tells, asks, timers, streams, subsystems that break and are restarted, others
//! that come and go. Sixty times it tells how long messages waited and how large the process is; in the end
//! neither may have crept up, and the ledger must be exact. `-- --minutes 2` is a short run; Ctrl-C ends it
//! early, with the report.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

mod load;
mod options;
mod report;
mod scene;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use common::silence::Silence;
use common::verdict::Verdict;
use common::{interrupt, verdict};
use options::Options;

#[mycelia::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(mistake) = options.check() {
        eprintln!("error: {mistake}");
        return ExitCode::from(2);
    }
    match soak(&options).await {
        Ok(verdict) => ExitCode::from(verdict.exit_status()),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn soak(options: &Options) -> anyhow::Result<Verdict> {
    interrupt::listen()?;
    report::configuration(options);
    let silence = Silence::begin();
    let outcome = watch::run(options).await?;
    drop(silence);
    report::summary(&outcome);
    let checks = report::checks(&outcome);
    let verdict = Verdict::of(&checks, interrupt::is_wanted());
    verdict::print(&checks, verdict);
    if let Some(path) = &options.json {
        report::json(path, options, &outcome, (&checks, verdict))?;
    }
    Ok(verdict)
}
