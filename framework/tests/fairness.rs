//! Promise 6: a flooded subsystem starves neither its neighbours nor the timers of its thread.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::{until, watchdog};
use mycelia::prelude::*;
use mycelia::{RoundRobin, Slice};

/// Messages that go round and round.
const FLOOD: u64 = 2_000;

/// The flood goes on until whoever must get through has got through: were anyone starved by it, the
/// test would never end.
#[derive(Default)]
struct Flood {
    is_over: AtomicBool,
    handled: AtomicU64,
}

#[derive(Message)]
struct Drop;

#[derive(Subsystem, Default)]
struct Flooded;

#[routes]
impl Flooded {
    /// Works for about a microsecond, then sends itself the next message.
    #[route("drop")]
    fn drop(&mut self, _: Drop, State(flood): State<Flood>, system: System) {
        for n in 0..50_u64 {
            std::hint::black_box(n);
        }
        flood.handled.fetch_add(1, Ordering::Relaxed);
        if !flood.is_over.load(Ordering::Relaxed) {
            system.try_tell("flooded://drop", Drop).unwrap();
        }
    }
}

#[derive(Message)]
#[message(reply = u64)]
struct Call;

#[derive(Subsystem, Default)]
struct Neighbour;

#[routes]
impl Neighbour {
    /// Answers how much of the flood has passed.
    #[route("call")]
    fn call(&mut self, _: Call, State(flood): State<Flood>) -> u64 {
        flood.handled.load(Ordering::Relaxed)
    }

    #[route("sleep")]
    async fn sleep(&mut self, _: Call, State(flood): State<Flood>) -> u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        flood.handled.load(Ordering::Relaxed)
    }
}

async fn flooded(slice: u32) -> (System, Arc<Flood>) {
    let flood = Arc::new(Flood::default());
    let system = System::builder()
        .threads(1)
        .pool(2 * FLOOD as usize)
        .strategy(RoundRobin(Slice::new(slice)))
        .shared_state(flood.clone())
        .start()
        .await
        .unwrap();
    system.mount(Flooded::default).await.unwrap();
    system.mount(Neighbour::default).await.unwrap();
    for _ in 0..FLOOD {
        system.tell("flooded://drop", Drop).await.unwrap();
    }
    until("the flood is under way at the given slice", || {
        let now = system.snapshot();
        flood.handled.load(Ordering::Relaxed) > 10 * FLOOD
            && now.subsystems.iter().all(|one| one.slice == slice)
    })
    .await;
    (system, flood)
}

async fn end(system: System, flood: Arc<Flood>) {
    flood.is_over.store(true, Ordering::Relaxed);
    let report = system.stop().await.unwrap();
    assert_eq!(report.ledger.sent, report.ledger.handled);
}

#[mycelia::test]
async fn a_neighbour_is_served_while_the_flood_goes_on() {
    let _watch = watchdog();
    let (system, flood) = flooded(64).await;
    let mut before = 0;
    for _ in 0..500 {
        let passed = system.ask("neighbour://call", Call).await.unwrap();
        assert!(passed >= before);
        before = passed;
    }
    let at_the_end = flood.handled.load(Ordering::Relaxed);
    until("the flood still goes on", || {
        flood.handled.load(Ordering::Relaxed) > at_the_end + FLOOD
    })
    .await;
    end(system, flood).await;
}

#[mycelia::test]
async fn timers_on_the_thread_fire_while_the_flood_goes_on() {
    let _watch = watchdog();
    for slice in [1, 64, u32::MAX] {
        let (system, flood) = flooded(slice).await;
        for _ in 0..50 {
            system.ask("neighbour://sleep", Call).await.unwrap();
        }
        end(system, flood).await;
    }
}

#[mycelia::test]
async fn a_neighbour_waits_for_about_one_slice_of_the_flood_and_not_for_all_of_it() {
    let _watch = watchdog();
    // How much of the flood passes in front of a message of the neighbour, in the middle of many.
    async fn passes_in_front(slice: u32) -> u64 {
        let (system, flood) = flooded(slice).await;
        let mut passed = Vec::new();
        for _ in 0..300 {
            let before = flood.handled.load(Ordering::Relaxed);
            passed.push(system.ask("neighbour://call", Call).await.unwrap() - before);
        }
        end(system, flood).await;
        passed.sort_unstable();
        passed[passed.len() / 2]
    }
    let short = passes_in_front(16).await;
    let endless = passes_in_front(u32::MAX).await;
    assert!(
        2 * short < endless,
        "{short} with a short slice, {endless} without"
    );
    // Without slices, the length of a turn in time still is an end.
    assert!(short < FLOOD, "{short}");
}

#[mycelia::test]
async fn the_waits_of_a_neighbour_shrink_with_the_slice() {
    let _watch = watchdog();
    async fn median_wait_ns(slice: u32) -> u64 {
        let (system, flood) = flooded(slice).await;
        for _ in 0..300 {
            system.ask("neighbour://call", Call).await.unwrap();
        }
        let now = system.snapshot();
        let latency = now.route("neighbour://call").unwrap().latency.unwrap();
        end(system, flood).await;
        assert_eq!(latency.count, 300);
        latency.wait.p50_ns
    }
    let (short, endless) = (median_wait_ns(16).await, median_wait_ns(u32::MAX).await);
    assert!(
        2 * short < endless,
        "{short} ns with a short slice, {endless} ns without"
    );
}

#[mycelia::test]
async fn a_flood_from_outside_starves_nobody_either() {
    let _watch = watchdog();
    let flood = Arc::new(Flood::default());
    let system = System::builder()
        .threads(1)
        .pool(500)
        .shared_state(flood.clone())
        .start()
        .await
        .unwrap();
    system.mount(Flooded::default).await.unwrap();
    system.mount(Neighbour::default).await.unwrap();
    // So that handled messages are not sent again.
    flood.is_over.store(true, Ordering::Relaxed);
    let is_enough = Arc::new(AtomicBool::new(false));
    let flooding = std::thread::spawn({
        let (system, is_enough) = (system.clone(), is_enough.clone());
        move || {
            let mut sent = 0;
            while !is_enough.load(Ordering::Relaxed) {
                system.tell_blocking("flooded://drop", Drop).unwrap();
                sent += 1;
            }
            sent
        }
    });
    for _ in 0..100 {
        system.ask("neighbour://call", Call).await.unwrap();
        system.ask("neighbour://sleep", Call).await.unwrap();
    }
    is_enough.store(true, Ordering::Relaxed);
    let sent: u64 = flooding.join().unwrap();
    let report = system.stop().await.unwrap();
    assert_eq!(report.ledger.handled, sent + 200);
}
