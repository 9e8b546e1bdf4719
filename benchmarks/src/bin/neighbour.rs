//! Run with `cargo run --release -p mycelia-benchmarks --bin neighbour`
//!
//! One flood does not shut out the others: threads flood 1, 10 and 100 subsystems whose handlers are
//! slow, until the pool has nothing left for them and beyond, and an idle neighbour is asked and told
//! meanwhile. Every ask must be answered and every `try_tell` accepted.
//!
//! Senders wait for room, or are refused and try again at once; so each case shows both.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use mycelia::observe::Snapshot;
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use mycelia_benchmarks::report::{end, introduce};

/// An idle subsystem, asked and told while others are flooded
#[derive(Debug, Parser)]
#[command(after_help = "\
Exit status: 0 if every ask was answered and every message accepted, 1 if not.")]
struct Options {
    /// Asks, and as many tells, in each case
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    asks: u64,
    /// Envelopes in the pool
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u64).range(8..=16_000_000))]
    pool: u64,
    /// Threads that flood
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=256))]
    senders: u64,
    /// Microseconds that a flooded handler takes for a message
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    work_us: u64,
}

#[derive(Message)]
struct Item;

#[derive(Message)]
#[message(reply = u64)]
struct Double(u64);

/// Slower than its senders.
#[derive(Subsystem)]
struct Flooded(Duration);

#[routes]
impl Flooded {
    #[route("item")]
    async fn item(&mut self, _: Item) {
        tokio::time::sleep(self.0).await;
    }
}

#[derive(Subsystem, Default)]
struct Neighbour;

#[routes]
impl Neighbour {
    #[route("double")]
    fn double(&mut self, Double(n): Double) -> u64 {
        2 * n
    }
}

#[mycelia::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    introduce();
    end(run(&options).await)
}

async fn run(options: &Options) -> anyhow::Result<()> {
    println!(
        "  flooded  senders          ask p50    ask p99    ask max    most in flight    refused"
    );
    for flooded in [1, 10, 100] {
        for policy in [Overflow::Wait, Overflow::Reject] {
            case(options, flooded, policy).await?;
        }
    }
    Ok(())
}

async fn case(options: &Options, flooded: usize, policy: Overflow) -> anyhow::Result<()> {
    let pool = options.pool as usize;
    let system = System::builder().threads(2).pool(pool).start().await?;
    let work = Duration::from_micros(options.work_us);
    for n in 0..flooded {
        let name = MountOptions::new().name(format!("flooded-{n}"));
        let flooded = move || Flooded(work);
        system.mount_with(name.overflow(policy), flooded).await?;
    }
    system.mount(Neighbour::default).await?;
    let paths: Vec<_> = (0..flooded)
        .map(|n| format!("flooded-{n}://item"))
        .collect();
    let routes: Result<Vec<_>, _> = paths.iter().map(|path| system.route(path)).collect();
    let flood = Arc::new(Flood {
        routes: routes?,
        policy,
        sent: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let senders: Vec<_> = (0..options.senders as usize)
        .map(|first| {
            let flood = flood.clone();
            std::thread::spawn(move || flood.send(first))
        })
        .collect();
    let measured = measure(&system, options, &flood).await;
    flood.is_over.store(true, Ordering::Relaxed);
    // Those that still wait have room soon.
    let joined = tokio::task::spawn_blocking(|| senders.into_iter().try_for_each(|one| one.join()));
    ensure!(joined.await?.is_ok(), "a sender panicked");
    let (mut waits, at_its_worst) = measured?;
    // What is left of the flood needs not be handled.
    let _ = system.stop_within(Duration::from_millis(50)).await;
    let total = system.snapshot().total;
    ensure!(total.closes(), "the account does not close: {total:?}");
    waits.sort_unstable();
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
    println!(
        "  {flooded:>7}  {:<8} {:>14.1?} {:>10.1?} {:>10.1?} {:>9} of {:<5} {:>10}",
        match policy {
            Overflow::Wait => "wait",
            _ => "retry",
        },
        at(0.5),
        at(0.99),
        at(1.0),
        at_its_worst.pool.high_water,
        at_its_worst.pool.capacity,
        at_its_worst.pool.refused,
    );
    Ok(())
}

/// What its senders share.
struct Flood {
    routes: Vec<Route<Item>>,
    policy: Overflow,
    sent: AtomicU64,
    is_over: AtomicBool,
}

impl Flood {
    /// Sends to each in turn, without end.
    fn send(&self, first: usize) {
        for route in self.routes.iter().cycle().skip(first) {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let told = match self.policy {
                Overflow::Wait => route.tell_blocking(Item),
                _ => route.try_tell(Item),
            };
            match told {
                Ok(()) => _ = self.sent.fetch_add(1, Ordering::Relaxed),
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

/// Asks and tells the idle one while the others are flooded: how long each ask took, and what is so at
/// the end.
async fn measure(
    system: &System,
    options: &Options,
    flood: &Flood,
) -> anyhow::Result<(Vec<Duration>, Snapshot)> {
    let double = system.route::<Double>("neighbour://double")?;
    let begun = Instant::now();
    // All but the envelopes that are kept are out; of a large pool those are fewer than this.
    let most = options.pool - (options.pool / 8).max(1);
    while system.snapshot().pool.in_flight < most {
        let text = "the flood does not fill the pool; give it slower handlers or a smaller pool";
        ensure!(begun.elapsed() < Duration::from_secs(30), text);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = flood.sent.load(Ordering::Relaxed);
    let mut waits = Vec::with_capacity(options.asks as usize);
    for n in 0..options.asks {
        double.try_tell(Double(n))?;
        let asked = Instant::now();
        let reply = double.ask(Double(n)).await?;
        waits.push(asked.elapsed());
        ensure!(reply == 2 * n, "the reply to ask {n} is wrong");
    }
    let now = system.snapshot();
    let after = flood.sent.load(Ordering::Relaxed);
    ensure!(after > before, "the flood did not go on");
    Ok((waits, now))
}
