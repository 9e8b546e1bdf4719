//! Run with `cargo run --release --example flood`
//!
//! A producer sends ten times as fast as a handler handles, under each overflow policy in turn. The
//! process must not grow, and every message must be accounted for: handled, dropped, or handed back.
//! `-- --help` shows the options.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

mod options;
mod report;
mod run;

use std::process::ExitCode;

use examples_lib::verdict::{Verdict, conclude};
use examples_lib::{interrupt, program};
use options::Options;

#[mycelia::main]
async fn main() -> ExitCode {
    program::run(flood).await
}

async fn flood(options: &Options) -> anyhow::Result<Verdict> {
    report::configuration(options);
    let mut outcomes = Vec::new();
    for policy in options.policies() {
        let outcome = run::run(options, policy).await?;
        report::policy(&outcome);
        outcomes.push(outcome);
        if interrupt::is_wanted() {
            break;
        }
    }
    let checks = report::checks(options, &outcomes);
    conclude(&checks, options, || report::json(options, &outcomes))
}
