//! Run with `cargo run --example later_reply`
//!
//! A handler that answers later: its subsystem has many asks under way at once, and none is lost.

use futures_util::future::join_all;
use mycelia::prelude::*;
use std::time::{Duration, Instant};

/// How long a page takes to come.
const PAUSE: Duration = Duration::from_millis(10);

// ANCHOR: later_reply
#[derive(Message)]
#[message(reply = String)]
struct Fetch(u32);

#[derive(Message)]
struct Fetched;

#[derive(Message)]
#[message(reply = u32)]
struct Count;

#[derive(Subsystem, Default)]
struct Web {
    fetched: u32,
}

#[routes]
impl Web {
    /// Holds up its mailbox: the next page is asked for when this one is there.
    #[route("slow/page")]
    async fn slow(&mut self, Fetch(n): Fetch) -> String {
        self.fetched += 1;
        page(n).await
    }

    /// Takes its reply along: the subsystem goes on at once.
    #[route("page")]
    fn fetch(&mut self, Fetch(n): Fetch, reply: Reply<Fetch>, ctx: Context) {
        let back = ctx.clone();
        ctx.spawn(async move {
            reply.send(page(n).await);
            // What came of it can come back as a message.
            let _ = back.spawn_then("fetched", async {}, |()| Fetched);
        });
    }

    #[route("fetched")]
    fn fetched(&mut self, _: Fetched) {
        self.fetched += 1;
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.fetched
    }
}
// ANCHOR_END: later_reply

async fn page(n: u32) -> String {
    tokio::time::sleep(PAUSE).await;
    format!("page {n}")
}

/// Asks for so many pages at once; how many came in a second.
async fn rate(system: &System, path: &str, pages: u32) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let asks = (0..pages).map(|n| system.ask(path, Fetch(n)));
    for (n, answer) in join_all(asks).await.into_iter().enumerate() {
        assert_eq!(answer?, format!("page {n}"));
    }
    Ok(f64::from(pages) / begun.elapsed().as_secs_f64())
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(Web::default).await?;
    let one_by_one = rate(&system, "web://slow/page", 20).await?;
    println!("one after the other: {one_by_one:.0} pages a second");
    let at_once = rate(&system, "web://page", 100).await?;
    println!("a hundred at once:   {at_once:.0} pages a second");
    assert!(at_once > 5.0 * one_by_one);
    while system.ask("web://count", Count).await? < 120 {}

    // An asker that does not wait long enough is told so; the reply that comes later does no harm.
    let impatient = system.ask_within("web://page", Fetch(0), PAUSE / 5).await;
    println!("{}", impatient.unwrap_err());

    let report = system.stop().await?;
    println!("{:?}", report.ledger);
    assert_eq!(report.ledger.sent, report.ledger.handled);
    Ok(())
}
