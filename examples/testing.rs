//! Run with `cargo run --features test --example testing`
//!
//! How a subsystem is tested that talks to another one: a probe in the other's place, faults on purpose,
//! a clock that is turned by hand, a recording. In a project each of these functions is a test.

use std::time::Duration;

use mycelia::observe::DeadReason;
use mycelia::prelude::*;
use mycelia::time::Clock;
use mycelia_test::{BuilderExt, Faults, Probe, Recorder, Replay, Simulation, check_seeds};
use serde::{Deserialize, Serialize};

// ANCHOR: subject
#[derive(Message, Serialize, Deserialize)]
#[message(reply = String)]
struct Order {
    cents: u64,
}

#[derive(Message, Debug, PartialEq)]
#[message(reply = u64)] // the number of the receipt
struct Charge(u64);

#[derive(Message, Debug)]
struct Ship;

/// What is tested: an order is charged, then shipped.
#[derive(Subsystem, Default)]
struct Orders;

#[routes]
impl Orders {
    #[route("{id}")]
    async fn order(
        &mut self,
        order: Order,
        Path(id): Path<u64>,
        system: System,
    ) -> anyhow::Result<String> {
        let charge = Charge(order.cents);
        let receipt = system.ask(format!("billing://charge/{id}"), charge).await?;
        system.tell(format!("depot://ship/{id}"), Ship).await?;
        Ok(format!("receipt {receipt}"))
    }
}
// ANCHOR_END: subject

// ANCHOR: probe
// In a project: #[mycelia::test]
async fn an_order_is_charged_and_then_shipped() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(Orders::default).await?;
    let billing = Probe::new("billing")
        .on::<Charge>("charge/{id}", |Charge(cents), call| {
            anyhow::ensure!(*cents > 0, "nothing to charge for {}", call.captures[0]);
            Ok(1001)
        })
        .showing::<Charge>()
        .mount(&system)
        .await?;
    let depot = Probe::new("depot").takes::<Ship>("ship/{id}");
    let depot = depot.mount(&system).await?;

    let reply = system.ask("orders://7", Order { cents: 300 }).await?;
    assert_eq!(reply, "receipt 1001");
    let charge = billing.expect::<Charge>().at("charge/7").await;
    assert_eq!(charge, Charge(300));
    let ship = depot.expect::<Ship>().received().await;
    assert_eq!(ship.call.path, "depot://ship/7");
    assert_eq!(ship.call.sender.as_deref(), Some("orders"));

    // What can't be charged is not shipped.
    let refused = system.ask("orders://8", Order { cents: 0 }).await;
    assert!(refused.is_err());
    depot.expect_nothing(Duration::from_millis(20)).await;
    system.stop().await?;
    Ok(())
}
// ANCHOR_END: probe

// ANCHOR: failure
async fn a_failure_says_what_came_instead() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    let billing = Probe::new("billing")
        .replies::<Charge>("charge/{id}", 1001)
        .showing::<Charge>()
        .mount(&system)
        .await?;
    system.ask("billing://charge/8", Charge(300)).await?;
    let expectation = tokio::task::spawn_local(async move {
        let soon = Duration::from_millis(50);
        billing.expect::<Charge>().at("charge/7").within(soon).await
    });
    let panic = expectation.await.unwrap_err().into_panic();
    let text = panic.downcast::<String>().expect("it has a text");
    assert!(text.starts_with("`billing` was to get a `testing::Charge` at `billing://charge/7`"));
    assert!(
        text.ends_with("1. `testing::Charge` at `billing://charge/8` from outside: Charge(300)")
    );
    system.stop().await?;
    Ok(())
}
// ANCHOR_END: failure

// ANCHOR: faults
async fn an_order_survives_a_billing_that_panics_and_gets_lost() -> anyhow::Result<()> {
    let faults = Faults::with_seed(7); // the same faults at every run
    let panics = faults.panic("billing://**", 0.3)?;
    let drops = faults.drop("depot://ship/*", 0.3)?;
    let system = System::builder().faults(&faults).start().await?;
    let mut letters = system.dead_letters();
    system.mount(Orders::default).await?;
    let billing = Probe::new("billing").replies::<Charge>("charge/{id}", 1001);
    let billing = billing.mount(&system).await?;
    let depot = Probe::new("depot").takes::<Ship>("ship/{id}");
    let depot = depot.mount(&system).await?;

    let mut refused = 0;
    for id in 0..100 {
        let order = Order { cents: 300 };
        if system.ask(format!("orders://{id}"), order).await.is_err() {
            refused += 1;
        }
    }
    // An order fails if, and only if, its charge did.
    assert_eq!(refused, panics.injected());
    billing.expect_n::<Charge>(100 - refused as usize).await;
    let shipped = 100 - refused - drops.injected();
    depot.expect_n::<Ship>(shipped as usize).await;
    // What got lost is accounted for.
    for _ in 0..drops.injected() {
        let letter = letters.next().await.expect("each is a dead letter");
        assert_eq!(letter.reason, DeadReason::Injected);
    }
    faults.clear();
    system.ask("orders://100", Order { cents: 300 }).await?;
    let ledger = system.stop().await?.ledger;
    assert!(ledger.closes());
    assert_eq!(ledger.dropped, drops.injected());
    println!(
        "of 100 orders {refused} failed, {} were not shipped",
        ledger.dropped
    );
    Ok(())
}
// ANCHOR_END: faults

// ANCHOR: clock
async fn a_charge_that_takes_too_long_fails_the_order() -> anyhow::Result<()> {
    let (clock, hand) = Clock::manual();
    let faults = Faults::new();
    faults.full("billing://**", 1.0)?; // for ever, as good as
    let builder = System::builder().clock(clock).faults(&faults);
    let system = builder.start().await?;
    system.mount(Orders::default).await?;
    let billing = Probe::new("billing").replies::<Charge>("charge/{id}", 1001);
    let billing = billing.mount(&system).await?;

    let minute = Duration::from_secs(60);
    let order = system.ask_within("orders://7", Order { cents: 300 }, minute);
    // The deadline passes in no time.
    let turns = async { hand.advance(2 * minute) };
    let (late, ()) = futures_util::future::join(order, turns).await;
    assert!(late.unwrap_err().to_string().contains("60s"));
    faults.clear();
    billing.expect_nothing(Duration::from_millis(20)).await;
    system.stop().await?;
    Ok(())
}
// ANCHOR_END: clock

// ANCHOR: replay
async fn what_went_wrong_is_played_again() -> anyhow::Result<()> {
    let file = std::env::temp_dir().join(format!("orders-{}.jsonl", std::process::id()));
    let system = System::builder().start().await?;
    system.mount(Orders::default).await?;
    let recorder = Recorder::new(&file).message::<Order>("order");
    let recording = recorder.start(&system)?;
    for cents in [300, 0, 500] {
        // There is no billing: the order fails.
        system.tell("orders://7", Order { cents }).await?;
    }
    system.stop().await?;
    assert_eq!(recording.stop()?.messages, 3);

    let system = System::builder().start().await?;
    system.mount(Orders::default).await?;
    let billing = Probe::new("billing").replies::<Charge>("charge/{id}", 1001);
    let billing = billing.mount(&system).await?;
    let depot = Probe::new("depot").takes::<Ship>("ship/{id}");
    let depot = depot.mount(&system).await?;
    let replay = Replay::open(&file)?.message::<Order>("order");
    assert_eq!(replay.run(&system).await?.sent, 3);
    let charges = billing.expect_n::<Charge>(3).await;
    assert_eq!(charges, [Charge(300), Charge(0), Charge(500)]);
    depot.expect_n::<Ship>(3).await;
    system.stop().await?;
    std::fs::remove_file(file)?;
    Ok(())
}
// ANCHOR_END: replay

// ANCHOR: simulation
/// Fifty times the same, and each time the seed decides who goes on when.
fn however_the_threads_take_turns_every_order_is_charged_once() {
    let charges = check_seeds(0..50, |seed| {
        let simulation = Simulation::new(seed).threads(2);
        simulation.run(|sim| async move {
            let system = sim.system(System::builder()).await.unwrap();
            system.mount(Orders::default).await.unwrap();
            let billing = Probe::new("billing").replies::<Charge>("charge/{id}", 1001);
            let billing = billing.mount(&system).await.unwrap();
            let depot = Probe::new("depot").takes::<Ship>("ship/{id}");
            let depot = depot.mount(&system).await.unwrap();
            let orders = [1, 2, 3].map(|cents| {
                let system = system.clone();
                sim.spawn(async move { system.ask("orders://7", Order { cents }).await.is_ok() })
            });
            for order in orders {
                assert!(order.await.unwrap());
            }
            let mut charges = billing.expect_n::<Charge>(3).await;
            depot.expect_n::<Ship>(3).await;
            system.stop().await.unwrap();
            charges.sort_by_key(|Charge(cents)| *cents);
            charges
        })
    });
    for outcome in charges {
        assert_eq!(outcome.value, [Charge(1), Charge(2), Charge(3)]);
    }
}
// ANCHOR_END: simulation

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    // One of them fails on purpose, and others have handlers panic: not in the output.
    std::panic::set_hook(Box::new(|_| {}));
    an_order_is_charged_and_then_shipped().await?;
    a_failure_says_what_came_instead().await?;
    an_order_survives_a_billing_that_panics_and_gets_lost().await?;
    a_charge_that_takes_too_long_fails_the_order().await?;
    what_went_wrong_is_played_again().await?;
    however_the_threads_take_turns_every_order_is_charged_once();
    println!("all as expected");
    Ok(())
}
