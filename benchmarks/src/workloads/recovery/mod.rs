//! Recovery: a handler panics with messages waiting behind it. When is the next message handled, and
//! how many are gone?
//!
//! Each contender recovers in the way that keeps the most and takes the least. A message is *lost* if
//! its send succeeded and no handler ever saw it; *refused* if its send said no.

mod victim;
mod victims;

use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::contender::Threads;
use crate::contenders::{Actix, Kameo, MyceliaHandle, Ractor, Xtra};
use crate::tally::histogram;
use crate::workload::{Load, Reading, Workload};

use victim::{Blow, HANDLED, PATIENCE, STRUCK, Victim, panicked_at};

const BEHIND: u64 = 10;

fn recovery<C: Victim>(load: Load) -> anyhow::Result<Reading> {
    let episodes = load.share(10_000, 50);
    // What the handlers of panics print is not to be measured, nor to be seen.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = C::play(Threads::Two, move |stage| async move {
        let mut hold = C::rise(&stage).await?;
        let (mut times, mut lost, mut refused) = (histogram(), 0, 0);
        for _ in 0..episodes {
            ensure!(
                C::ping(&stage, &mut hold).await? == Some(1),
                "it is not there"
            );
            HANDLED.store(0, Ordering::Relaxed);
            STRUCK.store(false, Ordering::Release);
            let begun = Instant::now();
            C::strike(&hold, Blow { is_deadly: true }).await;
            let mut accepted = 0;
            for _ in 0..BEHIND {
                accepted += u64::from(C::strike(&hold, Blow { is_deadly: false }).await);
            }
            STRUCK.store(true, Ordering::Release);
            while C::ping(&stage, &mut hold).await?.is_none() {
                ensure!(begun.elapsed() < PATIENCE, "it does not come back");
                // Anyone who brings it back may have been left on this very processor.
                std::thread::yield_now();
                tokio::task::yield_now().await;
            }
            let back = Instant::now();
            let panicked = panicked_at().take().context("it did not panic")?;
            let _ = times.record((back - panicked).as_nanos() as u64);
            let handled = HANDLED.load(Ordering::Relaxed);
            ensure!(handled <= accepted, "{handled} handled of {accepted}");
            lost += accepted - handled;
            refused += BEHIND - accepted;
        }
        let share = |n: u64| n as f64 / episodes as f64;
        Ok(Reading::of(times.value_at_quantile(0.5) as f64)
            .note("lost of 10 behind it", "messages", share(lost))
            .note("refused of 10 behind it", "messages", share(refused)))
    });
    std::panic::set_hook(before);
    result
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    let title = "a handler panics: median until a message after it is answered";
    vec![
        Workload::new("recovery", title, "ns")
            .with::<Actix>(recovery::<Actix>)
            .with::<Kameo>(recovery::<Kameo>)
            .with::<Ractor>(recovery::<Ractor>)
            .with::<Xtra>(recovery::<Xtra>)
            .with::<MyceliaHandle>(recovery::<MyceliaHandle>),
    ]
}
