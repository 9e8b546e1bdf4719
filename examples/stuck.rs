//! Run with `cargo run --example stuck`
//!
//! What hangs is seen and ended: a handler with a time limit, a subsystem that is stuck, and what one does to
//! subsystems by hand.

use std::time::Duration;

use mycelia::observe::{Change, StuckIn};
use mycelia::prelude::*;
use mycelia::supervise::WhenStuck;

// ANCHOR: within
#[derive(Message)]
#[message(reply = String)]
struct Fetch(&'static str);

#[derive(Subsystem, Default)]
struct Fetcher {
    fetched: u32,
}

#[routes]
impl Fetcher {
    /// Has 50 ms; then it is cut off where it awaits.
    #[route("fetch", within = "50ms")]
    async fn fetch(&mut self, Fetch(host): Fetch) -> String {
        self.fetched += 1;
        if host == "slow.example" {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        format!("{host}, as number {}", self.fetched)
    }

    /// Has as long as it takes.
    #[route("patiently")]
    async fn patiently(&mut self, _: Fetch) -> String {
        std::future::pending().await
    }

    /// May block its thread, which is none of the subsystems'.
    #[route("library", blocking)]
    fn library(&mut self, _: Fetch) -> String {
        std::thread::sleep(Duration::from_millis(500));
        "at last".into()
    }
}
// ANCHOR_END: within

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder()
        .stuck_after(Duration::from_millis(100))
        .start()
        .await?;

    // A handler with a time limit: its asker is told, and the subsystem goes on as it was left.
    system.mount(Fetcher::default).await?;
    let error = system.ask("fetcher://fetch", Fetch("slow.example")).await;
    let error = error.unwrap_err();
    println!("{error}");
    assert!(matches!(error, AskError::DeadlineExceeded { .. }));
    let answer = system.ask("fetcher://fetch", Fetch("fast.example")).await?;
    assert_eq!(answer, "fast.example, as number 2");

    // ANCHOR: stuck
    // A handler without one: it is told that it is stuck, once, and shown while it lasts.
    let mut events = system.watch("fetcher");
    system.tell("fetcher://patiently", Fetch("a")).await?;
    let Some(Change::Stuck(stuck)) = events.next().await.map(|event| event.change) else {
        anyhow::bail!("nothing else happens to it");
    };
    println!("stuck for {:?}, it holds {:?}", stuck.age, stuck.place);
    assert_eq!(stuck.place, StuckIn::Await);
    let now = system.snapshot();
    assert!(
        now.subsystem("fetcher")
            .is_some_and(|it| it.stuck.is_some())
    );

    // By hand: a new value, at once.
    system.restart("fetcher").await?;
    let answer = system.ask("fetcher://fetch", Fetch("b.example")).await?;
    assert_eq!(answer, "b.example, as number 1");
    // ANCHOR_END: stuck

    // ANCHOR: give_up
    // By itself: a blocking call that does not return is given up, and goes on without its subsystem.
    let options = MountOptions::new()
        .name("library")
        .when_stuck(WhenStuck::GiveUp);
    system.mount_with(options, Fetcher::default).await?;
    let lost = system.ask("library://library", Fetch("c")).await;
    assert!(matches!(lost, Err(AskError::Unhandled { .. })));
    let answer = system.ask("library://fetch", Fetch("d.example")).await?;
    assert_eq!(answer, "d.example, as number 1");
    // ANCHOR_END: give_up

    // ANCHOR: pause
    // Nothing is handled while it is paused; what waits can be cleared, or goes on when it is resumed.
    system.pause("fetcher").await?;
    for host in ["e.example", "f.example"] {
        system.tell("fetcher://fetch", Fetch(host)).await?;
    }
    assert_eq!(system.clear("fetcher").await?, 2);
    system.tell("fetcher://fetch", Fetch("g.example")).await?;
    system.resume("fetcher").await?;
    let answer = system.ask("fetcher://fetch", Fetch("h.example")).await?;
    assert_eq!(answer, "h.example, as number 3");
    // ANCHOR_END: pause

    let ledger = system.stop().await?.ledger;
    println!("{ledger:?}");
    assert!(ledger.closes());
    assert_eq!((ledger.failed, ledger.dropped), (3, 2));
    Ok(())
}
