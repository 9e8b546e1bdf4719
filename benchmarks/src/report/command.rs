//! The command line that `against` and `savina` share.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;

use super::chart::bars;
use super::json::{PACKAGES, document};
use super::page;
use super::run::{Plan, run};
use super::select::select;
use super::table::print;
use crate::workload::{Load, Workload};
use crate::{allocator, process, versions};

/// What is run, how often, and where the figures go.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Fewer and shorter rounds: less than two minutes for everything
    #[arg(long)]
    quick: bool,
    /// Rounds of every contender [default: 5; with --quick 3]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: Option<u64>,
    /// Messages of a throughput workload; others take a share [default: 1000000; with --quick 100000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    messages: Option<u64>,
    /// Only these workloads and contenders; may be given several times
    #[arg(long, value_name = "NAME", num_args = 1..)]
    filter: Vec<String>,
    /// Lists workloads and contenders, and ends
    #[arg(long)]
    list: bool,
    /// Writes every round to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the table into a page, between its marks; may be given several times
    #[arg(long, value_name = "FILE")]
    page: Vec<PathBuf>,
    /// Draws a chart into a file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Options {
    /// How much is run.
    pub fn plan(&self) -> Plan {
        let messages = if self.quick { 100_000 } else { 1_000_000 };
        let rounds = if self.quick { 3 } else { 5 };
        Plan {
            rounds: self.rounds.unwrap_or(rounds) as usize,
            load: Load {
                messages: self.messages.unwrap_or(messages),
            },
        }
    }
}

/// Turns a result into the program's end: one clear line for an error.
pub fn end(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is measured, and on what.
pub fn introduce() {
    if cfg!(debug_assertions) {
        eprintln!("warning: built without optimisation, the figures mean nothing; use --release");
    }
    let peers = PACKAGES[1..].iter();
    let peers: Vec<String> = peers
        .map(|package| format!("{package} {}", versions::of(package)))
        .collect();
    println!(
        "mycelia {} against {}",
        versions::of("mycelia"),
        peers.join(", ")
    );
    println!(
        "{}, {} processors, {} allocator",
        process::processor(),
        process::processors(),
        allocator::NAME,
    );
}

/// Runs what the options select, and reports it as `program`.
///
/// # Errors
/// A bad filter; a contender failed, or lost a message that it must not lose; a file cannot be written.
pub fn command(program: &str, options: &Options, workloads: Vec<Workload>) -> anyhow::Result<()> {
    let plan = options.plan();
    let selected = select(workloads, &options.filter, options.quick)?;
    if options.list {
        for workload in &selected {
            let names: Vec<&str> = workload.entries.iter().map(|e| e.contender).collect();
            println!("{:<14} {}", workload.name, workload.title);
            println!("{:<14} {}", "", names.join(" "));
        }
        return Ok(());
    }
    introduce();
    println!("{} rounds, {} messages", plan.rounds, plan.load.messages);
    println!("less is better; \"vs actix\" and \"mycelia is\" say how many times as fast");
    let begun = Instant::now();
    let outcomes = run(selected, plan)?;
    for outcome in &outcomes {
        print(outcome);
    }
    println!(
        "\n{:.0?} in all; every message was accounted for",
        begun.elapsed()
    );
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&document(&outcomes, plan))?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for path in &options.page {
        page::write(path, program, &outcomes, plan)?;
    }
    if let Some(path) = &options.svg {
        bars(path, &outcomes)?;
    }
    Ok(())
}
