//! Promise: a reply may come after its handler has returned, from anywhere; its message ends once, whatever
//! happens to the reply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::until;
use futures_util::FutureExt;
use mycelia::error::{AskError, SendError, StopError};
use mycelia::observe::{DeadReason, Ledger};
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = u64)]
struct Double(u64);

/// Answers as it is told.
#[derive(Message)]
#[message(reply = u64)]
enum Do {
    Send(u64),
    Fail,
    Drop,
    Panic,
    Keep,
    KeepOutside,
    KeepAndPanic,
    Elsewhere(Duration),
}

#[derive(Message)]
struct Release;

#[derive(Message)]
#[message(reply = usize)]
struct Kept;

#[derive(Subsystem, Default)]
struct Desk {
    kept: Vec<Reply<Do>>,
}

#[derive(Default, Clone)]
struct Outside(Arc<Mutex<Vec<Reply<Do>>>>);

#[routes]
impl Desk {
    #[route("do")]
    fn act(&mut self, act: Do, reply: Reply<Do>, State(outside): State<Outside>, ctx: Context) {
        match act {
            Do::Send(n) => assert!(reply.send(n)),
            Do::Fail => assert!(reply.fail(std::io::Error::other("no paper"))),
            Do::Drop => drop(reply),
            Do::Panic => panic!("on purpose"),
            Do::Keep => self.kept.push(reply),
            Do::KeepOutside => outside.0.lock().unwrap().push(reply),
            Do::KeepAndPanic => {
                outside.0.lock().unwrap().push(reply);
                panic!("on purpose");
            }
            Do::Elsewhere(pause) => {
                ctx.spawn(async move {
                    tokio::time::sleep(pause).await;
                    reply.send(9);
                });
            }
        }
    }

    #[route("async")]
    async fn act_async(&mut self, double: Double, reply: Reply<Double>) {
        tokio::task::yield_now().await;
        match double.0 {
            0 => panic!("on purpose"),
            n => drop(reply.send(n * 2)),
        }
    }

    #[route("release")]
    fn release(&mut self, _: Release) {
        for reply in self.kept.drain(..) {
            reply.send(5);
        }
    }

    #[route("kept")]
    fn kept(&mut self, _: Kept) -> usize {
        self.kept.len()
    }
}

async fn system() -> (System, Outside) {
    let outside = Outside::default();
    let system = System::builder().threads(1).state(outside.clone());
    let system = system.stop_deadline(Duration::from_millis(500));
    let system = system.start().await.unwrap();
    system.mount(Desk::default).await.unwrap();
    (system, outside)
}

fn ledger(system: &System) -> Ledger {
    let snapshot = system.snapshot();
    assert_eq!(snapshot.pool.in_flight, snapshot.total.waiting);
    snapshot.total
}

#[mycelia::test]
async fn a_reply_that_is_given_at_once_or_later_answers_its_ask() {
    let (system, _) = system().await;
    assert_eq!(system.ask("desk://do", Do::Send(3)).await.unwrap(), 3);
    let pause = Duration::from_millis(5);
    assert_eq!(
        system.ask("desk://do", Do::Elsewhere(pause)).await.unwrap(),
        9
    );
    assert_eq!(system.ask("desk://async", Double(4)).await.unwrap(), 8);
    let desk = system.route::<Do>("desk://do").unwrap();
    let release = async {
        while system.ask("desk://kept", Kept).await.unwrap() < 2 {}
        assert_eq!(
            system.snapshot().subsystem("desk").unwrap().ledger.waiting,
            2
        );
        system.tell("desk://release", Release).await.unwrap();
    };
    let (one, two, ()) = tokio::join!(desk.ask(Do::Keep), desk.ask(Do::Keep), release);
    assert_eq!((one.unwrap(), two.unwrap()), (5, 5));
    let report = system.stop().await.unwrap();
    assert_eq!(report.ledger.sent, report.ledger.handled);
}

#[mycelia::test]
async fn an_error_a_drop_and_a_panic_end_an_ask_each_with_its_own_error() {
    let (system, _) = system().await;
    let mut letters = system.dead_letters();
    let failed = system.ask("desk://do", Do::Fail).await.unwrap_err();
    assert_eq!(
        failed.failure::<std::io::Error>().unwrap().to_string(),
        "no paper"
    );
    let dropped = system.ask("desk://do", Do::Drop).await.unwrap_err();
    assert!(matches!(dropped, AskError::NoReply { .. }), "{dropped:?}");
    assert!(
        dropped
            .to_string()
            .contains("dropped its reply without an answer")
    );
    let panicked = system.ask("desk://do", Do::Panic).await.unwrap_err();
    assert!(
        matches!(panicked, AskError::Panicked { .. }),
        "{panicked:?}"
    );
    let panicked = system.ask("desk://async", Double(0)).await.unwrap_err();
    assert!(
        matches!(panicked, AskError::Panicked { .. }),
        "{panicked:?}"
    );
    let letter = letters.next().await.unwrap();
    assert_eq!(letter.reason, DeadReason::NoReply);
    let ledger = ledger(&system);
    assert_eq!((ledger.sent, ledger.failed, ledger.waiting), (4, 4, 0));
    assert_eq!(system.snapshot().subsystem("desk").unwrap().restarts, 2);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_reply_that_has_left_its_handler_outlives_the_handler_s_panic() {
    let (system, outside) = system().await;
    let ask = system.ask("desk://do", Do::KeepAndPanic);
    let answer = async {
        let reply = loop {
            if let Some(reply) = outside.0.lock().unwrap().pop() {
                break reply;
            }
            tokio::task::yield_now().await;
        };
        assert!(reply.is_wanted());
        std::thread::spawn(move || assert!(reply.send(1)))
            .join()
            .unwrap();
    };
    let (answered, ()) = tokio::join!(ask, answer);
    assert_eq!(answered.unwrap(), 1);
    assert_eq!(system.snapshot().subsystem("desk").unwrap().restarts, 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_told_message_is_handled_when_its_reply_is_given_or_dropped_and_fails_with_an_error() {
    let (system, _) = system().await;
    for act in [Do::Send(1), Do::Drop, Do::Fail, Do::Keep] {
        system.tell("desk://do", act).await.unwrap();
    }
    assert_eq!(system.ask("desk://kept", Kept).await.unwrap(), 1);
    let now = ledger(&system);
    assert_eq!((now.handled, now.failed, now.waiting), (3, 1, 1));
    system.tell("desk://release", Release).await.unwrap();
    assert_eq!(system.ask("desk://kept", Kept).await.unwrap(), 0);
    // The message ends with the turn in which its reply is given.
    until("it has ended", || system.snapshot().total.waiting == 0).await;
    assert_eq!((ledger(&system).handled, ledger(&system).failed), (6, 1));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn messages_whose_reply_is_to_come_take_up_the_room_of_the_mailbox() {
    let outside = Outside::default();
    let system = System::builder().state(outside.clone());
    let system = system.stop_deadline(Duration::from_millis(50));
    let system = system.start().await.unwrap();
    let options = MountOptions::new().capacity(2);
    system.mount_with(options, Desk::default).await.unwrap();
    let desk = system.route::<Do>("desk://do").unwrap();
    let (mut one, mut two) = (
        Box::pin(desk.ask(Do::KeepOutside)),
        Box::pin(desk.ask(Do::KeepOutside)),
    );
    assert!((&mut one).now_or_never().is_none());
    assert!((&mut two).now_or_never().is_none());
    while outside.0.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    let full = desk.try_tell(Do::KeepOutside).unwrap_err();
    assert!(matches!(full.reason(), SendError::Full { .. }));
    drop((one, two));
    // No one wants them any more; they take up room until their replies end.
    assert!(desk.try_tell(Do::KeepOutside).is_err());
    outside.0.lock().unwrap().clear();
    desk.tell(Do::Send(1)).await.unwrap();
    let report = system.stop().await.unwrap();
    assert_eq!((report.ledger.failed, report.ledger.handled), (2, 1));
}

#[mycelia::test]
async fn a_restart_drops_the_replies_that_the_old_value_had() {
    let (system, _) = system().await;
    let desk = system.route::<Do>("desk://do").unwrap();
    let kept = desk.ask(Do::Keep);
    let panic = async {
        while system.ask("desk://kept", Kept).await.unwrap() < 1 {}
        desk.ask(Do::Panic).await.unwrap_err();
    };
    let (kept, ()) = tokio::join!(kept, panic);
    assert!(matches!(kept, Err(AskError::NoReply { .. })), "{kept:?}");
    assert_eq!(system.ask("desk://do", Do::Send(3)).await.unwrap(), 3);
    assert_eq!(ledger(&system).waiting, 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_unmount_drops_the_replies_that_no_message_can_give_any_more() {
    let (system, _) = system().await;
    let desk = system.route::<Do>("desk://do").unwrap();
    let kept = desk.ask(Do::Keep);
    let unmount = async {
        while system.ask("desk://kept", Kept).await.unwrap() < 1 {}
        system.unmount("desk").await.unwrap()
    };
    let (kept, ledger) = tokio::join!(kept, unmount);
    assert!(matches!(kept, Err(AskError::NoReply { .. })), "{kept:?}");
    assert_eq!((ledger.failed, ledger.waiting), (1, 0));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_stop_waits_for_spawned_work_and_the_replies_in_it() {
    let (system, _) = system().await;
    let desk = system.route::<Do>("desk://do").unwrap();
    let asked = desk.ask(Do::Elsewhere(Duration::from_millis(50)));
    let stop = async {
        while system.snapshot().subsystem("desk").unwrap().spawned == 0 {
            tokio::task::yield_now().await;
        }
        system.clone().stop().await.unwrap()
    };
    let (answered, report) = tokio::join!(asked, stop);
    assert_eq!(answered.unwrap(), 9);
    assert_eq!(report.ledger.handled, 1);
}

#[mycelia::test]
async fn a_stop_ends_at_its_deadline_what_no_reply_has_ended_and_late_replies_do_nothing() {
    let (system, outside) = system().await;
    let desk = system.route::<Do>("desk://do").unwrap();
    let asked = desk.ask(Do::KeepAndPanic);
    let stop = async {
        while outside.0.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        system.clone().stop().await
    };
    let (answered, report) = tokio::join!(asked, stop);
    assert!(
        matches!(answered, Err(AskError::Unhandled { .. })),
        "{answered:?}"
    );
    let Err(StopError::DeadlineExceeded(report)) = report else {
        panic!("it can't have ended in time");
    };
    assert_eq!((report.ledger.failed, report.ledger.waiting), (1, 0));
    let reply = outside.0.lock().unwrap().pop().unwrap();
    assert!(!reply.is_wanted());
    assert!(!reply.send(1));
}

#[mycelia::test]
async fn a_forgotten_reply_is_ended_with_its_subsystem() {
    let (system, outside) = system().await;
    let mut asked = Box::pin(system.ask("desk://do", Do::KeepAndPanic));
    assert!((&mut asked).now_or_never().is_none());
    while outside.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    std::mem::forget(outside.0.lock().unwrap().pop());
    let deadline = Duration::from_millis(20);
    let (answered, ledger) = tokio::join!(asked, system.unmount_within("desk", deadline));
    assert!(
        matches!(answered, Err(AskError::Unhandled { .. })),
        "{answered:?}"
    );
    assert_eq!(ledger.unwrap().waiting, 0);
    assert_eq!(system.snapshot().pool.in_flight, 0);
    system.stop().await.unwrap();
}

#[derive(Subsystem, Default)]
struct Front;

#[routes]
impl Front {
    #[route("double")]
    fn double(&mut self, double: Double, reply: Reply<Double>, system: System, ctx: Context) {
        let back = system.route::<Double>("back://double").unwrap();
        ctx.spawn(async move {
            reply.forward(&back, double).await;
        });
    }
}

#[derive(Subsystem, Default)]
struct Back;

#[routes]
impl Back {
    #[route("double")]
    fn double(&mut self, Double(n): Double, Sender(sender): Sender) -> anyhow::Result<u64> {
        assert_eq!(sender.as_deref(), Some("front"));
        anyhow::ensure!(n > 0, "nothing to double");
        Ok(n * 2)
    }
}

#[mycelia::test]
async fn a_forwarded_ask_is_answered_by_the_other_or_gets_its_error() {
    let system = System::builder().start().await.unwrap();
    system.mount(Front::default).await.unwrap();
    system.mount(Back::default).await.unwrap();
    assert_eq!(system.ask("front://double", Double(4)).await.unwrap(), 8);
    let failed = system.ask("front://double", Double(0)).await.unwrap_err();
    assert!(
        format!("{failed:#}").ends_with("nothing to double"),
        "{failed:#}"
    );
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_million_replies_some_of_them_lost_are_all_accounted_for() {
    const ASKS: u64 = if cfg!(debug_assertions) {
        100_000
    } else {
        1_000_000
    };
    let system = System::builder().threads(2).pool(1024);
    let system = system.state(Outside::default()).start().await.unwrap();
    system.mount(Desk::default).await.unwrap();
    let desk = system.route::<Do>("desk://do").unwrap();
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let asker = || async {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= ASKS {
                return;
            }
            let act = match n % 200 {
                0 | 100 => Do::Drop,
                50 | 150 => Do::Panic,
                n => Do::Send(n),
            };
            match desk.ask(act).await {
                Ok(answer) => assert_eq!(answer, n % 200),
                Err(_) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    futures_util::future::join_all((0..64).map(|_| asker())).await;
    let report = system.stop().await.unwrap();
    assert_eq!(failed.into_inner(), ASKS / 50);
    assert_eq!(report.ledger.sent, ASKS);
    assert_eq!(
        (report.ledger.failed, report.ledger.waiting),
        (ASKS / 50, 0)
    );
    assert_eq!(report.ledger.handled, ASKS - ASKS / 50);
}

/// Needs some time for each message, of which it does nothing else with.
#[derive(Subsystem, Default)]
struct Slow;

#[routes]
impl Slow {
    #[route("double")]
    fn double(&mut self, Double(n): Double, reply: Reply<Double>, ctx: Context) {
        ctx.spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            reply.send(n * 2);
        });
    }
}

#[mycelia::test]
async fn a_hundred_asks_that_wait_wait_together() {
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Slow::default).await.unwrap();
    let slow = system.route::<Double>("slow://double").unwrap();
    let begun = std::time::Instant::now();
    let asks = (0..100).map(|n| slow.ask(Double(n)));
    let answers = futures_util::future::join_all(asks).await;
    assert!(
        answers
            .into_iter()
            .zip(0..)
            .all(|(answer, n)| answer.unwrap() == n * 2)
    );
    // One after the other they would take a second.
    assert!(
        begun.elapsed() < Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn no_more_futures_run_at_once_than_the_mount_allows() {
    #[derive(Subsystem)]
    struct Counts(Arc<[AtomicU64; 2]>);

    #[routes]
    impl Counts {
        #[route("double")]
        fn double(&mut self, Double(n): Double, reply: Reply<Double>, ctx: Context) {
            let counts = self.0.clone();
            ctx.spawn(async move {
                let running = counts[0].fetch_add(1, Ordering::Relaxed) + 1;
                counts[1].fetch_max(running, Ordering::Relaxed);
                tokio::task::yield_now().await;
                counts[0].fetch_sub(1, Ordering::Relaxed);
                reply.send(n);
            });
        }
    }

    let system = System::builder().start().await.unwrap();
    let counts = Arc::<[AtomicU64; 2]>::default();
    let (options, given) = (MountOptions::new().max_spawned(3), counts.clone());
    let mounted = system.mount_with(options, move || Counts(given.clone()));
    mounted.await.unwrap();
    let route = system.route::<Double>("counts://double").unwrap();
    let asks = (0..50).map(|n| route.ask(Double(n)));
    for answer in futures_util::future::join_all(asks).await {
        answer.unwrap();
    }
    assert_eq!(counts[1].load(Ordering::Relaxed), 3);
    system.stop().await.unwrap();
}

#[derive(Subsystem, Default)]
struct Loads {
    seen: Vec<u64>,
}

#[routes]
impl Loads {
    #[route("begin")]
    fn begin(&mut self, Double(n): Double, ctx: Context) -> anyhow::Result<u64> {
        match n {
            0 => drop(ctx.spawn(async { panic!("on purpose") })),
            n => drop(ctx.spawn_then("end", async move { n * 2 }, Loaded)?),
        }
        Ok(n)
    }

    #[route("end")]
    fn end(&mut self, Loaded(n): Loaded) {
        self.seen.push(n);
    }

    #[route("seen")]
    fn seen(&mut self, _: Kept) -> usize {
        self.seen.len()
    }
}

#[derive(Message)]
struct Loaded(u64);

#[mycelia::test]
async fn what_is_spawned_brings_its_result_back_and_its_panic_fails_the_subsystem() {
    let system = System::builder().start().await.unwrap();
    system.mount(Loads::default).await.unwrap();
    system.ask("loads://begin", Double(2)).await.unwrap();
    while system.ask("loads://seen", Kept).await.unwrap() == 0 {}
    let mut events = system.watch("loads");
    system.ask("loads://begin", Double(0)).await.unwrap();
    while system.snapshot().subsystem("loads").unwrap().restarts == 0 {
        events.next().await.unwrap();
    }
    assert_eq!(system.ask("loads://seen", Kept).await.unwrap(), 0);
    assert_eq!(system.snapshot().subsystem("loads").unwrap().spawned, 0);
    system.stop().await.unwrap();
}
