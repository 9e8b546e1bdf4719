//! Run with `cargo run --example topics`
//!
//! One message to all who subscribe, and what happens when one of them is slow.

use std::sync::Arc;
use std::time::Duration;

use mycelia::observe::Event;
use mycelia::prelude::*;
use mycelia::schedule::Overflow;

// ANCHOR: subscribe
/// A large part is shared, not copied.
#[derive(Message, Clone)]
struct Placed {
    total: u64,
    lines: Arc<[String]>,
}

#[derive(Subsystem, Default)]
struct Billing {
    sum: u64,
}

#[routes]
impl Billing {
    #[subscribe("orders://placed/{id}")]
    fn bill(&mut self, placed: Placed, Path(id): Path<u64>) {
        self.sum += placed.total;
        println!("billing: order {id}, {} lines", placed.lines.len());
    }

    #[route("sum")]
    fn sum(&mut self, _: Sum) -> u64 {
        self.sum
    }
}

/// Wants all of these topics, and takes its time.
#[derive(Subsystem, Default)]
struct Archive {
    kept: u64,
}

#[routes]
impl Archive {
    #[subscribe("orders://{*what}", last = 1)]
    async fn keep(&mut self, _: Placed, Path(what): Path<String>) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        println!("archive: {what}");
        self.kept += 1;
    }

    #[route("kept")]
    fn kept(&mut self, _: Sum) -> u64 {
        self.kept
    }
}
// ANCHOR_END: subscribe

#[derive(Message)]
#[message(reply = u64)]
struct Sum;

fn order(total: u64) -> Placed {
    let lines = ["tea".to_owned(), "cups".to_owned()];
    Placed {
        total,
        lines: lines.into(),
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().threads(2).start().await?;
    // ANCHOR: publish
    // The last order is kept for those who come later.
    system.retain::<Placed>("orders://placed/{id}", 1)?;
    let mut events = system.subscribe::<Event>("mycelia://lifecycle/{*name}", 64)?;

    // No one subscribes yet: that is no error, and counted.
    let published = system.publish("orders://placed/1", order(10)).await?;
    assert_eq!(published.matched, 0);

    system.mount(Billing::default).await?;
    let slow = MountOptions::new().capacity(1).overflow(Overflow::Wait);
    system.mount_with(slow, Archive::default).await?;

    // The archive has no room for the second one yet. Billing gets its copies at once; the publisher waits.
    for id in 2..5 {
        let published = system
            .publish(format!("orders://placed/{id}"), order(10))
            .await?;
        assert_eq!((published.matched, published.accepted), (2, 2));
    }
    // This one does not wait: who has no room misses it, and a dead letter says so.
    let published = system.try_publish("orders://placed/5", order(10))?;
    assert_eq!(
        (published.matched, published.accepted, published.missed),
        (2, 1, 1)
    );
    // ANCHOR_END: publish

    assert_eq!(system.ask("billing://sum", Sum).await?, 40);
    // Three that were published, and the one that was kept for it.
    assert_eq!(system.ask("archive://kept", Sum).await?, 4);

    // ANCHOR: account
    let topics = system.snapshot().topics;
    let orders = topics
        .topic("orders://{*what}")
        .expect("the archive is there");
    assert_eq!((orders.ledger.accepted, orders.ledger.missed), (4, 1));
    assert_eq!(topics.unheard, 1);
    // ANCHOR_END: account
    let event = events.next().await.expect("billing was mounted");
    println!("{}: {:?}", event.subsystem, event.change);
    assert_eq!(&*event.subsystem, "billing");
    system.stop().await?;
    Ok(())
}
