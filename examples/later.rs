//! Run with `cargo run --example later`
//!
//! Messages that come too early are kept, in their envelopes, until the subsystem has changed.

use futures_util::future::{join, join3};
use mycelia::prelude::*;
use mycelia::{OrLater, later};
use std::time::Duration;

// ANCHOR: later
#[derive(Message)]
#[message(reply = String)]
struct Query(&'static str);

#[derive(Message)]
struct Connected(&'static str);

/// Answers nothing before it is connected.
#[derive(Subsystem, Default)]
struct Database {
    server: Option<&'static str>,
    answered: u32,
}

#[routes]
impl Database {
    #[route("connected")]
    fn connected(&mut self, Connected(server): Connected) {
        println!("connected to {server}");
        self.server = Some(server);
    }

    #[route("query")]
    fn query(&mut self, query: Query) -> OrLater<String, Query> {
        let Some(server) = self.server else {
            println!("`{}` is kept for later", query.0);
            return later(query);
        };
        self.answered += 1;
        OrLater::Reply(format!(
            "{} by {server}, as number {}",
            query.0, self.answered
        ))
    }
}
// ANCHOR_END: later

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(Database::default).await?;
    let query = system.route::<Query>("database://query")?;

    // One who will not wait long: its message is not handled any more when its time has come.
    let impatient = query.ask_within(Query("early"), Duration::from_millis(20));
    let error = impatient.await.unwrap_err();
    println!("{error}");
    assert!(matches!(error, AskError::DeadlineExceeded { .. }));

    // Three who wait, and the message that changes everything, which comes last.
    let asks = join3(
        query.ask(Query("a")),
        query.ask(Query("b")),
        query.ask(Query("c")),
    );
    let connect = system.tell("database://connected", Connected("db-7"));
    let ((a, b, c), connected) = join(asks, connect).await;
    connected?;
    for (answer, expected) in [
        (a?, "a by db-7, as number 1"),
        (b?, "b by db-7, as number 2"),
        (c?, "c by db-7, as number 3"),
    ] {
        println!("{answer}");
        assert_eq!(answer, expected); // in the order in which they came
    }

    let report = system.stop().await?;
    println!("{:?}", report.ledger);
    assert_eq!((report.ledger.handled, report.ledger.expired), (4, 1));
    Ok(())
}
