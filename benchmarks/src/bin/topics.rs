//! Run with `cargo run --release -p mycelia-benchmarks --bin topics`
//!
//! What a published copy costs beside a `tell` by handle to each subscriber; and how long the copies of 99
//! subscribers wait while the hundredth is slow.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use mycelia_benchmarks::report::{end, introduce};

/// What a published copy costs, and who waits for a slow subscriber
#[derive(Debug, Parser)]
struct Options {
    /// Runs of each kind, one after the other in turn; the medians are shown, and of waits the lower quartile
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Copies in each run that measures the cost
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    copies: u64,
    /// Messages in each run with a slow subscriber, one a millisecond
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    messages: u64,
}

#[derive(Message, Clone)]
struct News(u64);

#[derive(Default)]
struct Handled(AtomicU64);

#[derive(Subsystem, Default)]
struct Listener {
    sum: u64,
}

#[routes]
impl Listener {
    #[subscribe("news://{by}")]
    fn news(&mut self, News(n): News, Path(by): Path<u64>, State(handled): State<Handled>) {
        self.sum += n * by;
        handled.0.fetch_add(1, Ordering::Relaxed);
    }

    #[route("news/{by}")]
    fn told(&mut self, News(n): News, Path(by): Path<u64>, State(handled): State<Handled>) {
        self.sum += n * by;
        handled.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How a subscriber is slow.
#[derive(Subsystem)]
struct Slow(Duration);

#[routes]
impl Slow {
    #[subscribe("news://{_by}")]
    async fn news(&mut self, _: News) {
        tokio::time::sleep(self.0).await;
    }
}

/// Sends from the subscribers' own thread, so that no two threads meet.
#[derive(Subsystem)]
struct Driver(Vec<Route<News>>);

#[derive(Message)]
struct Publish(u64);

#[derive(Message)]
struct Tell(u64);

#[routes]
impl Driver {
    #[route("publish")]
    async fn publish(&mut self, Publish(times): Publish, system: System) -> anyhow::Result<()> {
        for n in 0..times {
            system.publish("news://7", News(n)).await?;
        }
        Ok(())
    }

    #[route("tell")]
    async fn tell(&mut self, Tell(times): Tell) -> anyhow::Result<()> {
        for n in 0..times {
            for to in &self.0 {
                to.at(7_u64).tell(News(n)).await?;
            }
        }
        Ok(())
    }
}

#[mycelia::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    introduce();
    end(run(&options).await)
}

async fn run(options: &Options) -> anyhow::Result<()> {
    println!("  subscribers    a tell by handle    a published copy    ratio");
    for subscribers in [1, 10, 100, 1000] {
        cost(options, subscribers).await?;
    }
    println!("\n  the slow one        99 others: p50      p99    published    missed    resident");
    let mut all: Vec<(Kind, Vec<Waited>)> = Vec::new();
    for kind in [Kind::None, Kind::Rejects, Kind::Waits] {
        all.push((kind, Vec::new()));
    }
    for _ in 0..options.runs.div_ceil(3) {
        for (kind, waited) in &mut all {
            waited.push(slow(options, *kind).await?);
        }
    }
    for (kind, mut waited) in all {
        waited.sort_by_key(|one| one.p99);
        // Not the median: what else the machine does is in half of them.
        let one = &waited[waited.len() / 4];
        println!(
            "  {:<20}{:>10} ns {:>8} ns {:>10} {:>9} {:>8} KiB",
            format!("{kind:?}").to_lowercase(),
            one.p50,
            one.p99,
            one.published,
            one.missed,
            one.resident
        );
    }
    Ok(())
}

async fn cost(options: &Options, subscribers: u64) -> anyhow::Result<()> {
    let handled = Arc::new(Handled::default());
    let builder = System::builder().threads(1).pool(16_384);
    let system = builder.shared_state(handled.clone()).start().await?;
    let mut handles = Vec::new();
    for n in 0..subscribers {
        system
            .mount_as(format!("listener-{n}"), Listener::default)
            .await?;
        handles.push(system.route::<News>(format!("listener-{n}://news/{{by}}"))?);
    }
    system.mount(move || Driver(handles.clone())).await?;
    // As many as wait at once at most.
    let burst = (8_000 / subscribers).max(1);
    let bursts = (options.copies / (burst * subscribers)).max(1);
    let (mut told, mut published) = (Vec::new(), Vec::new());
    let mut expected = 0;
    for _ in 0..=options.runs {
        for is_published in [false, true] {
            let begun = Instant::now();
            for _ in 0..bursts {
                match is_published {
                    true => system.ask("driver://publish", Publish(burst)).await?,
                    false => system.ask("driver://tell", Tell(burst)).await?,
                }
                expected += burst * subscribers;
                while handled.0.load(Ordering::Relaxed) < expected {
                    std::thread::yield_now();
                }
            }
            let copies = (burst * bursts * subscribers) as f64;
            let each = begun.elapsed().as_nanos() as f64 / copies;
            match is_published {
                true => published.push(each),
                false => told.push(each),
            }
        }
    }
    let mut ratios: Vec<_> = published.iter().zip(&told).map(|(p, t)| p / t).collect();
    let median = |all: &mut Vec<f64>| {
        // The first warms up.
        all.remove(0);
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "  {subscribers:>11} {:>16.1} ns {:>16.1} ns {:>8.3}",
        median(&mut told),
        median(&mut published),
        median(&mut ratios)
    );
    system.stop().await?;
    Ok(())
}

/// Whether one of the subscribers is slow, and what it does when it is full.
#[derive(Debug, Clone, Copy)]
enum Kind {
    None,
    Rejects,
    Waits,
}

struct Waited {
    p50: u64,
    p99: u64,
    published: u64,
    missed: u64,
    resident: u64,
}

async fn slow(options: &Options, kind: Kind) -> anyhow::Result<Waited> {
    let handled = Arc::new(Handled::default());
    let builder = System::builder().threads(2).pool(16_384);
    let system = builder.shared_state(handled.clone()).start().await?;
    for n in 0..99 {
        system
            .mount_as(format!("listener-{n}"), Listener::default)
            .await?;
    }
    let (overflow, takes) = match kind {
        Kind::None | Kind::Rejects => (Overflow::Reject, Duration::from_millis(20)),
        Kind::Waits => (Overflow::Wait, Duration::from_millis(3)),
    };
    match kind {
        Kind::None => system.mount_as("slow", Listener::default).await?,
        _ => {
            let options = MountOptions::new().capacity(8).overflow(overflow);
            system.mount_with(options, move || Slow(takes)).await?;
        }
    }
    let mut missed = 0;
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    for n in 0..options.messages {
        pace.tick().await;
        let published = system.publish("news://7", News(n)).await?;
        ensure!(published.matched == 100, "all subscribe");
        missed += published.missed;
    }
    let expected = options.messages * 99;
    while handled.0.load(Ordering::Relaxed) < expected {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let snapshot = system.snapshot();
    let kind = snapshot.kind::<Listener>().context("they are mounted")?;
    let wait = kind.latency("news://{by}").context("they were told")?.wait;
    let resident = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = resident.split(' ').nth(1).and_then(|n| n.parse().ok());
    system.stop().await?;
    Ok(Waited {
        p50: wait.p50_ns,
        p99: wait.p99_ns,
        published: options.messages,
        missed,
        resident: pages.unwrap_or(0_u64) * 4,
    })
}
