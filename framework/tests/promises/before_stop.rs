//! What a program does before its system is stopped, while messages still flow; and what the report of a stop
//! tells.

use std::future::pending;
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{ON_PURPOSE, figures, named, poll_once, quiet_panics, until, watchdog};
use mycelia::error::{SendError, StopError};
use mycelia::observe::StopReason;
use mycelia::prelude::*;
use mycelia::{Builder, Exit};
use tokio::sync::{Notify, mpsc};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Message)]
#[message(reply = u64)]
struct Ping;

#[derive(Message)]
struct Fail;

#[derive(Subsystem, Default)]
struct Api {
    pings: u64,
}

#[routes]
impl Api {
    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u64 {
        self.pings += 1;
        self.pings
    }

    #[route("fail")]
    fn fail(&mut self, _: Fail) {
        panic!("{ON_PURPOSE}");
    }
}

async fn start(builder: Builder) -> System {
    quiet_panics();
    let system = builder.threads(1).start().await.unwrap();
    system.mount(Api::default).await.unwrap();
    system
}

/// What the test knows of what runs before a stop.
#[derive(Default)]
struct Drain {
    begun: Notify,
    go_on: Notify,
    is_over: AtomicBool,
}

impl Drain {
    /// Tells that it has begun, and waits to be let on; asks when it is.
    async fn run(self: Arc<Self>, system: System) -> anyhow::Result<()> {
        self.begun.notify_one();
        self.go_on.notified().await;
        let asked = system.ask("api://ping", Ping).await;
        self.is_over.store(true, Ordering::SeqCst);
        asked?;
        Ok(())
    }
}

fn drained(drain: &Arc<Drain>) -> Builder {
    let drain = drain.clone();
    System::builder().before_stop(|system| drain.run(system))
}

#[tokio::test]
async fn messages_flow_until_what_runs_before_a_stop_has_ended() {
    let _watchdog = watchdog();
    let drain = Arc::new(Drain::default());
    let system = start(drained(&drain)).await;
    let other = system.clone();
    let stop = tokio::spawn(async move { other.stop().await });
    drain.begun.notified().await;
    assert_eq!(system.ask("api://ping", Ping).await.unwrap(), 1);
    system.mount_as("late", Api::default).await.unwrap();
    assert_eq!(system.ask("late://ping", Ping).await.unwrap(), 1);
    assert!(matches!(
        system.stop().await,
        Err(StopError::AlreadyStopped)
    ));
    // A second one who waits for the stop does not hurry it.
    let mut signalled = Box::pin(system.run_until_signal());
    assert!(poll_once(signalled.as_mut()).await.is_none());
    assert_eq!(system.ask("api://ping", Ping).await.unwrap(), 2);
    drain.go_on.notify_one();
    let report = stop.await.unwrap().unwrap();
    assert!(drain.is_over.load(Ordering::SeqCst));
    assert_eq!(report.before_stop, []);
    assert_eq!(figures(&report.ledger), [4, 4, 0, 0, 0, 0]);
    assert_eq!(signalled.await, Exit::from(Ok(report)));
    let refused = system.tell("api://ping", Ping).await.unwrap_err();
    assert!(matches!(refused.into_reason(), SendError::Stopped));
}

#[tokio::test]
async fn it_runs_before_a_stop_because_of_an_escalation_too() {
    let _watchdog = watchdog();
    let drain = Arc::new(Drain::default());
    let system = start(drained(&drain)).await;
    let once = named("once").intensity(0, HOUR);
    system.mount_with(once, Api::default).await.unwrap();
    system.tell("once://fail", Fail).await.unwrap();
    drain.begun.notified().await;
    assert_eq!(system.ask("api://ping", Ping).await.unwrap(), 1);
    drain.go_on.notify_one();
    assert!(matches!(
        system.stopped().await,
        StopReason::Escalated { .. }
    ));
    assert!(drain.is_over.load(Ordering::SeqCst));
    match system.stop().await {
        Err(StopError::Escalated(report)) => {
            assert_eq!(figures(&report.ledger), [3, 2, 1, 0, 0, 0]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn several_run_one_after_the_other_and_what_fails_is_told_and_holds_up_nobody() {
    let _watchdog = watchdog();
    let (tell, mut told) = mpsc::unbounded_channel();
    let [a, b, c, d, e] = [(); 5].map(|()| tell.clone());
    let builder = System::builder()
        .before_stop(async move |system: System| {
            a.send(1).unwrap();
            // In a task of its own it would wait for itself.
            assert!(matches!(
                system.stop().await,
                Err(StopError::AlreadyStopped)
            ));
        })
        .before_stop(async move |_| {
            b.send(2).unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            Err::<(), _>(std::io::Error::other("the port is closed"))
        })
        .before_stop(async move |_| {
            c.send(3).unwrap();
            assert!(c.is_closed(), "{ON_PURPOSE}");
        })
        .before_stop(move |_| {
            d.send(4).unwrap();
            assert!(d.is_closed(), "{ON_PURPOSE}, before its future");
            std::future::ready(())
        })
        .before_stop(async move |_| e.send(5).unwrap());
    let system = start(builder).await;
    let exit = Exit::from(system.stop().await);
    for n in 1..=5 {
        assert_eq!(told.recv().await, Some(n));
    }
    assert_eq!(exit.code(), 0);
    let text = exit.to_string();
    let failures =
        "what ran before it failed: the port is closed; what ran before it failed: on purpose";
    assert!(text.contains(failures), "{text}");
    let failures = exit.result().unwrap().before_stop;
    let on_purpose = format!("{ON_PURPOSE}, before its future");
    let expected = ["the port is closed", ON_PURPOSE, &on_purpose];
    assert_eq!(failures, expected.map(Box::<str>::from));
}

#[tokio::test]
async fn what_does_not_end_is_dropped_at_the_stop_s_deadline() {
    struct Dropped(Arc<AtomicU64>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
            panic_any(ON_PURPOSE);
        }
    }
    let _watchdog = watchdog();
    let dropped = Arc::new(AtomicU64::new(0));
    let guard = Dropped(dropped.clone());
    let builder = System::builder().before_stop(async move |system: System| {
        let _guard = guard;
        // Not unwrapped: its guard must not be dropped by that, while another panic unwinds.
        let told = system.tell("api://ping", Ping).await;
        pending::<()>().await;
        drop(told);
    });
    let system = start(builder).await;
    let within = Duration::from_millis(100);
    let report = system.stop_within(within).await.unwrap();
    assert!(report.took >= within);
    assert_eq!(report.before_stop.len(), 1);
    assert!(report.before_stop[0].contains("deadline"));
    assert_eq!(figures(&report.ledger), [1, 1, 0, 0, 0, 0]);
    until("it was dropped", || dropped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn it_is_not_run_for_a_system_that_is_dropped_and_is_dropped_with_it() {
    let _watchdog = watchdog();
    let (tell, mut told) = mpsc::unbounded_channel::<()>();
    let builder = System::builder().before_stop(async move |_| tell.send(()).unwrap());
    drop(start(builder).await);
    assert_eq!(told.recv().await, None);
}

#[tokio::test]
async fn the_report_of_a_stop_carries_what_every_subsystem_had_done() {
    let _watchdog = watchdog();
    let system = start(System::builder()).await;
    let child = named("child").parent("api");
    system.mount_with(child, Api::default).await.unwrap();
    for _ in 0..3 {
        system.ask("api://ping", Ping).await.unwrap();
    }
    system.ask("api/child://ping", Ping).await.unwrap();
    system.tell("api/child://fail", Fail).await.unwrap();
    let report = system.stop().await.unwrap();
    let snapshot = &report.snapshot;
    assert_eq!(snapshot.total, report.ledger);
    assert_eq!(figures(&snapshot.total), [5, 4, 1, 0, 0, 0]);
    let api = snapshot.subsystem("api").unwrap();
    assert_eq!(figures(&api.ledger), [3, 3, 0, 0, 0, 0]);
    assert_eq!((api.wait.count, api.service.count), (3, 3));
    let ping = snapshot.kind::<Api>().unwrap().latency("ping");
    assert_eq!(ping.unwrap().count, 4);
    let child = snapshot.subsystem("api/child").unwrap();
    assert_eq!(figures(&child.ledger), [2, 1, 1, 0, 0, 0]);
    assert!(child.is_closed && child.last_failure.is_some());
    // Nothing is mounted any more.
    assert_eq!(system.snapshot().subsystems, []);
}
