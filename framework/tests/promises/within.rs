//! A handler has the time that its route gives it, and its subsystem outlives that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::common::{figures, named, quiet, quiet_panics, watchdog};
use mycelia::RouteOptions;
use mycelia::extract::State;
use mycelia::observe::DeadReason;
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = u32)]
struct Work(How);

#[derive(Message)]
#[message(reply = u32)]
struct Later(How);

#[derive(Message)]
#[message(reply = u32)]
struct Count;

enum How {
    AtOnce,
    /// Waits for ever, in a future whose drop is noted.
    Hang,
    /// The same, and the drop panics.
    HangAndPanic,
    /// Gives the reply away, and then waits for ever.
    GiveAway,
}

/// Counts how often it was dropped.
struct Dropped(Arc<Semaphore>, bool);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add_permits(1);
        assert!(!self.1, "on purpose");
    }
}

#[derive(Default)]
struct Worker {
    begun: u32,
}

impl Subsystem for Worker {
    const NAME: &'static str = "worker";
}

#[routes]
impl Worker {
    #[route("work", within = "30ms")]
    async fn work(&mut self, Work(how): Work, dropped: State<Semaphore>) -> u32 {
        self.begun += 1;
        match how {
            How::AtOnce | How::GiveAway => self.begun,
            How::Hang | How::HangAndPanic => {
                let _dropped = Dropped(dropped.0.clone(), matches!(how, How::HangAndPanic));
                std::future::pending().await
            }
        }
    }

    #[route("later", within = "30ms")]
    async fn later(&mut self, Later(how): Later, reply: Reply<Later>) {
        self.begun += 1;
        match how {
            How::AtOnce => {
                let _ = reply.send(self.begun);
            }
            How::GiveAway => {
                let begun = self.begun;
                drop(tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(80)).await;
                    let _ = reply.send(begun);
                }));
                std::future::pending().await
            }
            How::Hang | How::HangAndPanic => {
                let _kept = reply;
                std::future::pending().await
            }
        }
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.begun
    }
}

async fn system() -> (System, Arc<Semaphore>) {
    let dropped = Arc::new(Semaphore::new(0));
    let builder = System::builder().threads(1);
    let system = builder.shared_state(dropped.clone()).start().await.unwrap();
    (system, dropped)
}

fn is_cut_off<M>(error: &AskError<M>) -> bool {
    let limit = Duration::from_millis(30);
    matches!(error, AskError::DeadlineExceeded { deadline, .. } if *deadline == limit)
}

#[mycelia::test]
async fn a_handler_is_cut_off_when_its_time_is_up_and_its_subsystem_lives_on_with_its_state() {
    let _watch = watchdog();
    let (system, dropped) = system().await;
    system.mount(Worker::default).await.unwrap();
    assert_eq!(
        system
            .ask("worker://work", Work(How::AtOnce))
            .await
            .unwrap(),
        1
    );
    let asked = Instant::now();
    let error = system
        .ask("worker://work", Work(How::Hang))
        .await
        .unwrap_err();
    assert!(is_cut_off(&error), "{error}");
    assert!(asked.elapsed() >= Duration::from_millis(29));
    // Its future was dropped, and what it had done to the subsystem stays.
    assert_eq!(dropped.available_permits(), 1);
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 2);
    let now = system.snapshot();
    let worker = now.subsystem("worker").unwrap();
    assert_eq!(worker.restarts, 0);
    let failure = worker.last_failure.as_deref();
    assert_eq!(failure, Some("a handler was cut off after 30ms"));
    assert_eq!(figures(&quiet(&system).await), [3, 2, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_told_message_whose_handler_is_cut_off_has_failed_and_is_a_dead_letter() {
    let _watch = watchdog();
    let (system, _dropped) = system().await;
    system.mount(Worker::default).await.unwrap();
    let mut letters = system.dead_letters();
    system.tell("worker://work", Work(How::Hang)).await.unwrap();
    let letter = letters.next().await.unwrap();
    let within = Duration::from_millis(30);
    assert_eq!(letter.reason, DeadReason::CutOff { within });
    assert!(
        letter.to_string().contains("was cut off after 30ms"),
        "{letter}"
    );
    assert_eq!(figures(&quiet(&system).await), [1, 0, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn with_restart_on_error_a_handler_that_is_cut_off_restarts_its_subsystem() {
    let _watch = watchdog();
    let (system, _dropped) = system().await;
    let options = named("worker").restart_on_error(true);
    system.mount_with(options, Worker::default).await.unwrap();
    let error = system
        .ask("worker://work", Work(How::Hang))
        .await
        .unwrap_err();
    assert!(is_cut_off(&error), "{error}");
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 0);
    assert_eq!(system.snapshot().subsystem("worker").unwrap().restarts, 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_that_panics_as_it_is_cut_off_has_panicked() {
    let _watch = watchdog();
    quiet_panics();
    let (system, dropped) = system().await;
    system.mount(Worker::default).await.unwrap();
    let asked = system.ask("worker://work", Work(How::HangAndPanic)).await;
    assert!(matches!(asked, Err(AskError::Panicked { .. })), "{asked:?}");
    assert_eq!(dropped.available_permits(), 1);
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_that_keeps_its_reply_is_cut_off_and_one_that_gave_it_away_is_answered() {
    let _watch = watchdog();
    let (system, _dropped) = system().await;
    system.mount(Worker::default).await.unwrap();
    let later = |how| system.ask("worker://later", Later(how));
    assert_eq!(later(How::AtOnce).await.unwrap(), 1);
    let error = later(How::Hang).await.unwrap_err();
    assert!(is_cut_off(&error), "{error}");
    // The time is the handler's, not the reply's.
    assert_eq!(later(How::GiveAway).await.unwrap(), 3);
    assert_eq!(system.ask("worker://count", Count).await.unwrap(), 3);
    assert_eq!(figures(&quiet(&system).await), [4, 3, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}

struct ByHand;

impl Subsystem for ByHand {
    const NAME: &'static str = "by-hand";
}

impl Routes for ByHand {
    fn routes(table: &mut RouteTable<Self>) {
        let any = RouteOptions::new();
        let brief = any.within(Duration::from_millis(30));
        table.on_async_with("brief", brief, async |_: &mut Self, _: Work, (): ()| {
            std::future::pending::<u32>().await
        });
        table.on_async_with("any", any, async |_: &mut Self, _: Work, (): ()| {
            tokio::time::sleep(Duration::from_millis(60)).await;
            1
        });
        let long = any.within(Duration::MAX);
        table.on_async_with("long", long, async |_: &mut Self, _: Work, (): ()| {
            tokio::time::sleep(Duration::from_millis(60)).await;
            2
        });
        let brief = any.within(Duration::from_millis(30));
        table.on_async_deferred_with(
            "later",
            brief,
            async |_: &mut Self, (_, _reply): (Work, Reply<Work>), (): ()| {
                std::future::pending().await
            },
        );
    }
}

#[mycelia::test]
async fn a_route_that_is_entered_by_hand_has_a_time_too() {
    let _watch = watchdog();
    let (system, _dropped) = system().await;
    system.mount(|| ByHand).await.unwrap();
    let ask = |path: &'static str| system.ask(path, Work(How::AtOnce));
    assert!(is_cut_off(&ask("by-hand://brief").await.unwrap_err()));
    assert_eq!(ask("by-hand://any").await.unwrap(), 1);
    assert_eq!(ask("by-hand://long").await.unwrap(), 2);
    assert!(is_cut_off(&ask("by-hand://later").await.unwrap_err()));
    system.stop().await.unwrap();
}
