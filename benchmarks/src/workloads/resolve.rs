//! Path resolution: a message to one of 1,000 actors, found by its name each time.
//!
//! mycelia twice: by the text of a path, and by resolving a handle for every single message, which is
//! what handles are not for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::contender::{Address, ByName, Threads};
use crate::contenders::*;
use crate::tally::Tally;
use crate::workload::{Load, Meter, Reading, Workload};

const ACTORS: usize = 1000;

/// Some registries are the process's own: a name is used once.
fn new_names() -> Vec<String> {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    (0..ACTORS).map(|i| format!("worker-{run}-{i}")).collect()
}

async fn tell_all<C: ByName>(directory: &C::Directory, texts: &[String], count: u64) {
    let burst = <C::Address as Address>::YIELDS_AFTER.unwrap_or(u64::MAX);
    for n in 0..count {
        // A stride, so that neighbours in the list are not neighbours in time.
        let text = &texts[(n as usize * 7) % texts.len()];
        C::tell_named(directory, text, n).await;
        if n % burst == burst - 1 {
            tokio::task::yield_now().await;
        }
    }
}

async fn take_all<C: ByName>(directory: &C::Directory, names: &[String]) -> Tally {
    let mut total = Tally::default();
    for name in names {
        total.merge(&C::take_named(directory, name).await);
    }
    total
}

fn resolve<C: ByName>(load: Load) -> anyhow::Result<Reading> {
    let count = load.messages;
    C::play(Threads::One, move |stage| async move {
        let names = new_names();
        let directory = C::start_named(&stage, &names).await?;
        let texts: Vec<String> = names.iter().map(|name| C::text(name)).collect();
        tell_all::<C>(&directory, &texts, texts.len() as u64).await;
        let tally = take_all::<C>(&directory, &names).await;
        tally.check(texts.len() as u64)?;
        let meter = Meter::start();
        tell_all::<C>(&directory, &texts, count).await;
        let tally = take_all::<C>(&directory, &names).await;
        let reading = meter.each(count);
        tally.check(count)?;
        Ok(reading)
    })
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    let title = "tell one of 1,000 actors, found by name each time, one thread";
    vec![
        Workload::new("by-name", title, "ns/message")
            .with::<Actix>(resolve::<Actix>)
            .with::<Kameo>(resolve::<Kameo>)
            .with::<Ractor>(resolve::<Ractor>)
            .with::<Xtra>(resolve::<Xtra>)
            .with::<MyceliaHandle>(resolve::<MyceliaHandle>)
            .with::<MyceliaPath>(resolve::<MyceliaPath>),
    ]
}
