//! Run with `cargo run --example backpressure`
//!
//! Senders faster than their receiver: `try_tell` refuses, `tell` and `tell_blocking` wait.

use mycelia::{Room, prelude::*};
use std::time::Duration;
use tokio::sync::Semaphore;

const POOL: u64 = 16;
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
    let bounded = MountOptions::new().capacity(CAPACITY);
    system.mount_with(bounded, Worker::default).await?;
    system.mount_as("unbounded", Worker::default).await?;

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
    assert!(matches!(
        reason,
        SendError::Full {
            room: Room::Mailbox,
            ..
        }
    ));
    assert_eq!(job, Job(4));

    // A subsystem without a capacity of its own is bounded by what is left of the pool.
    let mut accepted = 0;
    let refused = loop {
        match system.try_tell("unbounded://jobs", Job(accepted)) {
            Ok(()) => accepted += 1,
            Err(undelivered) => break undelivered.reason,
        }
    };
    println!("{accepted} accepted, then: {refused}");
    assert_eq!(accepted, POOL - u64::from(CAPACITY));
    assert!(matches!(
        refused,
        SendError::Full {
            room: Room::Pool,
            ..
        }
    ));

    // `tell` waits. Given up while it waits, it has sent nothing.
    let impatient = system.tell("worker://jobs", job);
    let waited = tokio::time::timeout(Duration::from_millis(50), impatient).await;
    assert!(waited.is_err());
    println!("tell was still waiting after 50 ms");

    // With the gate open it waits as often as it must, and so does a plain thread.
    gate.0.add_permits(3 * MANY as usize);
    let (thread_system, path) = (system.clone(), "unbounded://jobs");
    let thread = std::thread::spawn(move || {
        (accepted..MANY).try_for_each(|number| thread_system.tell_blocking(path, Job(number)))
    });
    for number in 5..MANY {
        system.tell("worker://jobs", Job(number)).await?;
    }
    // Joined where it may take its time.
    let joined = tokio::task::spawn_blocking(|| thread.join()).await?;
    joined.expect("the thread did not panic")?;

    let report = system.stop().await?;
    let pool = system.snapshot().pool;
    println!("{:?}\n{pool:?}", report.ledger);
    println!("reuse {:.2} %", 100.0 * pool.reuse_rate());
    assert_eq!(report.ledger.handled, 2 * MANY - 1); // all but the one given up
    assert_eq!((pool.created, pool.high_water), (POOL, POOL));
    assert_eq!(pool.idle, POOL);
    Ok(())
}
