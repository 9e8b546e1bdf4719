//! Scale: does a message cost more where there are many subsystems, routes or senders?

use std::sync::atomic::Ordering;

use anyhow::ensure;
use mycelia::prelude::*;

use super::tell::senders;
use crate::allocator;
use crate::contender::{Address, Contender, Threads};
use crate::contenders::{Actix, Kameo, MyceliaHandle, MyceliaPath, Ractor, Xtra};
use crate::tally::{Add, Aside, COUNTED, Take};
use crate::workload::{Load, Meter, Reading, Workload};

/// Tells, one thread, to so many actors in turn.
fn actors<C: Contender, const ACTORS: usize>(load: Load) -> anyhow::Result<Reading> {
    let count = load.share(1, ACTORS as u64);
    C::play(Threads::One, move |stage| async move {
        let crowd = C::start(&stage, ACTORS).await?;
        // Each actor's first message pays for what is made at the first message.
        COUNTED.store(0, Ordering::Relaxed);
        for actor in &crowd {
            actor.aside(Aside::Count).await;
        }
        while COUNTED.load(Ordering::Relaxed) < ACTORS as u64 {
            tokio::task::yield_now().await;
        }
        COUNTED.store(0, Ordering::Relaxed);
        let burst = C::Address::YIELDS_AFTER.unwrap_or(u64::MAX);
        let meter = Meter::start();
        for n in 0..count {
            crowd[n as usize % ACTORS].aside(Aside::Count).await;
            if n % burst == burst - 1 {
                tokio::task::yield_now().await;
            }
        }
        while COUNTED.load(Ordering::Relaxed) < count {
            tokio::task::yield_now().await;
        }
        let reading = meter.each(count);
        let counted = COUNTED.load(Ordering::Relaxed);
        ensure!(counted == count, "{counted} handled of {count} sent");
        Ok(reading)
    })
}

/// A subsystem with many routes.
struct Wide<const ROUTES: usize>(crate::tally::Tally);

impl<const ROUTES: usize> Subsystem for Wide<ROUTES> {
    const NAME: &'static str = "wide";
}

impl<const ROUTES: usize> Routes for Wide<ROUTES> {
    fn routes(table: &mut RouteTable<Self>) {
        for i in 0..ROUTES {
            let pattern = format!("route-{i}/{{id}}");
            table.on(
                &pattern,
                |wide: &mut Self, Add(n), (Path(id),): (Path<u64>,)| {
                    std::hint::black_box(id);
                    wide.0.add(n);
                },
            );
        }
        table.on("take", |wide: &mut Self, _: Take, ()| wide.0.take());
    }
}

fn routes<const ROUTES: usize>(load: Load) -> anyhow::Result<Reading> {
    let count = load.messages;
    MyceliaPath::play(Threads::One, move |system| async move {
        let wide = || Wide::<ROUTES>(Default::default());
        system.mount_on(0, wide).await?;
        let paths: Vec<String> = (0..ROUTES.max(1000))
            .map(|i| format!("wide://route-{}/{i}", i % ROUTES))
            .collect();
        let before = allocator::so_far().live_bytes;
        for (n, path) in paths.iter().enumerate() {
            system.tell(path.as_str(), Add(n as u64)).await?;
        }
        let tally = system.ask("wide://take", Take).await?;
        tally.check_in_order(paths.len() as u64)?;
        let kept = (allocator::so_far().live_bytes - before) as f64 / ROUTES as f64;
        let meter = Meter::start();
        for n in 0..count {
            let path = paths[n as usize % paths.len()].as_str();
            system.tell(path, Add(n)).await?;
        }
        let tally = system.ask("wide://take", Take).await?;
        let mut reading = meter.each(count);
        tally.check_in_order(count)?;
        if allocator::is_counting() {
            reading = reading.note("bytes per route in use", "B", kept);
        }
        Ok(reading)
    })
}

fn crowd<const ACTORS: usize>(name: &'static str, title: &'static str) -> Workload {
    Workload::new(name, title, "ns/message")
        .with::<Actix>(actors::<Actix, ACTORS>)
        .with::<Kameo>(actors::<Kameo, ACTORS>)
        .with::<Ractor>(actors::<Ractor, ACTORS>)
        .with::<Xtra>(actors::<Xtra, ACTORS>)
        .with::<MyceliaHandle>(actors::<MyceliaHandle, ACTORS>)
        .with::<MyceliaPath>(actors::<MyceliaPath, ACTORS>)
}

fn gang<const SENDERS: u64>(name: &'static str, title: &'static str) -> Workload {
    Workload::new(name, title, "ns/message")
        .with::<Actix>(senders::<Actix, SENDERS>)
        .with::<Kameo>(senders::<Kameo, SENDERS>)
        .with::<Ractor>(senders::<Ractor, SENDERS>)
        .with::<Xtra>(senders::<Xtra, SENDERS>)
        .with::<MyceliaHandle>(senders::<MyceliaHandle, SENDERS>)
        .with::<MyceliaPath>(senders::<MyceliaPath, SENDERS>)
}

fn width<const ROUTES: usize>(name: &'static str, title: &'static str) -> Workload {
    Workload::new(name, title, "ns/message").with::<MyceliaPath>(routes::<ROUTES>)
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    vec![
        crowd::<10>("actors-10", "tell 10 actors in turn, one thread"),
        crowd::<1000>("actors-1000", "tell 1,000 actors in turn, one thread"),
        crowd::<10_000>("actors-10000", "tell 10,000 actors in turn, one thread"),
        crowd::<100_000>("actors-100000", "tell 100,000 actors in turn, one thread").long(),
        width::<1>("routes-1", "tell by path, a subsystem of 1 route"),
        width::<100>("routes-100", "tell by path, a subsystem of 100 routes"),
        width::<10_000>("routes-10000", "tell by path, a subsystem of 10,000 routes"),
        gang::<1>("senders-1", "tell, 1 sender to 1"),
        gang::<2>("senders-2", "tell, 2 senders to 1"),
        gang::<8>("senders-8", "tell, 8 senders to 1"),
    ]
}
