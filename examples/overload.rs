//! Run with `cargo run --example overload`
//!
//! A consumer that is too slow, and the four things that may become of what it has no room for.

use mycelia::observe::DeadReason;
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use std::time::Duration;
use tokio::sync::Semaphore;

const MESSAGES: u32 = 10;

#[derive(Message)]
struct Reading(u32);

#[derive(Message)]
#[message(reply = Vec<u32>)]
struct Shown;

/// Lets the display go on, and tells when it has begun: so the example decides how slow it is.
struct Gate {
    begun: Semaphore,
    go_on: Semaphore,
}

#[derive(Subsystem, Default)]
struct Display {
    shown: Vec<u32>,
}

#[routes]
impl Display {
    #[route("show")]
    async fn show(&mut self, Reading(n): Reading, State(gate): State<Gate>) -> anyhow::Result<()> {
        gate.begun.add_permits(1);
        gate.go_on.acquire().await?.forget();
        self.shown.push(n);
        Ok(())
    }

    #[route("shown")]
    fn shown(&mut self, _: Shown) -> Vec<u32> {
        self.shown.clone()
    }
}

/// Sends ten readings to a display that has room for four, and stands still meanwhile.
async fn flood(system: &System, gate: &Gate, policy: Overflow) -> anyhow::Result<String> {
    // ANCHOR: policy
    let options = MountOptions::new()
        .name(format!("{policy:?}"))
        .capacity(4)
        .overflow(policy);
    system.mount_with(options, Display::default).await?;
    // ANCHOR_END: policy
    let show = system.route::<Reading>(format!("{policy:?}://show"))?;
    show.tell(Reading(0)).await?;
    gate.begun.acquire().await?.forget(); // the first is in its handler, where it stays

    let (mut accepted, mut handed_back, mut waited) = (1, 0, 0);
    for n in 1..MESSAGES {
        let patience = Duration::from_millis(20);
        match tokio::time::timeout(patience, show.tell(Reading(n))).await {
            Ok(Ok(())) => accepted += 1,
            Ok(Err(undelivered)) => {
                assert!(undelivered.reason().is_full());
                handed_back += 1;
            }
            Err(_) => waited += 1, // and has sent nothing
        }
    }
    gate.go_on.add_permits(4);
    let name = format!("{policy:?}");
    system.set_capacity(&name, None)?; // makes room for the question
    let shown = system.ask(format!("{name}://shown"), Shown).await?;
    gate.begun.acquire_many(3).await?.forget();
    let dropped = system.unmount(&name).await?.dropped;
    let row = format!("{accepted:8} {handed_back:11} {waited:6} {dropped:7}   {shown:?}");
    println!("{name:10} {row}");
    Ok(row.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let gate = std::sync::Arc::new(Gate {
        begun: Semaphore::new(0),
        go_on: Semaphore::new(0),
    });
    let system = System::builder().shared_state(gate.clone()).start().await?;
    let mut letters = system.dead_letters();

    println!("policy     accepted handed back waited dropped   shown");
    for (policy, expected) in [
        (Overflow::Wait, "4 0 6 0 [0, 1, 2, 3]"),
        (Overflow::Reject, "4 6 0 0 [0, 1, 2, 3]"),
        (Overflow::DropNewest, "10 0 0 6 [0, 1, 2, 3]"),
        (Overflow::DropOldest, "10 0 0 6 [0, 7, 8, 9]"),
    ] {
        assert_eq!(flood(&system, &gate, policy).await?, expected);
    }

    // ANCHOR: dead_letters
    // What was dropped can be seen: one dead letter each.
    let mut dropped = Vec::new();
    while let Some(letter) = letters.try_next() {
        dropped.push(letter);
    }
    println!(
        "\n{} dead letters, the last: {}",
        dropped.len(),
        dropped[11]
    );
    let reason = DeadReason::Dropped(Overflow::DropOldest);
    assert!(dropped.len() == 12 && dropped[11].reason == reason);
    // ANCHOR_END: dead_letters

    let report = system.stop().await?;
    println!("{:?}", report.ledger);
    assert_eq!(report.ledger.dropped, 12);
    Ok(())
}
