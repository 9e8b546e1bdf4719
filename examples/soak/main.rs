//! Run with `cargo run --release --example soak`
//!
//! A mixed load for an hour: tells, asks, timers, streams, subsystems that break and are restarted, others
//! that come and go. Sixty times it tells how long messages waited and how large the process is; in the end
//! neither may have crept up, and the ledger must be exact. `-- --minutes 2` is a short run; Ctrl-C ends it
//! early, with the report.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

mod load;
mod options;
mod report;
mod scene;
mod watch;

use std::process::ExitCode;

use examples_lib::program;
use examples_lib::silence::Silence;
use examples_lib::verdict::{Verdict, conclude};
use options::Options;

#[mycelia::main]
async fn main() -> ExitCode {
    program::run(soak).await
}

async fn soak(options: &Options) -> anyhow::Result<Verdict> {
    report::configuration(options);
    let silence = Silence::begin();
    let outcome = watch::run(options).await?;
    drop(silence);
    report::summary(&outcome);
    let checks = report::checks(&outcome);
    conclude(&checks, options, || report::json(options, &outcome))
}
