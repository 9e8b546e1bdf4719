//! The pause before a restart: no one who ends a subsystem waits for it.

use std::time::{Duration, Instant};

use crate::common::{ON_PURPOSE, figures, named, quiet_panics, until, watchdog};
use mycelia::observe::Change;
use mycelia::prelude::*;
use mycelia::supervise::Backoff;

const LONG: Duration = Duration::from_secs(3600);

#[derive(Message)]
struct Go(bool);

#[derive(Message)]
#[message(reply = u32)]
struct Get;

#[derive(Subsystem, Default)]
struct Sub;

#[routes]
impl Sub {
    #[route("go")]
    fn go(&mut self, Go(ok): Go) {
        assert!(ok, "{ON_PURPOSE}");
    }

    #[route("get")]
    fn get(&mut self, _: Get) -> u32 {
        7
    }
}

/// A system whose only subsystem waits for its restart.
async fn pausing() -> System {
    quiet_panics();
    let system = System::builder().threads(1).start().await.unwrap();
    let options = named("sub").backoff(Backoff::new(LONG, LONG));
    system.mount_with(options, Sub::default).await.unwrap();
    let mut watch = system.watch("sub");
    system.tell("sub://go", Go(false)).await.unwrap();
    let failed = watch.next().await.unwrap().change;
    assert!(matches!(failed, Change::Failed(_)));
    until("it has failed", || system.snapshot().total.failed == 1).await;
    system
}

#[mycelia::test]
async fn a_stop_restarts_at_once_who_pauses_and_handles_what_waits_there() {
    let _watch = watchdog();
    for waiting in [0, 1, 5] {
        let system = pausing().await;
        for _ in 0..waiting {
            system.tell("sub://go", Go(true)).await.unwrap();
        }
        let begun = Instant::now();
        let report = system.stop_within(LONG).await.unwrap();
        let ledger = [1 + waiting, waiting, 1, 0, 0, 0];
        assert_eq!(figures(&report.ledger), ledger);
        assert!(begun.elapsed() < LONG / 100, "{:?}", begun.elapsed());
    }
}

#[mycelia::test]
async fn messages_that_fail_again_during_a_stop_are_told_and_cost_no_pause() {
    let _watch = watchdog();
    let system = pausing().await;
    for ok in [false, true, false] {
        system.tell("sub://go", Go(ok)).await.unwrap();
    }
    let asking = system.clone();
    let asked = tokio::spawn(async move { asking.ask("sub://get", Get).await });
    until("all wait", || system.snapshot().total.waiting == 4).await;
    let report = system.stop_within(LONG).await.unwrap();
    assert_eq!(figures(&report.ledger), [5, 2, 3, 0, 0, 0]);
    assert_eq!(asked.await.unwrap().unwrap(), 7);
}

#[mycelia::test]
async fn the_longest_pause_is_never_and_an_unmount_ends_it() {
    let _watch = watchdog();
    quiet_panics();
    let system = System::builder().threads(1).start().await.unwrap();
    let options = named("sub").backoff(Backoff::new(Duration::MAX, Duration::MAX));
    system.mount_with(options, Sub::default).await.unwrap();
    system.tell("sub://go", Go(false)).await.unwrap();
    until("it has failed", || system.snapshot().total.failed == 1).await;
    system.tell("sub://go", Go(true)).await.unwrap();
    let ledger = system.unmount("sub").await.unwrap();
    assert_eq!(figures(&ledger), [2, 1, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}
