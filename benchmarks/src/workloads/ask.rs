//! Ask: what a reply costs, one at a time and with 100 in flight.

use anyhow::ensure;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::contender::{Address, Contender, Threads, start_one};
use crate::contenders::*;
use crate::workload::{Load, Meter, Reading, Workload};

const IN_FLIGHT: u64 = 100;

async fn ask_some<A: Address>(to: &A, first: u64, count: u64, step: u64) -> anyhow::Result<()> {
    for n in (first..count).step_by(step as usize) {
        let reply = to.ask(n).await;
        ensure!(reply == n + 1, "the reply to {n} was {reply}");
    }
    Ok(())
}

/// Asks with `width` loops under way at once, each one at a time.
async fn ask_all<A: Address>(to: &A, count: u64, width: u64) -> anyhow::Result<()> {
    if width == 1 {
        return ask_some(to, 0, count, 1).await;
    }
    let loops = (0..width).map(|first| ask_some(to, first, count, width));
    let mut loops: FuturesUnordered<_> = loops.collect();
    while let Some(result) = loops.next().await {
        result?;
    }
    Ok(())
}

fn ask<C: Contender>(threads: Threads, count: u64, width: u64) -> anyhow::Result<Reading> {
    let warm_up = count / 10;
    C::play(threads, move |stage| async move {
        let to = start_one::<C>(&stage).await?;
        ask_all(&to, warm_up, width).await?;
        to.take().await.check(warm_up)?;
        let meter = Meter::start();
        ask_all(&to, count, width).await?;
        let reading = meter.each(count);
        to.take().await.check(count)?;
        Ok(reading)
    })
}

fn ask_one<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    ask::<C>(Threads::One, load.share(5, 1000), 1)
}

fn ask_two<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    ask::<C>(Threads::Two, load.share(200, 500), 1)
}

fn many_one<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    ask::<C>(Threads::One, load.share(5, 1000), IN_FLIGHT)
}

fn many_two<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    ask::<C>(Threads::Two, load.share(5, 1000), IN_FLIGHT)
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    let unit = "ns/ask";
    vec![
        Workload::new("ask-1", "ask, one at a time, one thread", unit)
            .with::<Actix>(ask_one::<Actix>)
            .with::<ActixRecorded>(ask_one::<ActixRecorded>)
            .with::<Kameo>(ask_one::<Kameo>)
            .with::<Ractor>(ask_one::<Ractor>)
            .with::<Xtra>(ask_one::<Xtra>)
            .with::<TokioMpsc>(ask_one::<TokioMpsc>)
            .with::<MyceliaHandle>(ask_one::<MyceliaHandle>)
            .with::<MyceliaPath>(ask_one::<MyceliaPath>),
        Workload::new("ask-2", "ask, one at a time, two threads", unit)
            .with::<Actix>(ask_two::<Actix>)
            .with::<ActixRecorded>(ask_two::<ActixRecorded>)
            .with::<Kameo>(ask_two::<Kameo>)
            .with::<Ractor>(ask_two::<Ractor>)
            .with::<Xtra>(ask_two::<Xtra>)
            .with::<TokioMpsc>(ask_two::<TokioMpsc>)
            .with::<Crossbeam>(ask_two::<Crossbeam>)
            .with::<MyceliaHandle>(ask_two::<MyceliaHandle>)
            .with::<MyceliaPath>(ask_two::<MyceliaPath>),
        Workload::new("ask-100-1", "ask, 100 in flight, one thread", unit)
            .with::<Actix>(many_one::<Actix>)
            .with::<ActixRecorded>(many_one::<ActixRecorded>)
            .with::<Kameo>(many_one::<Kameo>)
            .with::<Ractor>(many_one::<Ractor>)
            .with::<Xtra>(many_one::<Xtra>)
            .with::<TokioMpsc>(many_one::<TokioMpsc>)
            .with::<MyceliaHandle>(many_one::<MyceliaHandle>)
            .with::<MyceliaPath>(many_one::<MyceliaPath>),
        Workload::new("ask-100-2", "ask, 100 in flight, two threads", unit)
            .with::<Actix>(many_two::<Actix>)
            .with::<ActixRecorded>(many_two::<ActixRecorded>)
            .with::<Kameo>(many_two::<Kameo>)
            .with::<Ractor>(many_two::<Ractor>)
            .with::<Xtra>(many_two::<Xtra>)
            .with::<TokioMpsc>(many_two::<TokioMpsc>)
            .with::<MyceliaHandle>(many_two::<MyceliaHandle>)
            .with::<MyceliaPath>(many_two::<MyceliaPath>),
    ]
}
