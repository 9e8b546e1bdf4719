//! Run with `cargo run --release --example flood`
//!
//! A producer sends ten times as fast as a handler handles, under each overflow policy in turn. The
//! process must not grow, and every message must be accounted for: handled, dropped, or handed back.
//! `-- --help` shows the options.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

mod options;
mod report;
mod run;

use std::process::ExitCode;

use clap::Parser;

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
    match flood(&options).await {
        Ok(verdict) => ExitCode::from(verdict.exit_status()),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn flood(options: &Options) -> anyhow::Result<Verdict> {
    interrupt::listen()?;
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
    let verdict = Verdict::of(&checks, interrupt::is_wanted());
    verdict::print(&checks, verdict);
    if let Some(path) = &options.json {
        report::json(path, options, &outcomes, (&checks, verdict))?;
    }
    Ok(verdict)
}
