//! Run with `cargo run --example scheduling`
//!
//! Three subsystems share one thread, and each has more to do than it can: weights decide who gets how much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mycelia::observe::Snapshot;
use mycelia::prelude::*;
use mycelia::schedule::{Load, RoundRobin, Slice, Strategy, Weighted};

/// Name, weight, and how long a handler takes.
const JOBS: [(&str, u32, Duration); 3] = [
    ("reports", 1, Duration::from_micros(60)),
    ("emails", 2, Duration::from_micros(30)),
    ("orders", 4, Duration::from_micros(30)),
];

/// Set when no job is to follow any more.
#[derive(Default)]
struct Closing(AtomicBool);

#[derive(Message)]
struct Job;

struct Worker {
    path: String,
    takes: Duration,
}

impl Subsystem for Worker {
    const NAME: &'static str = "worker";
}

#[routes]
impl Worker {
    /// Takes its time, and has the next job follow.
    #[route("jobs")]
    fn work(&mut self, job: Job, State(closing): State<Closing>, system: System) {
        if closing.0.load(Ordering::Relaxed) {
            return;
        }
        let begun = Instant::now();
        while begun.elapsed() < self.takes {
            std::hint::spin_loop();
        }
        let follows = system.try_tell(&*self.path, job);
        follows.expect("the pool has more envelopes than there are jobs");
    }
}

// ANCHOR: own
/// The subsystem of that name gets long turns, all others turns of one message.
struct Prefer(&'static str);

impl Strategy for Prefer {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        for (load, slice) in loads.iter().zip(slices) {
            let preferred = &*load.name == self.0;
            *slice = Slice::new(if preferred { 64 } else { 1 });
        }
    }

    fn name(&self) -> &'static str {
        "prefer one"
    }
}
// ANCHOR_END: own

/// What each has handled, and the time that took.
fn account(now: &Snapshot) -> [(u64, f64); 3] {
    JOBS.map(|(name, ..)| {
        let subsystem = now.subsystem(name).expect("it is mounted");
        assert!(subsystem.ledger.waiting > 0, "{name} has more to do");
        (subsystem.ledger.handled, subsystem.service.sum_ns as f64)
    })
}

/// Lets a strategy work for a while; how many jobs each has handled, and the shares of the thread's time.
async fn measure(system: &System, strategy: &'static str) -> ([f64; 3], [f64; 3]) {
    // Every tick of the supervisor, some 10 ms, a strategy is asked.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = account(&system.snapshot());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let now = system.snapshot();
    assert_eq!(now.strategy, strategy);
    let after = account(&now);

    let time_ns = [0, 1, 2].map(|at| after[at].1 - before[at].1);
    let shares = time_ns.map(|ns| ns / time_ns.iter().sum::<f64>());
    println!("{strategy}\n  name      weight   handled   share of time");
    let handled = [0, 1, 2].map(|at| (after[at].0 - before[at].0) as f64);
    for (at, (name, weight, _)) in JOBS.into_iter().enumerate() {
        let (handled, percent) = (handled[at], 100.0 * shares[at]);
        println!("  {name:<8}  {weight:>6}  {handled:>8}  {percent:>13.1} %");
    }
    (handled, shares)
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let closing = Arc::new(Closing::default());
    // ANCHOR: weights
    let system = System::builder()
        .threads(1)
        .shared_state(closing.clone())
        .strategy(Weighted::default())
        .start()
        .await?;
    for (name, weight, takes) in JOBS {
        let options = MountOptions::new().name(name).weight(weight);
        let path = format!("{name}://jobs");
        let worker = move || Worker {
            path: path.clone(),
            takes,
        };
        system.mount_with(options, worker).await?;
    }
    // ANCHOR_END: weights
    for (name, ..) in JOBS {
        for _ in 0..1_000 {
            system.tell(&*format!("{name}://jobs"), Job).await?;
        }
    }

    let (_, shares) = measure(&system, "weighted").await;
    for (share, (name, weight, _)) in shares.into_iter().zip(JOBS) {
        let expected = f64::from(weight) / 7.0;
        let off = (share - expected).abs();
        assert!(off < 0.05, "{name} gets {share}, not {expected}");
    }

    // ANCHOR: switch
    system.set_strategy(RoundRobin::default());
    // ANCHOR_END: switch
    let ([_, emails, orders], _) = measure(&system, "round-robin").await;
    // Weights mean nothing to it: whose jobs take as long handles as many.
    assert!((0.75..1.33).contains(&(orders / emails)));

    system.set_strategy(Prefer("emails"));
    let ([_, emails, orders], _) = measure(&system, "prefer one").await;
    assert!(emails > 3.0 * orders);

    closing.0.store(true, Ordering::Relaxed);
    let report = system.stop().await?;
    assert_eq!(report.ledger.handled, report.ledger.sent);
    Ok(())
}
