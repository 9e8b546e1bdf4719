//! A handler that does not return is told of, and what its subsystem's options say is done.

use std::sync::mpsc;
use std::time::Duration;

use crate::common::{named, quiet, until, watchdog};
use mycelia::error::StopError;
use mycelia::observe::{Change, Stuck, StuckIn, Watch};
use mycelia::prelude::*;
use mycelia::supervise::{Failure, WhenStuck};
use mycelia::time::Clock;

const SOON: Duration = Duration::from_millis(50);

#[derive(Message)]
#[message(reply = u32)]
struct Hang;

/// Returns when the sender of this is dropped.
#[derive(Message)]
#[message(reply = u32)]
struct Block(mpsc::Receiver<()>);

#[derive(Message)]
#[message(reply = u32)]
struct Count;

#[derive(Default)]
struct Worker {
    count: u32,
}

impl Subsystem for Worker {
    const NAME: &'static str = "worker";
}

#[routes]
impl Worker {
    #[route("hang")]
    async fn hang(&mut self, _: Hang) -> u32 {
        std::future::pending().await
    }

    /// Never returns, and is never idle for long.
    #[route("poll")]
    async fn poll(&mut self, _: Hang) -> u32 {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[route("block")]
    fn block(&mut self, Block(until): Block) -> u32 {
        let _ = until.recv();
        self.count
    }

    #[route("elsewhere", blocking)]
    fn elsewhere(&mut self, Block(until): Block) -> u32 {
        let _ = until.recv();
        self.count
    }

    #[route("count")]
    async fn count(&mut self, _: Count) -> u32 {
        self.count += 1;
        tokio::task::yield_now().await;
        self.count
    }
}

async fn system() -> System {
    let builder = System::builder().threads(2).stuck_after(SOON);
    builder.start().await.unwrap()
}

async fn mount(system: &System, when: WhenStuck) {
    let options = named("worker").thread(0).when_stuck(when);
    system.mount_with(options, Worker::default).await.unwrap();
    let neighbour = named("neighbour").thread(0);
    system.mount_with(neighbour, Worker::default).await.unwrap();
}

async fn next(watch: &mut Watch) -> Change {
    watch.next().await.unwrap().change
}

async fn next_stuck(watch: &mut Watch) -> Stuck {
    match next(watch).await {
        Change::Stuck(stuck) => stuck,
        other => panic!("{other:?}"),
    }
}

fn snapshot(system: &System, name: &str) -> Option<Stuck> {
    system.snapshot().subsystem(name).unwrap().stuck
}

#[mycelia::test]
async fn a_handler_that_awaits_for_long_is_told_once_and_shown_while_it_lasts() {
    let _watch = watchdog();
    let system = system().await;
    mount(&system, WhenStuck::Tell).await;
    for path in ["worker://hang", "worker://poll"] {
        let mut watch = system.watch("worker");
        assert_eq!(snapshot(&system, "worker"), None);
        system.tell(path, Hang).await.unwrap();
        let stuck = next_stuck(&mut watch).await;
        assert_eq!(stuck.place, StuckIn::Await);
        assert!(stuck.age >= SOON);
        let shown = snapshot(&system, "worker").unwrap();
        assert!(shown.age >= stuck.age && shown.place == StuckIn::Await);
        // The neighbour has its turns all the while, and is not stuck however many it handles.
        for _ in 0..200 {
            system.ask("neighbour://count", Count).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(snapshot(&system, "neighbour"), None);
        system.restart("worker").await.unwrap();
        assert_eq!(snapshot(&system, "worker"), None);
        // Neither twice, nor out of order.
        let after = [next(&mut watch).await, next(&mut watch).await];
        assert!(after.contains(&Change::Restarted), "{after:?}");
        assert!(after.contains(&Change::Returned), "{after:?}");
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_that_holds_its_thread_is_told_and_its_neighbours_wait_and_are_not_to_blame() {
    let _watch = watchdog();
    let system = system().await;
    mount(&system, WhenStuck::Restart).await;
    let mut watch = system.watch_all();
    let (unblock, until_then) = mpsc::channel();
    system
        .tell("worker://block", Block(until_then))
        .await
        .unwrap();
    system.tell("neighbour://count", Count).await.unwrap();
    let stuck = next_stuck(&mut watch).await;
    assert_eq!(stuck.place, StuckIn::Thread);
    assert_eq!(snapshot(&system, "neighbour"), None);
    // Who comes now is placed elsewhere, however many live there already.
    for name in ["a", "b", "c", "d"] {
        system
            .mount_with(named(name), Worker::default)
            .await
            .unwrap();
        assert_eq!(system.snapshot().subsystem(name).unwrap().thread, 1);
        system.ask(format!("{name}://count"), Count).await.unwrap();
    }
    // No one can end it; it is restarted when it has returned.
    let mut restarted = system.watch("worker");
    drop(unblock);
    until("it is restarted", || {
        system.snapshot().subsystem("worker").unwrap().restarts == 1
    })
    .await;
    assert_eq!(snapshot(&system, "worker"), None);
    while next(&mut restarted).await != Change::Restarted {}
    let ledger = quiet(&system).await;
    assert_eq!((ledger.handled, ledger.failed), (6, 0));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn with_restart_a_handler_that_awaits_is_cut_off_and_its_subsystem_restarted() {
    let _watch = watchdog();
    let system = system().await;
    mount(&system, WhenStuck::Restart).await;
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 1);
    let mut watch = system.watch("worker");
    let asked = system.ask("worker://hang", Hang).await;
    assert!(
        matches!(asked, Err(AskError::Unhandled { .. })),
        "{asked:?}"
    );
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 1);
    next_stuck(&mut watch).await;
    assert!(matches!(next(&mut watch).await, Change::Failed(Failure::Stuck(age)) if age >= SOON));
    assert_eq!(next(&mut watch).await, Change::Restarted);
    let ledger = quiet(&system).await;
    assert_eq!((ledger.handled, ledger.failed), (2, 1));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_blocking_call_that_is_given_up_is_replaced_at_once_and_its_thread_is_missed_until_it_returns()
 {
    let _watch = watchdog();
    let system = system().await;
    mount(&system, WhenStuck::GiveUp).await;
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 1);
    let mut watch = system.watch("worker");
    let (unblock, until_then) = mpsc::channel();
    let asked = system.ask("worker://elsewhere", Block(until_then)).await;
    assert!(
        matches!(asked, Err(AskError::Unhandled { .. })),
        "{asked:?}"
    );
    let stuck = next_stuck(&mut watch).await;
    assert_eq!(stuck.place, StuckIn::BlockingThread);
    // A new value, while the call goes on with the old one.
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 1);
    // A stop names it as long as it has not returned.
    let error = system.stop_within(Duration::ZERO).await.unwrap_err();
    let StopError::Stuck { subsystems, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(*subsystems, ["worker".into()]);
    drop(unblock);
}

#[mycelia::test]
async fn with_restart_a_blocking_call_is_waited_for_so_that_there_are_never_two_values() {
    let _watch = watchdog();
    let system = system().await;
    mount(&system, WhenStuck::Restart).await;
    let (unblock, until_then) = mpsc::channel();
    let asked = system.ask("worker://elsewhere", Block(until_then)).await;
    assert!(
        matches!(asked, Err(AskError::Unhandled { .. })),
        "{asked:?}"
    );
    assert_eq!(system.snapshot().subsystem("worker").unwrap().restarts, 0);
    assert_eq!(
        snapshot(&system, "worker").unwrap().place,
        StuckIn::BlockingThread
    );
    drop(unblock);
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 1);
    assert_eq!(system.snapshot().subsystem("worker").unwrap().restarts, 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn it_goes_by_the_systems_clock_and_by_the_subsystems_own_time() {
    let _watch = watchdog();
    let (clock, hand) = Clock::manual();
    let hour = Duration::from_secs(3600);
    let builder = System::builder().threads(1).clock(clock).stuck_after(hour);
    let system = builder.start().await.unwrap();
    let own = |name, time| named(name).stuck_after(time);
    for options in [
        named("plain"),
        own("patient", Duration::MAX),
        own("hasty", hour / 2),
    ] {
        system.mount_with(options, Worker::default).await.unwrap();
    }
    let mut watch = system.watch_all();
    for name in ["plain", "patient", "hasty"] {
        system.tell(format!("{name}://hang"), Hang).await.unwrap();
    }
    // Seen by the supervisor.
    tokio::time::sleep(Duration::from_millis(100)).await;
    hand.advance(hour / 2);
    let first = watch.next().await.unwrap();
    assert_eq!(&*first.subsystem, "hasty");
    hand.advance(hour);
    let second = watch.next().await.unwrap();
    assert_eq!(&*second.subsystem, "plain");
    let stuck = |name| system.snapshot().subsystem(name).unwrap().stuck;
    assert_eq!(stuck("hasty").map(|it| it.age), Some(hour * 3 / 2));
    assert!(stuck("patient").is_none());
    let _ = system.stop_within(Duration::ZERO).await;
}

#[mycelia::test]
async fn a_system_can_be_told_not_to_look() {
    let _watch = watchdog();
    let builder = System::builder().threads(1).stuck_after(None);
    let system = builder.start().await.unwrap();
    system.mount(Worker::default).await.unwrap();
    let mut watch = system.watch("worker");
    system.tell("worker://hang", Hang).await.unwrap();
    tokio::time::sleep(SOON * 2).await;
    assert_eq!(watch.try_next(), None);
    assert_eq!(snapshot(&system, "worker"), None);
    let _ = system.stop_within(Duration::ZERO).await;
}
