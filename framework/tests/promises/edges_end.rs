//! An edge of the wait graph never outlives its wait: no ask is refused for a circle that is none any more.

use std::str::FromStr;
use std::time::Duration;

use crate::common::{ON_PURPOSE, quiet, quiet_panics, watchdog};
use mycelia::prelude::*;

/// A capture whose parser has a mistake.
struct Id(u64);

impl FromStr for Id {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        assert!(text.len() < 20, "a parser panics {ON_PURPOSE}");
        text.parse().map(Id)
    }
}

#[derive(Message)]
#[message(reply = u64)]
struct Look;

#[derive(Message)]
#[message(reply = u64)]
struct Ping;

/// What the handler of `front` does with an ask of `back`.
#[derive(Message, Clone, Copy, Debug)]
#[message(reply = u64)]
enum Go {
    ParserPanics,
    Forgets,
    ForgetsAfterAnAwait,
    LeavesItToATask,
    Drops,
    GivesUp,
    Panics,
}

#[derive(Subsystem, Default)]
struct Front;

#[routes]
impl Front {
    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u64 {
        7
    }

    #[route("go")]
    async fn go(&mut self, go: Go, system: System) -> anyhow::Result<u64> {
        let mut ask = Box::pin({
            let system = system.clone();
            async move {
                system
                    .ask("back://never", Ping)
                    .await
                    .map_err(anyhow::Error::from)
            }
        });
        match go {
            Go::ParserPanics => {
                let id = "9".repeat(30);
                system.ask(format!("back://look/{id}"), Look).await?;
            }
            Go::Forgets => {
                poll_once(&mut ask).await;
                std::mem::forget(ask);
            }
            Go::ForgetsAfterAnAwait => {
                poll_once(&mut ask).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                std::mem::forget(ask);
            }
            Go::LeavesItToATask => {
                poll_once(&mut ask).await;
                actix_rt::spawn(ask);
            }
            Go::Drops => poll_once(&mut ask).await,
            Go::GivesUp => drop(tokio::time::timeout(Duration::from_millis(1), ask).await),
            Go::Panics => {
                poll_once(&mut ask).await;
                panic!("a handler panics {ON_PURPOSE}");
            }
        }
        Ok(0)
    }
}

async fn poll_once<F: Future + Unpin>(future: &mut F) {
    std::future::poll_fn(|cx| {
        let _ = std::pin::Pin::new(&mut *future).poll(cx);
        std::task::Poll::Ready(())
    })
    .await;
}

#[derive(Subsystem, Default)]
struct Back;

#[routes]
impl Back {
    #[route("look/{id}")]
    fn look(&mut self, _: Look, Path(id): Path<Id>) -> u64 {
        id.0
    }

    #[route("call")]
    async fn call(&mut self, _: Ping, system: System) -> anyhow::Result<u64> {
        Ok(system.ask("front://ping", Ping).await?)
    }

    /// Keeps its message until the next one, which it keeps then.
    #[route("never")]
    fn never(&mut self, ping: Ping) -> mycelia::OrLater<u64, Ping> {
        mycelia::later(ping)
    }
}

#[mycelia::test]
async fn no_wait_of_a_handler_that_has_ended_closes_a_circle() {
    let _watch = watchdog();
    quiet_panics();
    for threads in [1, 2] {
        let system = System::builder().threads(threads).start().await.unwrap();
        system.mount(Front::default).await.unwrap();
        system.mount(Back::default).await.unwrap();
        for go in [
            Go::ParserPanics,
            Go::Forgets,
            Go::ForgetsAfterAnAwait,
            Go::LeavesItToATask,
            Go::Drops,
            Go::GivesUp,
            Go::Panics,
        ] {
            for _ in 0..10 {
                let _ = system.ask("front://go", go).await;
                let called = system.ask("back://call", Ping).await;
                assert_eq!(called.unwrap(), 7, "{go:?}");
            }
        }
        let stopped = system.stop_within(Duration::from_secs(5)).await;
        // What is kept for later is undeliverable at the end.
        assert!(system.snapshot().total.closes(), "{stopped:?}");
    }
}

/// Blocks its thread with an ask, and forgets another.
#[derive(Subsystem, Default)]
struct Disk;

#[routes]
impl Disk {
    #[route("forget", blocking)]
    fn forget(&mut self, _: Ping, system: System) -> u64 {
        let ask = Box::pin(async move { system.ask("back://never", Ping).await });
        let mut ask = Box::leak(Box::new(ask));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = std::pin::Pin::new(&mut ask).poll(&mut cx);
        1
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u64 {
        7
    }
}

#[derive(Subsystem, Default)]
struct Asks;

#[routes]
impl Asks {
    #[route("never")]
    fn never(&mut self, ping: Ping) -> mycelia::OrLater<u64, Ping> {
        mycelia::later(ping)
    }

    #[route("call")]
    async fn call(&mut self, _: Ping, system: System) -> anyhow::Result<u64> {
        Ok(system.ask("disk://ping", Ping).await?)
    }
}

#[mycelia::test]
async fn nor_does_one_of_a_handler_on_a_blocking_thread() {
    let _watch = watchdog();
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Disk::default).await.unwrap();
    system.mount_as("back", Asks::default).await.unwrap();
    for _ in 0..10 {
        assert_eq!(system.ask("disk://forget", Ping).await.unwrap(), 1);
        assert_eq!(system.ask("back://call", Ping).await.unwrap(), 7);
    }
    let now = system.snapshot();
    assert!(now.total.closes());
    drop(system);
}

#[mycelia::test]
async fn an_envelope_is_at_home_again_when_its_ask_was_given_up() {
    let _watch = watchdog();
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Front::default).await.unwrap();
    system.mount(Back::default).await.unwrap();
    for _ in 0..100 {
        system.ask("front://go", Go::Drops).await.unwrap();
    }
    // Its host keeps them for later, and gives back those that no one waits for.
    let ledger = quiet(&system).await;
    assert_eq!((ledger.expired, ledger.handled), (100, 100));
    system.stop().await.unwrap();
}
