//! Run with `cargo run --example backpressure`
//!
//! Senders faster than their receiver: `try_tell` refuses, `tell` and `tell_blocking` wait.

use mycelia::prelude::*;
use std::time::Duration;
use tokio::sync::Semaphore;

const POOL: u64 = 16;
/// Of those, for subsystems that hold few.
const KEPT: u64 = POOL / 8;
const CAPACITY: u32 = 4;
const MANY: u64 = 10_000;

#[derive(Message, Debug, PartialEq)]
struct Job(u64);

/// A handler may end once per permit, so that the example decides how slow the subsystem is.
struct Gate(Semaphore);

#[derive(Subsystem, Default)]
struct Worker {
    next: u64,
}

#[routes]
impl Worker {
    #[route("jobs")]
    async fn work(&mut self, Job(number): Job, State(gate): State<Gate>) -> anyhow::Result<()> {
        gate.0.acquire().await?.forget();
        assert!(number >= self.next, "jobs come in the order sent");
        self.next = number;
        Ok(())
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let gate = std::sync::Arc::new(Gate(Semaphore::new(0)));
    let system = System::builder()
        .pool(POOL as usize)
        .shared_state(gate.clone())
        .start()
        .await?;
    let bounded = MountOptions::new().capacity(CAPACITY).own_histograms(true);
    system.mount_with(bounded, Worker::default).await?;
    system.mount_as("free", Worker::default).await?;

    // The subsystem's own capacity: the fifth message is refused and comes back.
    let mut accepted = 0;
    let refused = loop {
        match system.try_tell("worker://jobs", Job(accepted)) {
            Ok(()) => accepted += 1,
            Err(undelivered) => break undelivered,
        }
    };
    println!("{accepted} accepted, then: {refused}");
    assert_eq!(accepted, u64::from(CAPACITY));
    let (reason, job) = refused.into_parts();
    assert!(reason.is_full() && reason.to_string().contains("mailbox"));
    assert_eq!(job, Job(4));

    // A subsystem without a capacity of its own is bounded by what is left of the pool, but for the
    // last ones, which are for subsystems that hold few.
    let mut accepted = 0;
    let refused = loop {
        match system.try_tell("free://jobs", Job(accepted)) {
            Ok(()) => accepted += 1,
            Err(undelivered) => break undelivered.into_reason(),
        }
    };
    println!("{accepted} accepted, then: {refused}");
    assert_eq!(accepted, POOL - KEPT - u64::from(CAPACITY));
    assert!(refused.is_full() && refused.to_string().contains("envelope"));

    // `tell` waits. Given up while it waits, it has sent nothing.
    let impatient = system.tell("worker://jobs", job);
    let waited = tokio::time::timeout(Duration::from_millis(50), impatient).await;
    assert!(waited.is_err());
    println!("tell was still waiting after 50 ms");

    // With the gate open it waits as often as it must, and so does a plain thread.
    gate.0.add_permits(3 * MANY as usize);
    let (thread_system, path) = (system.clone(), "free://jobs");
    let thread = std::thread::spawn(move || {
        (accepted..MANY).try_for_each(|number| thread_system.tell_blocking(path, Job(number)))
    });
    for number in 5..MANY {
        system.tell("worker://jobs", Job(number)).await?;
    }
    // Joined where it may take its time.
    let joined = tokio::task::spawn_blocking(|| thread.join()).await?;
    joined.expect("the thread did not panic")?;

    // ANCHOR: account
    let snapshot = system.snapshot();
    let jobs = snapshot.route("worker://jobs").expect("it is mounted");
    let latency = jobs.latency.expect("it has had messages");
    println!("median wait {} ns", latency.wait.p50_ns);
    println!("median service {} ns", latency.service.p50_ns);

    let report = system.stop().await?;
    println!("{:?}", report.ledger);
    assert_eq!(report.ledger.handled, 2 * MANY - 1); // all but the one given up
    assert!(report.ledger.closes() && report.ledger.is_quiet());

    let pool = system.snapshot().pool;
    println!("{pool:?}");
    assert_eq!((pool.created, pool.capacity), (POOL, POOL));
    assert!((POOL - KEPT..=POOL).contains(&pool.high_water));
    assert_eq!(pool.idle, POOL);
    // ANCHOR_END: account
    Ok(())
}
