//! Run with `cargo run --release -p mycelia-benchmarks --bin pool_stress_test`
//!
//! The seed's stress test in its own set-up, pauses included: a million messages, alternately to
//! `api://users/{id}` and `db://query`, in bursts of 10,000 with 100 ms between them, out of a pool of
//! 5,000. Every message is handled, and counted where it is handled. `cargo run --release --example
//! stress` has more modes; this one only answers the original's report, line by line.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use mycelia::prelude::*;
use mycelia_benchmarks::process;
use mycelia_benchmarks::report::{end, introduce};

/// The seed's stress test: a million messages in bursts
#[derive(Debug, Parser)]
struct Options {
    /// Messages
    #[arg(long, default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    messages: u64,
    /// Envelopes in the pool
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=16_000_000))]
    pool: u64,
    /// Messages in a burst
    #[arg(long, default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    burst: u64,
    /// Milliseconds between bursts
    #[arg(long, default_value_t = 100)]
    pause: u64,
}

#[derive(Message)]
struct GetUser {
    data: [u64; 3],
}

#[derive(Message)]
struct Search {
    id: u64,
    data: [u64; 3],
}

/// How many were handled, and a sum of the ids in them.
#[derive(Message)]
#[message(reply = (u64, u64))]
struct Account;

#[derive(Subsystem, Default)]
#[subsystem(name = "api")]
struct Api(u64, u64);

#[routes]
impl Api {
    #[route("users/{id}")]
    fn user(&mut self, GetUser { data }: GetUser, Path(id): Path<u64>) {
        std::hint::black_box(data);
        self.0 += 1;
        self.1 += id;
    }

    #[route("account")]
    fn account(&mut self, _: Account) -> (u64, u64) {
        (self.0, self.1)
    }
}

#[derive(Subsystem, Default)]
#[subsystem(name = "db")]
struct Db(u64, u64);

#[routes]
impl Db {
    #[route("query")]
    fn query(&mut self, Search { id, data }: Search) {
        std::hint::black_box(data);
        self.0 += 1;
        self.1 += id;
    }

    #[route("account")]
    fn account(&mut self, _: Account) -> (u64, u64) {
        (self.0, self.1)
    }
}

#[mycelia::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    introduce();
    end(run(&options).await)
}

/// Both subsystems' accounts together: everything sent before has been handled.
async fn account(system: &System) -> anyhow::Result<(u64, u64)> {
    let api = system.ask("api://account", Account).await?;
    let db = system.ask("db://account", Account).await?;
    Ok((api.0 + db.0, api.1 + db.1))
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let system = System::builder()
        .pool(options.pool as usize)
        .start()
        .await?;
    system.mount(Api::default).await?;
    system.mount(Db::default).await?;
    let paths: Vec<String> = (0..1000).map(|id| format!("api://users/{id}")).collect();
    account(&system).await?;
    let resident = process::resident();
    let (mut sent, mut sum, mut rates) = (0, 0, Vec::new());
    let begun = Instant::now();
    let mut paused = Duration::ZERO;
    while sent < options.messages {
        if sent > 0 && options.pause > 0 {
            let pause = Instant::now();
            std::thread::sleep(Duration::from_millis(options.pause));
            paused += pause.elapsed();
        }
        let burst = options.burst.min(options.messages - sent);
        let burst_begun = Instant::now();
        for n in sent..sent + burst {
            let (id, data) = (n / 2 % 1000, [n, 1, 2]);
            sum += id;
            if n % 2 == 0 {
                system.tell(&paths[id as usize], GetUser { data }).await?;
            } else {
                system.tell("db://query", Search { id, data }).await?;
            }
        }
        sent += burst;
        let handled = account(&system).await?;
        rates.push(burst as f64 / burst_begun.elapsed().as_secs_f64());
        ensure!(
            handled == (sent, sum),
            "{handled:?} handled of {:?}",
            (sent, sum)
        );
    }
    let elapsed = begun.elapsed();
    let growth = process::resident()
        .zip(resident)
        .map(|(b, a)| b as i64 - a as i64);
    let snapshot = system.snapshot();
    let ledger = system.stop().await?.ledger;
    ensure!(
        ledger.closes() && ledger.is_quiet(),
        "the ledger does not close: {ledger:?}"
    );
    let busy = elapsed - paused;
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let spread = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / rates.len() as f64;
    let min = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let max = rates.iter().copied().fold(0.0, f64::max);
    let row = |name: &str, theirs: &str, ours: String| println!("{name:<16}{theirs:>20}  {ours}");
    row("", "the original", "mycelia".into());
    row(
        "duration",
        "26.4 s",
        format!("{elapsed:.1?}, of it {paused:.1?} pauses"),
    );
    row(
        "throughput",
        "37,904 sent/s",
        format!(
            "{:.0} handled/s without the pauses",
            sent as f64 / busy.as_secs_f64()
        ),
    );
    row("handler calls", "0", sent.to_string());
    row(
        "errors",
        "0 counted",
        (ledger.sent - ledger.handled).to_string(),
    );
    row(
        "created",
        "504,999",
        format!("{} of {}", snapshot.pool.created, options.pool),
    );
    row(
        "reuse rate",
        "49.50 %",
        format!("{:.2} %", snapshot.pool.reuse_rate() * 100.0),
    );
    row(
        "efficiency",
        "101.01 %",
        format!("{:.2} %", snapshot.pool.efficiency() * 100.0),
    );
    let growth = growth.map_or("not known here".into(), |b| {
        format!("{:.2} MB", b as f64 / 1e6)
    });
    row("memory growth", "+52.88 MB", growth);
    row(
        "variability",
        "1.2 % of averages",
        format!(
            "{:.1} % of bursts, {min:.0} to {max:.0}/s",
            100.0 * spread.sqrt() / mean
        ),
    );
    Ok(())
}
