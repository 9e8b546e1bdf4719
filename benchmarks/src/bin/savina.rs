//! Run with `cargo run --release -p mycelia-benchmarks --bin savina`
//!
//! Programs after the Savina suite, on two threads: the same roles and messages for every contender.
//! A wrong result is an error, not a figure.

use std::process::ExitCode;

use clap::Parser;
use mycelia_benchmarks::report::{Options, command, end};
use mycelia_benchmarks::savina;

/// Programs after the Savina suite: mycelia, actix, kameo and ractor, on two threads
#[derive(Debug, Parser)]
struct Savina {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    end(command(
        "savina",
        &Savina::parse().options,
        savina::workloads(),
    ))
}
