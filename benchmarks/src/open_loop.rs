//! Open loop: latency at a fixed rate of arrival, from the instant at which a message *should* have
//! been sent.
//!
//! The sender never slows down for the receiver: when it falls behind, every message that is late
//! counts from its intended instant on, so a pause of the receiver shows in all the messages that it
//! held up (no coordinated omission). The sender has a thread of its own and spins until each instant.
//! Source: G. Tene, "How not to measure latency", 2013.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;

use crate::contender::{Address, Contender, Threads, start_one};
use crate::contenders::{Actix, Kameo, MyceliaHandle, MyceliaPath, Ractor, Xtra};
use crate::tally::Aside;

/// The quantiles that are reported, with their names.
pub const QUANTILES: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("max", 1.0),
];

/// A contender of the open loop.
#[derive(Debug, Clone, Copy)]
pub struct Racer {
    /// Its name.
    pub name: &'static str,
    /// Measures how many messages per second it handles at most.
    pub capacity: fn(u64) -> anyhow::Result<f64>,
    /// Sends so many messages at so many per second; returns the latencies in nanoseconds.
    pub run: fn(u64, f64) -> anyhow::Result<Histogram<u64>>,
}

/// All of them.
pub fn racers() -> Vec<Racer> {
    fn racer<C: Contender>() -> Racer {
        Racer {
            name: C::NAME,
            capacity: capacity::<C>,
            run: race::<C>,
        }
    }
    vec![
        racer::<Actix>(),
        racer::<Kameo>(),
        racer::<Ractor>(),
        racer::<Xtra>(),
        racer::<MyceliaHandle>(),
        racer::<MyceliaPath>(),
    ]
}

/// The name of [`nobody`].
pub const NOBODY: &str = "(no receiver)";

/// How late the sender itself is, without anybody to send to: what the machine does to all of them.
///
/// # Errors
/// None.
pub fn nobody(count: u64, per_second: f64) -> anyhow::Result<Histogram<u64>> {
    let mut lateness = crate::tally::histogram();
    let begun = Instant::now();
    for n in 0..count {
        let late = wait_for(intended(begun, n, per_second));
        lateness.record(late.as_nanos() as u64)?;
    }
    Ok(*lateness)
}

fn intended(begun: Instant, n: u64, per_second: f64) -> Instant {
    begun + Duration::from_secs_f64(n as f64 / per_second)
}

/// Spins until an instant; by how much it has passed then.
fn wait_for(instant: Instant) -> Duration {
    loop {
        let now = Instant::now();
        if now >= instant {
            return now - instant;
        }
        std::hint::spin_loop();
    }
}

/// Closed loop, as fast as it goes.
fn capacity<C: Contender>(count: u64) -> anyhow::Result<f64> {
    C::play(Threads::Two, move |stage| async move {
        let to = start_one::<C>(&stage).await?;
        let begun = Instant::now();
        for _ in 0..count {
            to.aside(Aside::Timed(begun)).await;
        }
        let tally = to.take().await;
        let elapsed = begun.elapsed();
        ensure!(tally.count == count, "{} of {count} handled", tally.count);
        Ok(count as f64 / elapsed.as_secs_f64())
    })
}

fn race<C: Contender>(count: u64, per_second: f64) -> anyhow::Result<Histogram<u64>> {
    let warm_up = (count / 10).max(1000);
    C::play(Threads::Two, move |stage| async move {
        let to = start_one::<C>(&stage).await?;
        arrive(&to, warm_up, per_second).await;
        to.take().await;
        arrive(&to, count, per_second).await;
        let tally = to.take().await;
        ensure!(tally.count == count, "{} of {count} handled", tally.count);
        let latencies = tally.latencies.context("no latencies")?;
        Ok(*latencies)
    })
}

async fn arrive<A: Address>(to: &A, count: u64, per_second: f64) {
    let begun = Instant::now();
    for n in 0..count {
        let intended = intended(begun, n, per_second);
        wait_for(intended);
        to.aside(Aside::Timed(intended)).await;
    }
}
