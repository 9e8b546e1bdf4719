//! Tell: what a message costs from its sender's loop until it has been handled.
//!
//! Time is taken from before the first message until the receiver has answered a last question after
//! it, so everything that was sent has been handled within it.

use std::sync::{Arc, Barrier};

use anyhow::Context as _;

use crate::contender::{Address, Contender, Threads, check, start_one, tell_all, tokio_stage};
use crate::contenders::*;
use crate::workload::{Load, Meter, Reading, Workload};

/// Tells by one sender, on one thread or across two.
fn tell<C: Contender>(threads: Threads, load: Load) -> anyhow::Result<Reading> {
    let (count, warm_up) = (load.messages, load.share(10, 1));
    let shares_thread = threads == Threads::One;
    C::play(threads, move |stage| async move {
        let to = start_one::<C>(&stage).await?;
        tell_all(&to, warm_up, shares_thread).await;
        check::<C::Address>(&to.take().await, warm_up)?;
        let meter = Meter::start();
        tell_all(&to, count, shares_thread).await;
        let tally = to.take().await;
        let reading = meter.each(count);
        check::<C::Address>(&tally, count)?;
        if C::Address::KEEPS_ORDER {
            return Ok(reading);
        }
        Ok(reading.note("out of order", "messages", tally.disorder as f64))
    })
}

fn tell_one<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    tell::<C>(Threads::One, load)
}

fn tell_two<C: Contender>(load: Load) -> anyhow::Result<Reading> {
    tell::<C>(Threads::Two, load)
}

/// Raw actix, for other programs to compare with.
///
/// # Errors
/// A message was lost.
pub fn actix(threads: Threads, messages: u64) -> anyhow::Result<Reading> {
    tell::<Actix>(threads, Load { messages })
}

/// Tells by several senders, each with a thread and an executor of its own.
pub(super) fn senders<C: Contender, const SENDERS: u64>(load: Load) -> anyhow::Result<Reading> {
    let count = load.messages / SENDERS * SENDERS;
    let warm_up = load.share(10, 1);
    C::play(Threads::Two, move |stage| async move {
        let to = start_one::<C>(&stage).await?;
        tell_all(&to, warm_up, false).await;
        check::<C::Address>(&to.take().await, warm_up)?;
        // Time begins when all senders stand ready, and before any of them may go.
        let ready = Arc::new(Barrier::new(SENDERS as usize + 1));
        let go = Arc::new(Barrier::new(SENDERS as usize + 1));
        let send = |first: u64| {
            let (to, ready, go) = (to.clone(), ready.clone(), go.clone());
            move || {
                tokio_stage::run_here(async move {
                    ready.wait();
                    go.wait();
                    for n in (first..count).step_by(SENDERS as usize) {
                        to.tell(n).await;
                    }
                    Ok(())
                })
            }
        };
        let threads: Vec<_> = (0..SENDERS)
            .map(|first| std::thread::spawn(send(first)))
            .collect();
        ready.wait();
        let meter = Meter::start();
        go.wait();
        for thread in threads {
            thread.join().ok().context("a sender panicked")??;
        }
        let tally = to.take().await;
        let reading = meter.each(count);
        tally.check(count)?;
        Ok(reading)
    })
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    let unit = "ns/message";
    vec![
        Workload::new("tell-1", "tell, one thread", unit)
            .with::<Actix>(tell_one::<Actix>)
            .with::<ActixRecorded>(tell_one::<ActixRecorded>)
            .with::<Kameo>(tell_one::<Kameo>)
            .with::<Ractor>(tell_one::<Ractor>)
            .with::<Xtra>(tell_one::<Xtra>)
            .with::<TokioMpsc>(tell_one::<TokioMpsc>)
            .with::<MyceliaHandle>(tell_one::<MyceliaHandle>)
            .with::<MyceliaPath>(tell_one::<MyceliaPath>)
            .with::<MyceliaShared>(tell_one::<MyceliaShared>),
        Workload::new("tell-2", "tell, across two threads", unit)
            .with::<Actix>(tell_two::<Actix>)
            .with::<ActixRecorded>(tell_two::<ActixRecorded>)
            .with::<Kameo>(tell_two::<Kameo>)
            .with::<Ractor>(tell_two::<Ractor>)
            .with::<Xtra>(tell_two::<Xtra>)
            .with::<TokioMpsc>(tell_two::<TokioMpsc>)
            .with::<Crossbeam>(tell_two::<Crossbeam>)
            .with::<MyceliaHandle>(tell_two::<MyceliaHandle>)
            .with::<MyceliaPath>(tell_two::<MyceliaPath>)
            .with::<MyceliaShared>(tell_two::<MyceliaShared>),
        Workload::new("senders-4", "tell, 4 senders to 1", unit)
            .with::<Actix>(senders::<Actix, 4>)
            .with::<ActixRecorded>(senders::<ActixRecorded, 4>)
            .with::<Kameo>(senders::<Kameo, 4>)
            .with::<Ractor>(senders::<Ractor, 4>)
            .with::<Xtra>(senders::<Xtra, 4>)
            .with::<TokioMpsc>(senders::<TokioMpsc, 4>)
            .with::<Crossbeam>(senders::<Crossbeam, 4>)
            .with::<MyceliaHandle>(senders::<MyceliaHandle, 4>)
            .with::<MyceliaPath>(senders::<MyceliaPath, 4>)
            .with::<MyceliaShared>(senders::<MyceliaShared, 4>),
    ]
}
