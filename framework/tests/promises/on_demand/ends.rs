//! The unused are put away, and come again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mycelia::OnDemand;
use mycelia::prelude::*;
use mycelia::supervise::Restart;
use mycelia::time::Clock;
use tokio::sync::Semaphore;

use super::{Add, Gate, Note, Wait, count, is_there, system, users};
use crate::common::{figures, quiet, until, watchdog};

#[mycelia::test]
async fn one_that_is_unused_for_long_is_put_away_and_has_saved_itself_before_it_comes_again() {
    let _watch = watchdog();
    let (clock, hand) = Clock::manual();
    let builder = System::builder().threads(1).clock(clock);
    let builder = builder.state(Gate(Semaphore::new(0)));
    let system = builder.start().await.unwrap();
    let store = users(&system, OnDemand::new().idle(Duration::from_secs(600))).await;
    for (key, n) in [("a", 1), ("b", 2)] {
        system
            .ask(format!("users/{key}://add"), Add(n))
            .await
            .unwrap();
    }
    // The registry notes at its next look that they were used.
    tokio::time::sleep(Duration::from_millis(50)).await;
    hand.advance(Duration::from_secs(599));
    assert_eq!(system.ask("users/a://add", Add(1)).await.unwrap(), 2);
    tokio::time::sleep(Duration::from_millis(50)).await;
    hand.advance(Duration::from_secs(2));
    until("one is put away", || !is_there(&system, "users/b")).await;
    assert!(is_there(&system, "users/a"));
    assert_eq!(system.ask("users/b://add", Add(1)).await.unwrap(), 3);
    assert_eq!(store.saved.load(Ordering::SeqCst), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn of_too_many_the_one_unused_longest_is_put_away() {
    let _watch = watchdog();
    let system = system(1).await;
    users(&system, OnDemand::new().at_most(3)).await;
    for key in ["a", "b", "c", "a", "d"] {
        system
            .ask(format!("users/{key}://add"), Add(1))
            .await
            .unwrap();
    }
    until("one is put away", || count(&system) == 3).await;
    assert!(!is_there(&system, "users/b"));
    assert_eq!(system.ask("users/b://add", Add(1)).await.unwrap(), 2);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn one_with_messages_is_not_put_away() {
    let _watch = watchdog();
    let system = system(1).await;
    users(&system, OnDemand::new().at_most(1)).await;
    system.tell("users/a://wait", Wait).await.unwrap();
    for key in ["b", "c"] {
        system
            .ask(format!("users/{key}://add"), Add(1))
            .await
            .unwrap();
    }
    until("the others are put away", || count(&system) <= 2).await;
    assert!(is_there(&system, "users/a"));
    system
        .unmount_within("users/a", Duration::ZERO)
        .await
        .unwrap();
    system.stop().await.unwrap();
}

/// Few keys with room for fewer: each message races with an end.
#[mycelia::test]
async fn a_message_that_races_with_the_end_is_handled_once_and_in_order() {
    let _watch = watchdog();
    const KEYS: u64 = 8;
    const EACH: u64 = 300;
    let system = system(2).await;
    let store = users(
        &system,
        OnDemand::new().at_most(2).idle(Duration::from_millis(10)),
    )
    .await;
    let senders = (0..KEYS).map(|key| {
        let system = system.clone();
        tokio::spawn(async move {
            let path = format!("users/{key}://note");
            let mut by_handle = None;
            for n in 1..=EACH {
                if n % 3 == 0 && by_handle.is_none() {
                    by_handle = system.route::<Note>(&path).ok();
                }
                match &by_handle {
                    Some(route) if n % 2 == 0 => route.tell(Note(n)).await.unwrap(),
                    _ => system.tell(&*path, Note(n)).await.unwrap(),
                }
                if n % 5 == 0 {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
                if n % 7 == 0 {
                    // Ended by another meanwhile.
                    drop(system.unmount(&format!("users/{key}")).await);
                }
            }
        })
    });
    for sender in Vec::from_iter(senders) {
        sender.await.unwrap();
    }
    let all = KEYS * EACH;
    assert_eq!(figures(&quiet(&system).await), [all, all, 0, 0, 0, 0]);
    system.stop().await.unwrap();
    assert!(store.made.load(Ordering::SeqCst) > KEYS);
    let sums = store.sums.lock().unwrap();
    assert!(sums.values().all(|sum| *sum == EACH), "{sums:?}");
}

#[mycelia::test]
async fn one_that_has_ended_by_itself_comes_again() {
    let _watch = watchdog();
    let system = system(1).await;
    let options = MountOptions::new()
        .restart(Restart::Never)
        .keep_failed(true);
    let store = users(&system, OnDemand::new().options(options)).await;
    system.ask("users/7://add", Add(1)).await.unwrap();
    // Out of order: it panics, and is not restarted.
    system.tell("users/7://note", Note(77)).await.unwrap();
    until("it has ended", || !is_there(&system, "users/7")).await;
    // What was not saved is lost with it.
    assert_eq!(system.ask("users/7://add", Add(5)).await.unwrap(), 5);
    assert_eq!(store.made.load(Ordering::SeqCst), 2);
    assert_eq!(figures(&quiet(&system).await), [3, 2, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}
