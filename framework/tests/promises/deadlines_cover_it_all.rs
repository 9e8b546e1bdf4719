//! A deadline is a deadline: it counts from the call, and covers the wait for room as well as the wait for the
//! reply. Where nothing can be waited for, the send says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{block_on, figures, quiet, quiet_panics, until, watchdog};
use mycelia::prelude::*;

const SOON: Duration = Duration::from_millis(50);
/// Long after `SOON`, and long before the watchdog barks.
const LATE: Duration = Duration::from_secs(20);

#[derive(Message)]
#[message(reply = u64)]
struct Get(u64);

/// Waits until the gate is opened.
#[derive(Message)]
#[message(reply = u64)]
struct Pass;

struct Gate(tokio::sync::Semaphore);

#[derive(Subsystem, Default)]
struct Store;

#[routes]
impl Store {
    #[route("get")]
    fn get(&mut self, Get(n): Get) -> u64 {
        n
    }

    #[route("pass")]
    async fn pass(&mut self, _: Pass, State(gate): State<Gate>) -> u64 {
        gate.0.acquire().await.expect("it stays open").forget();
        0
    }
}

struct Fixture {
    system: System,
    gate: Arc<Gate>,
}

/// A subsystem `full` that takes one message, and a pool of two envelopes.
async fn fixture(builder: mycelia::Builder) -> Fixture {
    quiet_panics();
    let gate = Arc::new(Gate(tokio::sync::Semaphore::new(0)));
    let builder = builder.threads(2).pool(2).shared_state(gate.clone());
    let system = builder.start().await.unwrap();
    system.mount(Store::default).await.unwrap();
    let full = MountOptions::new().name("full").capacity(1);
    system.mount_with(full, Store::default).await.unwrap();
    Fixture { system, gate }
}

fn is_full<T: std::fmt::Debug, M>(asked: Result<T, AskError<M>>, get: impl Fn(M) -> u64, n: u64) {
    match asked {
        Err(AskError::Undelivered(undelivered)) => {
            assert!(undelivered.reason().is_full(), "{undelivered}");
            assert_eq!(get(undelivered.into_message()), n);
        }
        other => panic!("{other:?}"),
    }
}

#[mycelia::test]
async fn an_ask_that_finds_no_room_until_its_deadline_gets_its_message_back_then() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(System::builder()).await;
    system.try_tell("full://pass", Pass).unwrap();
    let begun = Instant::now();
    let asked = system.ask_within("full://get", Get(7), SOON).await;
    is_full(asked, |Get(n)| n, 7);
    assert!(begun.elapsed() >= SOON && begun.elapsed() < LATE);
    // The same for an envelope.
    system.try_tell("store://pass", Pass).unwrap();
    let begun = Instant::now();
    let asked = system.ask_within("store://get", Get(8), SOON).await;
    is_full(asked, |Get(n)| n, 8);
    assert!(begun.elapsed() >= SOON && begun.elapsed() < LATE);
    let told = system.tell_within("store://get", Get(9), SOON).await;
    let undelivered = told.unwrap_err();
    assert!(undelivered.reason().is_full());
    assert_eq!(undelivered.into_message().0, 9);
    gate.0.add_permits(2);
    assert_eq!(figures(&quiet(&system).await), [2, 2, 0, 0, 0, 0]);
    // None of those who gave up is left in a queue.
    assert_eq!(system.ask("full://get", Get(1)).await.unwrap(), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_deadline_of_the_builder_covers_the_wait_for_room_too() {
    let _watch = watchdog();
    let builder = System::builder().ask_deadline(SOON);
    let Fixture { system, gate } = fixture(builder).await;
    system.try_tell("full://pass", Pass).unwrap();
    is_full(system.ask("full://get", Get(7)).await, |Get(n)| n, 7);
    system.try_tell("store://pass", Pass).unwrap();
    is_full(system.ask("store://get", Get(8)).await, |Get(n)| n, 8);
    gate.0.add_permits(2);
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_wait_for_room_and_the_wait_for_the_reply_have_one_deadline_together() {
    let _watch = watchdog();
    let (clock, hand) = mycelia::time::Clock::manual();
    let builder = System::builder().clock(clock);
    let Fixture { system, gate } = fixture(builder).await;
    system.try_tell("full://pass", Pass).unwrap();
    let asking = {
        let system = system.clone();
        let deadline = Duration::from_secs(10);
        tokio::task::spawn_local(
            async move { system.ask_within("full://pass", Pass, deadline).await },
        )
    };
    tokio::task::yield_now().await;
    // It waits for room for six seconds, and for the reply four more.
    hand.advance(Duration::from_secs(6));
    gate.0.add_permits(1);
    until("the second one has its place", || {
        system.snapshot().total.sent == 2
    })
    .await;
    hand.advance(Duration::from_millis(4001));
    match asking.await.unwrap() {
        Err(AskError::DeadlineExceeded { deadline, .. }) => {
            assert_eq!(deadline, Duration::from_secs(10));
        }
        other => panic!("{other:?}"),
    }
    gate.0.add_permits(1);
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn try_ask_waits_for_the_reply_and_not_for_room() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(System::builder()).await;
    let full = system.route::<Get>("full://get").unwrap();
    assert_eq!(full.try_ask(Get(3)).await.unwrap(), 3);
    system.try_tell("full://pass", Pass).unwrap();
    is_full(full.try_ask(Get(4)).await, |Get(n)| n, 4);
    is_full(system.try_ask("full://get", Get(5)).await, |Get(n)| n, 5);
    let passing = system.try_ask("store://pass", Pass);
    gate.0.add_permits(2);
    assert_eq!(passing.await.unwrap(), 0);
    system.stop().await.unwrap();
}

#[derive(Subsystem, Default)]
struct Caller;

#[routes]
impl Caller {
    /// Waits in a handler that can't.
    #[route("sync")]
    fn sync(&mut self, Get(n): Get, system: System) -> anyhow::Result<u64> {
        Ok(block_on(system.ask("store://get", Get(n)))?)
    }

    #[route("sync/blocking")]
    fn sync_blocking(&mut self, Get(n): Get, system: System) -> anyhow::Result<u64> {
        Ok(system.ask_blocking("store://get", Get(n))?)
    }

    #[route("sync/tell")]
    fn sync_tell(&mut self, Get(n): Get, system: System) -> anyhow::Result<u64> {
        block_on(system.tell("full://get", Get(n)))?;
        Ok(n)
    }

    #[route("blocking", blocking)]
    fn blocking(&mut self, Get(n): Get, system: System) -> anyhow::Result<u64> {
        Ok(system.ask_blocking("store://get", Get(n))?)
    }

    /// With an executor of its own.
    #[route("blocking/within", blocking)]
    fn blocking_within(&mut self, Get(n): Get, system: System) -> anyhow::Result<u64> {
        Ok(block_on(system.ask_within("store://get", Get(n), LATE))?)
    }

    #[route("blocking/late", blocking)]
    fn blocking_late(&mut self, _: Get, system: System) -> anyhow::Result<u64> {
        Ok(block_on(system.ask_within("store://pass", Pass, SOON))?)
    }

    /// Blocks its thread, which then drives no timers.
    #[route("async/late")]
    async fn async_late(&mut self, _: Get, system: System) -> anyhow::Result<u64> {
        Ok(block_on(system.ask_within("store://pass", Pass, SOON))?)
    }
}

async fn caller() -> Fixture {
    let fixture = fixture(System::builder()).await;
    let system = fixture.system.clone();
    system.set_capacity("full", 1).unwrap();
    // On another thread than those it asks: there its thread would be needed.
    let options = MountOptions::new().thread(1);
    system.unmount("store").await.unwrap();
    system.mount_on(0, Store::default).await.unwrap();
    system.mount_with(options, Caller::default).await.unwrap();
    fixture
}

#[mycelia::test]
async fn a_handler_that_can_not_wait_is_told_so_and_what_to_do() {
    let _watch = watchdog();
    let Fixture { system, gate } = caller().await;
    for path in ["caller://sync", "caller://sync/blocking"] {
        let error = system.ask(path, Get(1)).await.unwrap_err();
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.contains("make it `async`"), "{text}");
    }
    // To tell is to wait only if there is no room.
    assert_eq!(system.ask("caller://sync/tell", Get(2)).await.unwrap(), 2);
    quiet(&system).await;
    system.try_tell("full://pass", Pass).unwrap();
    let error = system.ask("caller://sync/tell", Get(3)).await.unwrap_err();
    let text = format!("{:#}", anyhow::Error::from(error));
    assert!(text.contains("full"), "{text}");
    gate.0.add_permits(1);
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn every_ask_works_on_blocking_threads_and_on_plain_ones() {
    let _watch = watchdog();
    let Fixture { system, gate } = caller().await;
    for path in ["caller://blocking", "caller://blocking/within"] {
        assert_eq!(system.ask(path, Get(4)).await.unwrap(), 4, "{path}");
        assert_eq!(system.ask_within(path, Get(5), LATE).await.unwrap(), 5);
    }
    let begun = Instant::now();
    assert!(system.ask("caller://blocking/late", Get(0)).await.is_err());
    assert!(begun.elapsed() < LATE);
    gate.0.add_permits(1);
    quiet(&system).await;
    let plain = {
        let system = system.clone();
        std::thread::spawn(move || {
            let within = system.ask_within("store://get", Get(7), LATE);
            (
                system.ask_blocking("store://get", Get(6)).unwrap(),
                block_on(within).unwrap(),
            )
        })
    };
    let plain = tokio::task::spawn_blocking(|| plain.join().unwrap());
    assert_eq!(plain.await.unwrap(), (6, 7));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_deadline_passes_though_a_handler_blocks_the_thread_that_would_drive_its_timer() {
    let _watch = watchdog();
    let Fixture { system, gate } = caller().await;
    let begun = Instant::now();
    assert!(system.ask("caller://async/late", Get(0)).await.is_err());
    assert!(begun.elapsed() >= SOON && begun.elapsed() < LATE);
    gate.0.add_permits(1);
    quiet(&system).await;
    system.stop().await.unwrap();
}
