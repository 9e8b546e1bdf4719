//! Run with `cargo run --release -p mycelia-benchmarks --bin pool_integration_simple`
//!
//! The seed's integration test: 10,000 messages, one after the other, each answered before the next is
//! sent. There every send failed and was counted as a success; here every reply is checked.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use clap::Parser;
use mycelia::prelude::*;
use mycelia_benchmarks::process;
use mycelia_benchmarks::report::{end, introduce};

const MESSAGES: u64 = 10_000;
const POOL: usize = 5000;

/// 10,000 messages, one after the other, each reply checked
#[derive(Debug, Parser)]
struct Options {}

#[derive(Message)]
#[message(reply = u64)]
struct GetUser {
    salt: u64,
}

#[derive(Subsystem, Default)]
#[subsystem(name = "api")]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}")]
    fn user(&mut self, GetUser { salt }: GetUser, Path(id): Path<u64>) -> u64 {
        id ^ salt
    }
}

#[mycelia::main]
async fn main() -> ExitCode {
    let Options {} = Options::parse();
    introduce();
    end(run().await)
}

async fn run() -> anyhow::Result<()> {
    let system = System::builder().threads(1).pool(POOL).start().await?;
    system.mount(Api::default).await?;
    let paths: Vec<String> = (0..1000).map(|id| format!("api://users/{id}")).collect();
    let ask = async |n: u64| -> anyhow::Result<()> {
        let id = n % 1000;
        let reply = system.ask(&paths[id as usize], GetUser { salt: n }).await?;
        ensure!(reply == id ^ n, "the reply to message {n} is wrong");
        Ok(())
    };
    for n in 0..1000 {
        ask(n).await?;
    }
    let resident = process::resident();
    let begun = Instant::now();
    for n in 0..MESSAGES {
        ask(n).await?;
    }
    let elapsed = begun.elapsed();
    let growth = process::resident()
        .zip(resident)
        .map(|(b, a)| b as i64 - a as i64);
    let pool = system.snapshot().pool;
    let ledger = system.stop().await?.ledger;
    let sent = MESSAGES + 1000;
    println!("messages     {MESSAGES}, one after the other, {elapsed:.1?}");
    println!(
        "throughput   {:.0} replies/s",
        MESSAGES as f64 / elapsed.as_secs_f64()
    );
    println!("errors       {}", sent - ledger.handled);
    println!("reuse rate   {:.2} %", pool.reuse_rate() * 100.0);
    println!("efficiency   {:.2} %", pool.efficiency() * 100.0);
    match growth {
        Some(bytes) => println!("growth       {:.2} MB", bytes as f64 / 1e6),
        None => println!("growth       not known here"),
    }
    ensure!(
        ledger.handled == sent,
        "{} of {sent} were handled",
        ledger.handled
    );
    ensure!(
        ledger.closes() && ledger.is_quiet(),
        "the ledger does not close: {ledger:?}"
    );
    ensure!(
        pool.reuse_rate() > 0.99,
        "the reuse rate is {}",
        pool.reuse_rate()
    );
    ensure!(
        growth.is_none_or(|bytes| bytes < 5_000_000),
        "memory grew by {growth:?} bytes"
    );
    Ok(())
}
