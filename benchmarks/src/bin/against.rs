//! Run with `cargo run --release -p mycelia-benchmarks --bin against`
//!
//! mycelia against its peers, workload by workload, in one program. What a handler did not receive is
//! an error, not a figure.

use std::process::ExitCode;

use clap::Parser;
use mycelia_benchmarks::report::{Options, command, end};
use mycelia_benchmarks::workloads::{self, overload};

/// mycelia against its peers: every contender in its own best idiom, in turns, in one program
#[derive(Debug, Parser)]
#[command(after_help = "The allocator is chosen when the program is built: `--features mimalloc`.")]
struct Against {
    #[command(flatten)]
    options: Options,
    /// Runs the overload of one contender here and prints its reading
    #[arg(long, value_name = "CONTENDER", hide = true)]
    alone: Option<String>,
}

fn main() -> ExitCode {
    let against = Against::parse();
    end(match &against.alone {
        Some(contender) => overload::alone(contender, against.options.plan().load),
        None => command("against", &against.options, workloads::all()),
    })
}
