//! Run with `cargo run --example supervision`
//!
//! What happens to a subsystem that panics: a pause, a new value; in the end its parent, then the system.

use mycelia::error::StopError;
use mycelia::observe::{Change, EndReason, Watch};
use mycelia::prelude::*;
use mycelia::supervise::{Backoff, Failure};
use std::time::Duration;

#[derive(Message)]
#[message(reply = usize)]
struct Fetch(&'static str);

// ANCHOR: child
#[derive(Subsystem, Default)]
struct Fetcher {
    after: Option<Failure>,
}

#[routes]
impl Fetcher {
    /// Called on the new value that the factory made after a failure.
    #[restarting]
    fn learn(&mut self, failure: Failure) {
        self.after = Some(failure);
    }

    #[route("fetch")]
    fn fetch(&mut self, Fetch(page): Fetch) -> usize {
        assert!(page.starts_with('/'), "no such page: {page}");
        println!("fetched {page}, after {:?}", self.after);
        page.len()
    }
}
// ANCHOR_END: child

// ANCHOR: parent
#[derive(Subsystem, Default)]
struct Crawler;

#[routes]
impl Crawler {
    #[started]
    async fn hire(&mut self, ctx: Context) -> anyhow::Result<()> {
        let minute = Duration::from_secs(60);
        let child = MountOptions::new()
            // A pause of 20 ms before the first restart, 40 ms before the second, up to one minute.
            .backoff(Backoff::new(Duration::from_millis(20), minute))
            // Two restarts within a minute are borne. One more, and the parent fails in its place.
            .intensity(2, minute);
        ctx.mount_with(child, Fetcher::default).await?;
        Ok(())
    }

    #[route("fetch")]
    async fn fetch(&mut self, fetch: Fetch, system: System) -> anyhow::Result<usize> {
        Ok(system.ask("crawler/fetcher://fetch", fetch).await?)
    }
}
// ANCHOR_END: parent

/// Tells what happens, up to a certain change of a subsystem.
async fn tell_until(events: &mut Watch, name: &str, is_it: impl Fn(&Change) -> bool) {
    while let Some(event) = events.next().await {
        println!("  {:16} {:?}", event.subsystem, event.change);
        if &*event.subsystem == name && is_it(&event.change) {
            return;
        }
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    std::panic::set_hook(Box::new(|_| ())); // the events below tell of the panics
    let system = System::builder().threads(1).start().await?;
    let mut events = system.watch_all();
    let root = MountOptions::new().intensity(1, Duration::from_secs(60));
    system.mount_with(root, Crawler::default).await?;

    println!("one bad page: the fetcher is restarted, the crawler never notices");
    system.tell("crawler/fetcher://fetch", Fetch("")).await?;
    // It waits until the fetcher is there again.
    let bytes = system.ask("crawler://fetch", Fetch("/news")).await?;
    assert_eq!(bytes, 5);
    let is_restarted = |change: &Change| *change == Change::Restarted;
    tell_until(&mut events, "crawler/fetcher", is_restarted).await;

    println!("two more: the fetcher fails too often, and the crawler is restarted in its place");
    for _ in 0..2 {
        system.tell("crawler/fetcher://fetch", Fetch("")).await?;
    }
    tell_until(&mut events, "crawler", is_restarted).await;
    assert_eq!(system.ask("crawler://fetch", Fetch("/news")).await?, 5);

    println!("three more: the crawler has failed too often itself, and the system stops");
    for _ in 0..3 {
        system.tell("crawler/fetcher://fetch", Fetch("")).await?;
    }
    let is_over = |change: &Change| matches!(change, Change::Ended(EndReason::Escalated(_)));
    tell_until(&mut events, "crawler", is_over).await;
    println!("stopped: {}", system.stopped().await);

    // `stop` joins the threads and says that the system had stopped by itself.
    let Err(StopError::Escalated(report)) = system.stop().await else {
        anyhow::bail!("it should have stopped by itself");
    };
    println!("{:?}", report.ledger);
    assert_eq!(report.ledger.failed, 6);
    Ok(())
}
