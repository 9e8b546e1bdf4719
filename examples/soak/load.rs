//! The load: tells and asks at a fixed rate, and now and then a break, a mount, an unmount.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mycelia::error::AskError;
use mycelia::prelude::*;

use crate::scene::{Break, Guest, HowMuch, Put, SHELVES};
use examples_lib::chance::Die;

/// One of so many messages is an ask.
const ASKS: u64 = 20;
/// Between two breaks of something, and between two visits of the guest.
const BREAK: Duration = Duration::from_millis(500);
/// Where a break is sent: now and then three go to the same shelf, which fails the shop.
const FRAGILE: [&str; 6] = [
    "shop/0://break",
    "shop/1://break",
    "shop/2://break",
    "shop/3://break",
    "clock://break",
    "feed://break",
];

/// What was sent, as its sender knows.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) told: AtomicU64,
    /// Asks that were accepted, whatever came of them.
    pub(crate) asked: AtomicU64,
    /// Sends that were refused because their receiver was away.
    pub(crate) refused: AtomicU64,
    pub(crate) mounts: AtomicU64,
    pub(crate) ends: AtomicBool,
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Sent {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    fn tell<M: Message>(&self, told: Result<(), Undelivered<M>>) {
        match told {
            Ok(()) => add_one(&self.told),
            Err(_) => add_one(&self.refused),
        }
    }
}

/// Tells and asks at a rate until it is told to end.
pub(crate) async fn send(system: System, sent: Arc<Sent>, rate: u64) {
    let begun = Instant::now();
    let mut number = 0;
    while sent.goes_on() {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        if number >= due {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        number += 1;
        let shelf = number % SHELVES;
        if number % ASKS == 0 {
            let ask = HowMuch {
                sent: Instant::now(),
            };
            // Every other one is answered later.
            let route = if number % (2 * ASKS) == 0 {
                "later"
            } else {
                "sum"
            };
            match system.ask(format!("desk://{route}/{shelf}"), ask).await {
                Err(AskError::Undelivered(_)) => add_one(&sent.refused),
                _ => add_one(&sent.asked),
            }
            continue;
        }
        let put = Put {
            sent: Instant::now(),
            what: vec![0; 64],
        };
        sent.tell(system.tell(format!("shop/{shelf}://put"), put).await);
    }
}

/// Breaks something, and has a guest come and go, until it is told to end.
pub(crate) async fn disturb(system: System, sent: Arc<Sent>) {
    let mut die = Die::new(1);
    while sent.goes_on() {
        tokio::time::sleep(BREAK).await;
        let fragile = FRAGILE[die.throw(FRAGILE.len() as u64) as usize];
        sent.tell(system.tell(fragile, Break).await);
        if system.mount(Guest::default).await.is_ok() {
            add_one(&sent.mounts);
            for _ in 0..50 {
                let put = Put {
                    sent: Instant::now(),
                    what: vec![0; 64],
                };
                sent.tell(system.tell("guest://put", put).await);
            }
            // What it has accepted it handles first.
            let _ = system.unmount("guest").await;
        }
    }
}
