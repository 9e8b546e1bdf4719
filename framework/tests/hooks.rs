//! Promise 5, of hooks: one that fails in whatever way, or never ends, holds up nobody.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{ON_PURPOSE, quiet_panics, until, watchdog};
use mycelia::prelude::*;
use mycelia::{EndReason, MountError, Restart, StopError};

#[derive(Message)]
#[message(reply = ())]
struct Ping;

#[derive(Message)]
struct StopNow;

/// How its hooks behave, and how often they were called.
#[derive(Default, Clone)]
struct Plan {
    start: Option<Way>,
    stop: Option<Way>,
    starts: Arc<AtomicU32>,
    stops: Arc<AtomicU32>,
}

#[derive(Clone, Copy)]
enum Way {
    Panics,
    PanicsLater,
    NeverEnds,
}

impl Way {
    fn at_once(way: Option<Way>) {
        assert!(!matches!(way, Some(Way::Panics)), "{ON_PURPOSE}");
    }

    async fn later(way: Option<Way>) {
        tokio::task::yield_now().await;
        match way {
            Some(Way::NeverEnds) => std::future::pending().await,
            way => assert!(!matches!(way, Some(Way::PanicsLater)), "{ON_PURPOSE}"),
        }
    }
}

/// With hooks that are plain functions.
#[derive(Subsystem)]
struct Plain(Plan);

#[routes]
impl Plain {
    #[started]
    fn begin(&mut self) {
        self.0.starts.fetch_add(1, Ordering::Relaxed);
        Way::at_once(self.0.start);
    }

    #[stopped]
    fn end(&mut self, _: EndReason) {
        self.0.stops.fetch_add(1, Ordering::Relaxed);
        Way::at_once(self.0.stop);
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}

    #[route("stop")]
    fn stop(&mut self, _: StopNow, ctx: Context) {
        ctx.stop();
    }
}

/// With hooks that wait.
#[derive(Subsystem)]
struct Waiting(Plan);

#[routes]
impl Waiting {
    #[started]
    async fn begin(&mut self) {
        Way::later(self.0.start).await;
    }

    #[stopped]
    async fn end(&mut self, _: EndReason) {
        self.0.stops.fetch_add(1, Ordering::Relaxed);
        Way::later(self.0.stop).await;
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

async fn system() -> System {
    quiet_panics();
    System::builder().threads(1).start().await.unwrap()
}

#[mycelia::test]
async fn a_start_that_panics_at_once_or_later_fails_the_mount() {
    let _watch = watchdog();
    let system = system().await;
    let plan = |start| Plan {
        start: Some(start),
        ..Plan::default()
    };
    let plain = plan(Way::Panics);
    let waiting = plan(Way::PanicsLater);
    for mounted in [
        system.mount(move || Plain(plain.clone())).await,
        system.mount(move || Waiting(waiting.clone())).await,
    ] {
        let Err(MountError::StartFailed { message }) = mounted else {
            panic!("{mounted:?}");
        };
        assert!(message.contains(ON_PURPOSE), "{message}");
    }
    assert!(system.snapshot().subsystems.is_empty());
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_last_hook_that_panics_later_ends_the_subsystem_all_the_same() {
    let _watch = watchdog();
    let system = system().await;
    let plan = Plan {
        stop: Some(Way::PanicsLater),
        ..Plan::default()
    };
    let stops = plan.stops.clone();
    system.mount(move || Waiting(plan.clone())).await.unwrap();
    system.ask("waiting://ping", Ping).await.unwrap();
    system.unmount("waiting").await.unwrap();
    assert_eq!(stops.load(Ordering::Relaxed), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_last_hook_that_never_ends_is_given_up_at_the_stop_s_deadline() {
    let _watch = watchdog();
    let system = system().await;
    let plan = Plan {
        stop: Some(Way::NeverEnds),
        ..Plan::default()
    };
    system.mount(move || Waiting(plan.clone())).await.unwrap();
    system.ask("waiting://ping", Ping).await.unwrap();
    let stopped = system.stop_within(Duration::from_millis(20)).await;
    // No message was left, so it may count as drained or as cut off; but it has ended.
    assert!(
        !matches!(stopped, Err(StopError::Stuck { .. })),
        "{stopped:?}"
    );
}

#[mycelia::test]
async fn who_is_to_be_there_always_is_told_of_each_end_and_each_start() {
    let _watch = watchdog();
    let system = system().await;
    let plan = Plan::default();
    let (starts, stops) = (plan.starts.clone(), plan.stops.clone());
    let options = MountOptions::new().restart(Restart::Permanent);
    system
        .mount_with(options, move || Plain(plan.clone()))
        .await
        .unwrap();
    for times in 1..=3 {
        system.tell("plain://stop", StopNow).await.unwrap();
        until("it is there again", || {
            starts.load(Ordering::Relaxed) == times + 1
        })
        .await;
        assert_eq!(stops.load(Ordering::Relaxed), times);
        system.ask("plain://ping", Ping).await.unwrap();
    }
    system.stop().await.unwrap();
    assert_eq!(stops.load(Ordering::Relaxed), 4);
}
