//! Shared stamps, which one has to ask for: every message is recorded all the same, and the books say so.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{quiet, watchdog};
use mycelia::observe::{RouteLatency, Stamps};
use mycelia::prelude::*;
use mycelia::time::{Clock, ClockHand};
use tokio::sync::Semaphore;

#[derive(Message)]
struct Hold;

#[derive(Message)]
struct Take(Duration);

#[derive(Subsystem)]
struct Worker {
    hand: ClockHand,
    gate: Arc<Semaphore>,
}

#[routes]
impl Worker {
    #[route("hold")]
    async fn hold(&mut self, _: Hold) {
        self.gate.acquire().await.unwrap().forget();
    }

    #[route("take")]
    fn take(&mut self, Take(time): Take) {
        self.hand.advance(time);
    }
}

/// What is in the book after a subsystem has handled messages that take so long, which all waited.
async fn recorded(stamps: Stamps, messages: &[Duration]) -> RouteLatency {
    let (clock, hand) = Clock::manual();
    let builder = System::builder().threads(1).clock(clock).stamps(stamps);
    let system = builder.start().await.unwrap();
    assert_eq!(system.snapshot().stamps, stamps);
    let gate = Arc::new(Semaphore::new(0));
    let factory = {
        let gate = gate.clone();
        move || Worker {
            hand: hand.clone(),
            gate: gate.clone(),
        }
    };
    let options = MountOptions::new().own_histograms(true);
    system.mount_with(options, factory).await.unwrap();
    system.tell("worker://hold", Hold).await.unwrap();
    for time in messages {
        system.tell("worker://take", Take(*time)).await.unwrap();
    }
    gate.add_permits(1);
    quiet(&system).await;
    let now = system.snapshot();
    let latency = now.route("worker://take").unwrap().latency.unwrap();
    let of_kind = now.kind::<Worker>().unwrap().latency("take");
    assert_eq!(of_kind, Some(latency));
    // And the message that held the others up.
    let summed = now.subsystem("worker").unwrap().service;
    assert_eq!(summed.count, messages.len() as u64 + 1);
    system.stop().await.unwrap();
    latency
}

fn is_near(ns: f64, of: Duration) -> bool {
    (ns - of.as_nanos() as f64).abs() <= of.as_nanos() as f64 * 0.02
}

#[mycelia::test]
async fn short_messages_share_their_time_evenly_and_each_is_recorded() {
    let _watch = watchdog();
    let messages = [Duration::from_nanos(500); 1_000];
    let latency = recorded(Stamps::Shared, &messages).await;
    assert_eq!(latency.count, 1_000);
    assert!(is_near(latency.service.mean_ns, messages[0]), "{latency:?}");
    assert!(
        is_near(latency.service.max_ns as f64, messages[0]),
        "{latency:?}"
    );
    assert!(
        is_near(latency.wait.max_ns as f64, messages[0] * 999),
        "{latency:?}"
    );
}

#[mycelia::test]
async fn a_long_message_is_timed_by_itself_but_for_the_first_among_short_ones() {
    let _watch = watchdog();
    let long = Duration::from_millis(1);
    let latency = recorded(Stamps::Shared, &[long; 50]).await;
    assert_eq!(latency.count, 50);
    assert!(is_near(latency.service.p50_ns as f64, long), "{latency:?}");
    assert!(is_near(latency.service.max_ns as f64, long), "{latency:?}");
    // After a hundred short ones, at most sixteen share the time of the first long one.
    let mut messages = vec![Duration::from_nanos(500); 100];
    messages.extend([long; 50]);
    let latency = recorded(Stamps::Shared, &messages).await;
    assert_eq!(latency.count, 150);
    let mean_ns = latency.service.mean_ns * 150.0;
    assert!(is_near(mean_ns, long * 50), "no time is lost: {latency:?}");
    assert!(is_near(latency.service.p90_ns as f64, long), "{latency:?}");
}

#[mycelia::test]
async fn by_default_no_message_shares_a_stamp() {
    let _watch = watchdog();
    let mut messages = vec![Duration::from_nanos(500); 990];
    messages.extend([Duration::from_millis(1); 10]);
    let latency = recorded(Stamps::Own, &messages).await;
    assert!(
        is_near(latency.service.p50_ns as f64, messages[0]),
        "{latency:?}"
    );
    assert!(
        is_near(latency.service.max_ns as f64, messages[999]),
        "{latency:?}"
    );
}
