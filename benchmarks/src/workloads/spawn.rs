//! Spawn: what it takes to start 10,000 actors, and how many bytes each keeps while idle.
//!
//! The bytes are those that the counting allocator has given out and not got back, in a round of its
//! own; what the script keeps to hold the actors alive (addresses, names) is among them.

use anyhow::ensure;

use crate::allocator;
use crate::contender::{Contender, Threads};
use crate::contenders::*;
use crate::workload::{Load, Meter, Reading, Workload};

const ACTORS: usize = 10_000;

fn spawn<C: Contender>(_: Load) -> anyhow::Result<Reading> {
    C::play(Threads::One, move |stage| async move {
        // The first actor pays for what all share.
        let first = C::start(&stage, 1).await?;
        let before = allocator::so_far().live_bytes;
        let meter = Meter::start();
        let crowd = C::start_idle(&stage, ACTORS).await?;
        if let Some(last) = crowd.last() {
            C::ask_idle(&stage, last).await?;
        }
        let mut reading = meter.each(ACTORS as u64);
        // Whatever the start has put off is done by now, and counts.
        tokio::task::yield_now().await;
        if allocator::is_counting() {
            let bytes = (allocator::so_far().live_bytes - before) as f64 / ACTORS as f64;
            reading = reading.note("bytes per idle actor", "B", bytes);
        }
        for idle in &crowd {
            let reply = C::ask_idle(&stage, idle).await?;
            ensure!(reply == 2, "an idle actor replied {reply}");
        }
        drop(first);
        Ok(reading)
    })
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new("spawn", "start 10,000 actors", "ns/actor")
            .with::<Actix>(spawn::<Actix>)
            .with::<Kameo>(spawn::<Kameo>)
            .with::<Ractor>(spawn::<Ractor>)
            .with::<Xtra>(spawn::<Xtra>)
            .with::<TokioMpsc>(spawn::<TokioMpsc>)
            .with::<MyceliaHandle>(spawn::<MyceliaHandle>),
    ]
}
