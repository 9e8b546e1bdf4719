//! Light load: how soon a lone message is handled by a sleeping receiver on another thread, and what a
//! program costs that does nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::contender::{Address, Contender, Threads, start_one};
use crate::contenders::*;
use crate::process;
use crate::tally::Aside;
use crate::workload::{Load, Reading, Workload};

/// Long enough for the receiver's thread to fall asleep.
const PAUSE: Duration = Duration::from_micros(200);
/// Long enough to see a timer that ticks ten times a second.
const IDLE: Duration = Duration::from_millis(400);
/// Long after the last message, and long enough for what happens once a second.
const SETTLED: Duration = Duration::from_secs(4);
const IDLE_LONG: Duration = Duration::from_secs(4);
const IDLE_ACTORS: usize = 100;

fn light<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    let count = load.share(500, 400);
    C::play(Threads::Two, move |stage| async move {
        let to = start_one::<C>(&stage).await?;
        to.take().await;
        let used = process::processor_time();
        for _ in 0..count {
            // The thread sleeps, not the task: no timer of an executor takes part.
            std::thread::sleep(PAUSE);
            to.aside(Aside::Timed(Instant::now())).await;
        }
        let tally = to.take().await;
        let used = process::processor_time().zip(used).map(|(b, a)| b - a);
        ensure!(tally.count == count, "{} of {count} handled", tally.count);
        let latencies = tally.latencies.context("no latencies")?;
        let reading = Reading::of(latencies.value_at_quantile(0.5) as f64);
        let reading = reading.note("p99", "ns", latencies.value_at_quantile(0.99) as f64);
        let cpu = used.map_or(f64::NAN, |used| used.as_nanos() as f64 / count as f64);
        Ok(reading.note("processor time per message", "ns", cpu))
    })
}

fn idle<C: Contender>(_: Load) -> anyhow::Result<Reading> {
    // What the start has left behind is not idling.
    idle_after::<C>(Duration::from_millis(20), IDLE)
}

fn idle_long<C: Contender>(_: Load) -> anyhow::Result<Reading> {
    idle_after::<C>(SETTLED, IDLE_LONG)
}

/// What idle actors use of a processor in `time`, that long after their last message.
fn idle_after<C: Contender>(pause: Duration, time: Duration) -> anyhow::Result<Reading> {
    C::play(Threads::Two, move |stage| async move {
        let crowd = C::start(&stage, IDLE_ACTORS).await?;
        for actor in &crowd {
            actor.ask(1).await;
        }
        std::thread::sleep(pause);
        let now = || process::processor_time().context("processor times are not known here");
        // Looking takes time too: what a look right after a look sees.
        let (first, second) = (now()?, now()?);
        std::thread::sleep(time);
        let used = (now()? - second).saturating_sub(second - first);
        drop(crowd);
        Ok(Reading::of(used.as_micros() as f64 / time.as_secs_f64()))
    })
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new(
            "light",
            "one message at a time to a sleeping thread: median until handled",
            "ns",
        )
        .with::<Actix>(light::<Actix>)
        .with::<Kameo>(light::<Kameo>)
        .with::<Ractor>(light::<Ractor>)
        .with::<Xtra>(light::<Xtra>)
        .with::<TokioMpsc>(light::<TokioMpsc>)
        .with::<Crossbeam>(light::<Crossbeam>)
        .with::<MyceliaHandle>(light::<MyceliaHandle>)
        .with::<MyceliaPath>(light::<MyceliaPath>),
        Workload::new("idle", "100 idle actors: processor time per second", "us/s")
            .with::<Actix>(idle::<Actix>)
            .with::<Kameo>(idle::<Kameo>)
            .with::<Ractor>(idle::<Ractor>)
            .with::<Xtra>(idle::<Xtra>)
            .with::<MyceliaHandle>(idle::<MyceliaHandle>)
            .without_ratios(),
        Workload::new(
            "idle-long",
            "100 idle actors, 4 s after: processor time per second",
            "us/s",
        )
        .with::<Actix>(idle_long::<Actix>)
        .with::<Kameo>(idle_long::<Kameo>)
        .with::<Ractor>(idle_long::<Ractor>)
        .with::<Xtra>(idle_long::<Xtra>)
        .with::<MyceliaHandle>(idle_long::<MyceliaHandle>)
        .without_ratios()
        .long(),
    ]
}
