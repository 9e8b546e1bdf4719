//! Promise 7, where a stop meets trouble: panics on the way, a stop from within, no stop at all.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{
    ON_PURPOSE, figures, on_no_executor, poll_once, quiet_panics, until, watchdog,
};
use mycelia::StopReport;
use mycelia::error::{MountError, StopError};
use mycelia::observe::{EndReason, StopReason};
use mycelia::prelude::*;
use tokio::sync::Semaphore;

struct Gate(Semaphore);

/// Names of those that have stopped, in order.
#[derive(Default)]
struct Stopped(Mutex<Vec<String>>);

/// What a stop from within found.
#[derive(Default)]
struct Found(Mutex<Option<Result<StopReport, StopError>>>);

#[derive(Message)]
struct Job(u32);

#[derive(Message)]
#[message(reply = u32)]
struct Count;

#[derive(Message)]
struct StopAll;

#[derive(Subsystem, Default)]
struct Work {
    count: u32,
}

#[routes]
impl Work {
    /// Panics at every odd job.
    #[route("job")]
    async fn job(&mut self, Job(n): Job, State(gate): State<Gate>) {
        gate.0.acquire().await.unwrap().forget();
        assert!(n.is_multiple_of(2), "{ON_PURPOSE}");
        self.count += 1;
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.count
    }

    /// Waits for the stop of its own system.
    #[route("stop/here")]
    async fn stop_here(&mut self, _: StopAll, system: System) {
        let refused = system.stop_within(Duration::from_millis(50)).await;
        let subsystem = "work".into();
        assert_eq!(refused, Err(StopError::InHandler { subsystem }));
    }

    /// Lets another task, on the same thread, do it.
    #[route("stop/beside")]
    async fn stop_beside(&mut self, _: StopAll, system: System, State(found): State<Found>) {
        tokio::spawn(async move {
            let stopped = system.stop().await;
            *found.0.lock().unwrap() = Some(stopped);
        });
    }

    #[stopped]
    fn end(&mut self, _: EndReason, ctx: Context, State(stopped): State<Stopped>) {
        stopped.0.lock().unwrap().push(ctx.name().to_owned());
        assert!(!ctx.name().starts_with("fragile"), "{ON_PURPOSE}");
    }
}

struct Fixture {
    system: System,
    gate: Arc<Gate>,
    stopped: Arc<Stopped>,
    found: Arc<Found>,
}

async fn fixture() -> Fixture {
    quiet_panics();
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let stopped = Arc::new(Stopped::default());
    let found = Arc::new(Found::default());
    let system = System::builder()
        .threads(1)
        .shared_state(gate.clone())
        .shared_state(stopped.clone())
        .shared_state(found.clone())
        .start()
        .await
        .unwrap();
    system.mount(Work::default).await.unwrap();
    Fixture {
        system,
        gate,
        stopped,
        found,
    }
}

#[mycelia::test]
async fn a_handler_that_panics_while_the_system_stops_fails_alone() {
    let _watch = watchdog();
    let Fixture { system, gate, .. } = fixture().await;
    for n in 0..10 {
        system.tell("work://job", Job(n)).await.unwrap();
    }
    let mut count = Box::pin(system.ask("work://count", Count));
    assert!(poll_once(&mut count).await.is_none());
    let mut stop = Box::pin(system.stop());
    assert!(poll_once(&mut stop).await.is_none());
    gate.0.add_permits(10);
    let report = stop.await.unwrap();
    assert_eq!(figures(&report.ledger), [11, 6, 5, 0, 0, 0]);
    // It was restarted each time, last by the tenth job.
    assert_eq!(count.await.unwrap(), 0);
}

#[mycelia::test]
async fn a_stopped_hook_that_panics_holds_up_nobody() {
    let _watch = watchdog();
    let Fixture {
        system, stopped, ..
    } = fixture().await;
    for name in ["fragile", "other", "fragile-2"] {
        system.mount_as(name, Work::default).await.unwrap();
    }
    let report = system.stop().await.unwrap();
    assert_eq!(figures(&report.ledger), [0; 6]);
    let stopped = stopped.0.lock().unwrap();
    assert_eq!(*stopped, ["fragile-2", "other", "fragile", "work"]);
}

#[mycelia::test]
async fn a_stop_that_a_handler_would_wait_for_is_refused_and_nothing_is_stopped() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    system.ask("work://stop/here", StopAll).await.unwrap();
    assert_eq!(system.ask("work://count", Count).await.unwrap(), 0);
    let report = system.stop().await.unwrap();
    assert_eq!(figures(&report.ledger), [2, 2, 0, 0, 0, 0]);
}

#[mycelia::test]
async fn a_stop_that_a_handler_spawns_ends_the_system_and_is_told_how() {
    let _watch = watchdog();
    let Fixture { system, found, .. } = fixture().await;
    system.ask("work://stop/beside", StopAll).await.unwrap();
    until("the task was told", || found.0.lock().unwrap().is_some()).await;
    let report = found.0.lock().unwrap().take().unwrap().unwrap();
    assert_eq!(figures(&report.ledger), [1, 1, 0, 0, 0, 0]);
    assert_eq!(system.stopped().await, StopReason::Requested);
}

#[mycelia::test]
async fn askers_of_a_system_that_is_dropped_are_told() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    let job = system.route::<Job>("work://job").unwrap();
    let count = system.route::<Count>("work://count").unwrap();
    let mut begun = Box::pin(job.ask(Job(0)));
    assert!(poll_once(&mut begun).await.is_none());
    let mut waiting = Box::pin(count.ask(Count));
    assert!(poll_once(&mut waiting).await.is_none());
    drop(system);
    assert!(matches!(begun.await, Err(AskError::Unhandled { .. })));
    assert!(matches!(waiting.await, Err(AskError::Unhandled { .. })));
    let refused = count.try_tell(Count).unwrap_err();
    assert_eq!(*refused.reason(), SendError::Stopped);
}

/// Counts lives: begun, ended.
#[derive(Default)]
struct Lives(AtomicU32, AtomicU32);

/// One that comes and goes.
#[derive(Subsystem, Default)]
struct Guest;

#[routes]
impl Guest {
    #[started]
    async fn begin(&mut self, State(lives): State<Lives>) {
        // The stop may come while it starts.
        tokio::task::yield_now().await;
        lives.0.fetch_add(1, Ordering::Relaxed);
    }

    #[route("job")]
    fn job(&mut self, _: Job) {}

    #[stopped]
    fn end(&mut self, _: EndReason, State(lives): State<Lives>) {
        lives.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// Mounts guests, alone and in threes, until none is taken in any more; how many were mounted.
async fn mount_guests(system: System, mounter: u32) -> u32 {
    let mut mounted = 0;
    for round in 0.. {
        let name = |n: u32| MountOptions::new().name(format!("guest-{mounter}-{round}-{n}"));
        let (count, outcome) = match round % 2 {
            0 => (1, system.mount_with(name(0), Guest::default).await),
            _ => (3, system.mount_all((0..3).map(name), Guest::default).await),
        };
        match outcome {
            Ok(()) => mounted += count,
            Err(MountError::Stopped) => break,
            Err(other) => panic!("{other}"),
        }
        // None is lost of those that are there.
        let told = system.tell(format!("guest-{mounter}-{round}-0://job"), Job(0));
        if let Err(refused) = told.await {
            assert_eq!(*refused.reason(), SendError::Stopped);
        }
    }
    mounted
}

#[test]
fn a_mount_that_meets_the_stop_of_its_system_is_refused_or_stopped_with_the_others() {
    let _watch = watchdog();
    for round in 0..100_u32 {
        let lives = Arc::new(Lives::default());
        let system = on_no_executor(async {
            let builder = System::builder().threads(2);
            builder.shared_state(lives.clone()).start().await.unwrap()
        });
        let mounters: Vec<_> = (0..2)
            .map(|mounter| {
                let system = system.clone();
                thread::spawn(move || on_no_executor(mount_guests(system, mounter)))
            })
            .collect();
        // Sooner or later, so that it meets every step of a mount.
        while lives.0.load(Ordering::Relaxed) < round {
            thread::yield_now();
        }
        let report = on_no_executor(system.stop()).unwrap();
        let mounted: u32 = mounters.into_iter().map(|m| m.join().unwrap()).sum();
        assert!(
            report.ledger.closes() && report.ledger.is_quiet(),
            "{report:?}"
        );
        let [begun, ended] = [&lives.0, &lives.1].map(|n| n.load(Ordering::Relaxed));
        assert_eq!(begun, ended, "{mounted} were mounted");
        assert!(
            begun >= mounted,
            "{begun} of {mounted} mounted were started"
        );
    }
}

/// Never comes to its first message.
#[derive(Subsystem, Default)]
struct Sleeper;

#[routes]
impl Sleeper {
    #[started]
    async fn begin(&mut self, State(lives): State<Lives>) {
        lives.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }

    #[route("job")]
    fn job(&mut self, _: Job) {}
}

#[mycelia::test]
async fn a_mount_whose_start_does_not_end_is_refused_at_the_stop_s_deadline() {
    let _watch = watchdog();
    let lives = Arc::new(Lives::default());
    let builder = System::builder().threads(1).shared_state(lives.clone());
    let system = builder.start().await.unwrap();
    let mut mount = Box::pin(system.mount(Sleeper::default));
    assert!(poll_once(&mut mount).await.is_none());
    until("it starts", || lives.0.load(Ordering::Relaxed) == 1).await;
    system.stop_within(Duration::from_millis(20)).await.unwrap();
    assert!(matches!(mount.await, Err(MountError::Stopped)));
}
