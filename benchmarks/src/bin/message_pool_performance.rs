//! Run with `cargo run --release -p mycelia-benchmarks --bin message_pool_performance`
//!
//! Pooled against unpooled: what recycling saves.
//!
//! Each case is the same tell across two threads. *Pooled* is a message that lies inside a recycled
//! envelope; *boxed* is one too large for it, for which a box is made and freed each time; *cold* has
//! envelopes made on the way instead of before; *no pool* is raw actix, which makes two boxes for every
//! message. Pools of several sizes show what too small a pool costs: the sender waits.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use clap::Parser;
use mycelia::prelude::*;
use mycelia_benchmarks::contender::{Threads, tokio_stage};
use mycelia_benchmarks::report::{end, introduce};
use mycelia_benchmarks::{allocator, stats, workloads};

/// Pooled against unpooled messages
#[derive(Debug, Parser)]
struct Options {
    /// Messages of each case
    #[arg(long, default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    messages: u64,
    /// Rounds of each case
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
}

/// 8 bytes: inside the envelope.
#[derive(Message)]
struct Small(u64);

/// 1 KB: in a box.
#[derive(Message)]
struct Large([u64; 128]);

#[derive(Message)]
#[message(reply = u64)]
struct Handled;

#[derive(Subsystem, Default)]
#[subsystem(name = "sink")]
struct Sink {
    handled: u64,
}

#[routes]
impl Sink {
    #[route("small")]
    fn small(&mut self, Small(n): Small) {
        std::hint::black_box(n);
        self.handled += 1;
    }

    #[route("large")]
    fn large(&mut self, Large(data): Large) {
        std::hint::black_box(data[127]);
        self.handled += 1;
    }

    #[route("handled")]
    fn handled(&mut self, _: Handled) -> u64 {
        self.handled
    }
}

#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    pool: usize,
    is_warm: bool,
    is_large: bool,
}

const CASES: [Case; 7] = {
    const fn case(name: &'static str, pool: usize, is_warm: bool, is_large: bool) -> Case {
        Case {
            name,
            pool,
            is_warm,
            is_large,
        }
    }
    [
        case("pooled, 16 envelopes", 16, true, false),
        case("pooled, 256 envelopes", 256, true, false),
        case("pooled, 4,096 envelopes", 4096, true, false),
        case("pooled, 65,536 envelopes", 65_536, true, false),
        case("pooled, 4,096 envelopes, cold", 4096, false, false),
        case("boxed 1 KB, 4,096 envelopes", 4096, true, true),
        case("boxed 1 KB, 16 envelopes", 16, true, true),
    ]
};

/// One round: nanoseconds per message, allocations per message, reuse rate.
#[derive(Debug, Default, Clone)]
struct Row {
    values: Vec<f64>,
    allocations: f64,
    reuse: f64,
}

async fn round(case: Case, messages: u64) -> anyhow::Result<(f64, f64, f64)> {
    let warm_up = if case.is_warm { case.pool } else { 0 };
    let builder = System::builder()
        .threads(1)
        .pool(case.pool)
        .warm_up(warm_up);
    let system = builder.start().await?;
    system.mount(Sink::default).await?;
    let (small, large) = (system.route("sink://small")?, system.route("sink://large")?);
    let before = allocator::so_far().allocations;
    let begun = Instant::now();
    for n in 0..messages {
        if case.is_large {
            large.tell(Large([n; 128])).await?;
        } else {
            small.tell(Small(n)).await?;
        }
    }
    let handled = system.ask("sink://handled", Handled).await?;
    let ns = begun.elapsed().as_nanos() as f64 / messages as f64;
    let allocations = (allocator::so_far().allocations - before) as f64 / messages as f64;
    ensure!(handled == messages, "{handled} of {messages} were handled");
    let reuse = system.snapshot().pool.reuse_rate();
    let report = system.stop().await?;
    ensure!(
        report.ledger.closes(),
        "the ledger does not close: {:?}",
        report.ledger
    );
    Ok((ns, allocations, reuse))
}

fn main() -> ExitCode {
    let options = Options::parse();
    introduce();
    end(run(&options))
}

fn run(options: &Options) -> anyhow::Result<()> {
    let messages = options.messages;
    let mut rows = vec![Row::default(); CASES.len()];
    let play = |case| tokio_stage::run_here(round(case, messages));
    let mut unpooled = Vec::new();
    for _ in 0..options.rounds {
        for (case, row) in CASES.iter().zip(&mut rows) {
            row.values.push(play(*case)?.0);
        }
        unpooled.push(workloads::tell::actix(Threads::Two, messages)?.value);
    }
    allocator::count(true);
    for (case, row) in CASES.iter().zip(&mut rows) {
        (_, row.allocations, row.reuse) = play(*case)?;
    }
    let counted = workloads::tell::actix(Threads::Two, messages)?;
    allocator::count(false);
    println!(
        "{messages} messages, {} rounds, sender and receiver on two threads",
        options.rounds
    );
    println!(
        "{:<34}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "ns median", "min", "max", "allocs", "reuse"
    );
    for (case, row) in CASES.iter().zip(&rows) {
        print(
            case.name,
            &row.values,
            row.allocations,
            &format!("{:.2} %", row.reuse * 100.0),
        );
    }
    let allocations = counted.allocations.unwrap_or(f64::NAN);
    print("no pool: raw actix", &unpooled, allocations, "-");
    Ok(())
}

fn print(name: &str, values: &[f64], allocations: f64, reuse: &str) {
    println!(
        "{name:<34}{:>10.1}{:>10.1}{:>10.1}{allocations:>10.3}{reuse:>10}",
        stats::median(values),
        stats::min(values),
        stats::max(values),
    );
}
