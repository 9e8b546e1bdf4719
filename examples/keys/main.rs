//! Run with `cargo run --release --example keys`
//!
//! A million keys, each a subsystem that is mounted on demand, of which ten thousand may be there: the others are
//! put away, and each saves itself when it is. Every key has messages before and after that. Memory must be flat,
//! the ledger exact, and every sum right. And one that is made on demand must cost at most twice as much as one
//! that is mounted in a batch.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use examples_lib::figures::{count, megabytes, nanoseconds};
use examples_lib::heap::{Counting, live_bytes};
use examples_lib::options::{CommandLine, outside};
use examples_lib::say;
use examples_lib::verdict::{Check, Verdict, conclude};
use examples_lib::{interrupt, memory, program};
use futures_util::stream::{self, StreamExt};
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::{Key, OnDemand};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Messages under way at once: enough that no sender waits for another one's subsystem.
const WINDOW: usize = 1024;

/// Makes a great many subsystems on demand, and judges what that costs.
#[derive(Debug, Parser)]
#[command(name = "keys", version)]
struct Options {
    /// Keys, each of which has two messages
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    keys: u32,

    /// How many subsystems may be there
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    alive: usize,

    /// How much one on demand may cost, as a multiple of one in a batch; 0 for whatever it costs
    #[arg(long, value_name = "TIMES", default_value_t = 2.0)]
    cost: f64,
}

impl CommandLine for Options {
    fn mistakes(&self) -> Vec<Option<String>> {
        vec![
            outside("--keys", self.keys, 1000..=100_000_000),
            outside("--alive", self.alive, 10..=10_000_000),
        ]
    }
}

#[derive(Message)]
struct Add(u32);

/// What is saved of all users.
struct Store {
    sums: Vec<AtomicU32>,
    made: AtomicU64,
    saved: AtomicU64,
}

struct User {
    id: usize,
    sum: u32,
    store: Option<Arc<Store>>,
}

impl Subsystem for User {
    const NAME: &'static str = "user";
}

#[routes]
impl User {
    #[route("add")]
    fn add(&mut self, Add(n): Add) {
        self.sum += n;
    }

    #[stopped]
    fn save(&mut self, _: EndReason) {
        if let Some(store) = &self.store {
            store.sums[self.id].store(self.sum, Ordering::Relaxed);
            store.saved.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn user(id: usize, store: Option<Arc<Store>>) -> User {
    let sum = store.as_ref().map_or(0, |store| {
        store.made.fetch_add(1, Ordering::Relaxed);
        store.sums[id].load(Ordering::Relaxed)
    });
    User { id, sum, store }
}

async fn tell_each(
    system: &System,
    prefix: &str,
    keys: impl Iterator<Item = u32>,
) -> anyhow::Result<()> {
    let mut sends = stream::iter(keys.map(|key| {
        let path = format!("{prefix}{key}://add");
        async move { system.tell(path, Add(key % 7)).await }
    }))
    .buffer_unordered(WINDOW);
    while let Some(told) = sends.next().await {
        told?;
    }
    Ok(())
}

/// Waits until every message has ended.
async fn quiet(system: &System) {
    while !system.snapshot().total.is_quiet() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until those that are put away have ended; how many are there.
async fn settled(system: &System, store: &Store) -> usize {
    loop {
        quiet(system).await;
        let there = system.snapshot().subsystems.len();
        let gone = store.made.load(Ordering::Relaxed) - there as u64;
        if store.saved.load(Ordering::Relaxed) == gone {
            return there;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What one costs: mounted in a batch; with its first message then; and made on demand by that.
async fn costs(many: u32) -> anyhow::Result<[f64; 3]> {
    let each = |begun: Instant| begun.elapsed().as_nanos() as f64 / f64::from(many);
    let system = System::builder().start().await?;
    let begun = Instant::now();
    let all = (0..many).map(|key| MountOptions::new().name(format!("user-{key}")));
    system.mount_all(all, || user(0, None)).await?;
    let mounted = each(begun);
    tell_each(&system, "user-", 0..many).await?;
    quiet(&system).await;
    let in_a_batch = each(begun);
    system.stop().await?;

    let system = System::builder().start().await?;
    let new = |_: Key| user(0, None);
    system
        .mount_on_demand("users/{id}", OnDemand::new(), new)
        .await?;
    let begun = Instant::now();
    tell_each(&system, "users/", 0..many).await?;
    quiet(&system).await;
    let on_demand = each(begun);
    system.stop().await?;
    Ok([mounted, in_a_batch, on_demand])
}

async fn run(options: &Options) -> anyhow::Result<Verdict> {
    let mut checks = Vec::new();
    let many = u32::try_from(options.alive)?.max(1000);
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let [mounted, in_a_batch, on_demand] = costs(many).await?;
        let ratio = on_demand / in_a_batch;
        say!(
            "one of {}: {} mounted in a batch, {} with a message then, {} on demand by it, {ratio:.2} times that",
            count(many.into()),
            nanoseconds(mounted as u64),
            nanoseconds(in_a_batch as u64),
            nanoseconds(on_demand as u64),
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[2];
    if options.cost > 0.0 {
        let claim = format!("one on demand costs at most {} of a batch", options.cost);
        let why = || format!("{ratio:.2} times as much, the median of five");
        checks.push(Check::new(claim, ratio <= options.cost, why));
    }

    let keys = options.keys;
    let store = Arc::new(Store {
        sums: (0..keys).map(|_| AtomicU32::new(0)).collect(),
        made: AtomicU64::new(0),
        saved: AtomicU64::new(0),
    });
    let system = System::builder().start().await?;
    let kept = store.clone();
    let new = move |key: Key| user(key.parse().unwrap_or(0), Some(kept.clone()));
    let on_demand = OnDemand::new().at_most(options.alive);
    system.mount_on_demand("users/{id}", on_demand, new).await?;
    let (mut most, mut heights) = (0, Vec::new());
    let begun = Instant::now();
    let tenth = (keys / 10).max(1);
    for round in 0..2 {
        for from in (0..keys).step_by(tenth as usize) {
            if interrupt::is_wanted() {
                return Ok(Verdict::Interrupted);
            }
            // In another order the second time.
            let part = (from..(from + tenth).min(keys)).map(|key| match round {
                0 => key,
                _ => keys - 1 - key,
            });
            tell_each(&system, "users/", part).await?;
            let there = system.snapshot().subsystems.len();
            most = most.max(there);
            settled(&system, &store).await;
            let resident = memory::resident().unwrap_or(0) as f64;
            let bytes = live_bytes();
            heights.push(bytes);
            say!(
                "{:>10} messages, {:>7} there, {:>9} saved, {} live, {} resident",
                count(u64::from(from + tenth) + u64::from(round * keys)),
                count(there as u64),
                count(store.saved.load(Ordering::Relaxed)),
                megabytes(bytes as f64),
                megabytes(resident),
            );
        }
    }
    quiet(&system).await;
    let took = begun.elapsed();
    say!(
        "{} messages in {took:.1?}, {} each with what it makes and what that puts away",
        count(u64::from(keys) * 2),
        nanoseconds(took.as_nanos() as u64 / (u64::from(keys) * 2)),
    );
    let total = system.snapshot().total;
    system.stop().await?;

    let sent = u64::from(keys) * 2;
    checks.push(Check::new(
        "every message is handled, and the ledger says so",
        total.closes() && total.sent == sent && total.handled == sent,
        || format!("{total:?}"),
    ));
    let wrong = (0..keys).filter(|key| {
        let sum = store.sums[*key as usize].load(Ordering::Relaxed);
        sum != key % 7 * 2
    });
    let wrong = wrong.count();
    checks.push(Check::new("every key's sum was saved", wrong == 0, || {
        format!("{wrong} are wrong")
    }));
    let limit = options.alive + 2 * WINDOW;
    checks.push(Check::new(
        format!(
            "never more than {} and those under way are there",
            count(options.alive as u64)
        ),
        most <= limit,
        || format!("{most} were"),
    ));
    // The highest of the first half, when as many are there as may be and the caches are full; and the median of the
    // second: how many are ending at the moment of a look makes a single one higher.
    let mut last = heights.split_off(heights.len() / 2);
    last.sort_unstable();
    let before = heights.iter().max().copied().unwrap_or(0) as f64;
    let after = last.get(last.len() / 2).copied().unwrap_or(0) as f64;
    checks.push(Check::new(
        "memory is flat: live bytes, when all that were put away have ended",
        after <= before * 1.05,
        || format!("{} grew to {}", megabytes(before), megabytes(after)),
    ));
    conclude(&checks, options, Default::default)
}

#[mycelia::main]
async fn main() -> ExitCode {
    program::run(run).await
}
