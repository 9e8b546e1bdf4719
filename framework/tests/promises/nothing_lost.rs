//! Promise 2: nothing is lost silently. Every accepted message ends once, the ledger says how; a
//! refused one comes home and is not "sent".

use std::sync::Arc;
use std::time::Duration;

use crate::common::{ON_PURPOSE, figures, poll_once, quiet, quiet_panics, until, watchdog};
use mycelia::error::{CaptureError, Room, StopError};
use mycelia::prelude::*;
use tokio::sync::Semaphore;

#[derive(Message, Debug, PartialEq)]
#[message(reply = u64)]
struct Job(u64);

/// Too large for the inside of an envelope, as its reply is.
#[derive(Message)]
#[message(reply = [u64; 100])]
struct Large([u64; 100]);

/// A message that no route takes.
#[derive(Message, Debug, PartialEq)]
struct Stranger(u64);

/// What gated handlers wait for.
struct Gate(Semaphore);

#[derive(Subsystem, Default)]
struct Work;

#[routes]
impl Work {
    #[route("ok")]
    fn ok(&mut self, Job(n): Job) -> u64 {
        n + 1
    }

    #[route("large")]
    fn large(&mut self, Large(mut numbers): Large) -> [u64; 100] {
        numbers.reverse();
        numbers
    }

    #[route("fail")]
    fn fail(&mut self, _: Job) -> anyhow::Result<u64> {
        anyhow::bail!("no luck")
    }

    #[route("fail/later")]
    async fn fail_later(&mut self, _: Job) -> anyhow::Result<u64> {
        tokio::task::yield_now().await;
        anyhow::bail!("no luck")
    }

    #[route("panic")]
    fn panic(&mut self, _: Job) -> u64 {
        panic!("{ON_PURPOSE}")
    }

    #[route("panic/before")]
    async fn panic_before(&mut self, Job(n): Job) -> u64 {
        if n < u64::MAX {
            panic!("{ON_PURPOSE}");
        }
        tokio::task::yield_now().await;
        n
    }

    #[route("panic/after")]
    async fn panic_after(&mut self, _: Job) -> u64 {
        tokio::task::yield_now().await;
        panic!("{ON_PURPOSE}")
    }

    #[route("gated")]
    async fn gated(&mut self, Job(n): Job, State(gate): State<Gate>) -> u64 {
        gate.0.acquire().await.unwrap().forget();
        n
    }

    #[route("number/{n}")]
    fn number(&mut self, _: Job, Path(n): Path<u8>) -> u64 {
        n.into()
    }

    #[route("two/{a}/{b}")]
    fn two(&mut self, _: Job, Path(a): Path<u64>, Path(b): Path<u64>) -> u64 {
        a + b
    }
}

struct Fixture {
    system: System,
    gate: Arc<Gate>,
}

async fn fixture(pool: usize) -> Fixture {
    quiet_panics();
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let system = System::builder()
        .threads(1)
        .pool(pool)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    system.mount(Work::default).await.unwrap();
    Fixture { system, gate }
}

/// The ledger once all is quiet, for the subsystem as for the whole.
async fn account(system: &System) -> [u64; 6] {
    let total = figures(&quiet(system).await);
    let work = system.snapshot().subsystem("work").unwrap().ledger;
    assert_eq!(figures(&work), total);
    total
}

#[mycelia::test]
async fn a_handled_message_counts_as_handled_once() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(8).await;
    let handle = system.route::<Job>("work://ok").unwrap();
    for n in 0..50 {
        system.tell("work://ok", Job(n)).await.unwrap();
        handle.tell(Job(n)).await.unwrap();
        assert_eq!(system.ask("work://ok", Job(n)).await.unwrap(), n + 1);
    }
    assert_eq!(account(&system).await, [150, 150, 0, 0, 0, 0]);
    let report = system.stop().await.unwrap();
    assert_eq!(figures(&report.ledger), [150, 150, 0, 0, 0, 0]);
}

#[mycelia::test]
async fn a_large_message_and_its_large_reply_travel_like_any_other() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(4).await;
    let numbers: [u64; 100] = std::array::from_fn(|i| i as u64);
    for _ in 0..20 {
        system.tell("work://large", Large(numbers)).await.unwrap();
        let reply = system.ask("work://large", Large(numbers)).await.unwrap();
        assert!(reply.into_iter().rev().eq(numbers));
    }
    assert_eq!(account(&system).await, [40, 40, 0, 0, 0, 0]);
    assert_eq!(system.snapshot().pool.boxed, 40);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_s_error_counts_as_failed_and_reaches_the_asker() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(8).await;
    for path in ["work://fail", "work://fail/later"] {
        system.tell(path, Job(0)).await.unwrap();
        match system.ask(path, Job(0)).await {
            Err(AskError::Failed(error)) => assert_eq!(error.to_string(), "no luck"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(account(&system).await, [4, 0, 4, 0, 0, 0]);
    let now = system.snapshot();
    let work = now.subsystem("work").unwrap();
    assert_eq!(work.last_failure.as_deref(), Some("no luck"));
    assert_eq!(work.restarts, 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_panic_counts_as_failed_before_and_after_an_await() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(8).await;
    for path in ["work://panic", "work://panic/before", "work://panic/after"] {
        system.tell(path, Job(0)).await.unwrap();
        match system.ask(path, Job(0)).await {
            Err(AskError::Panicked { subsystem, message }) => {
                assert_eq!((&*subsystem, &*message), ("work", ON_PURPOSE));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(system.ask("work://ok", Job(1)).await.unwrap(), 2);
    }
    assert_eq!(account(&system).await, [9, 3, 6, 0, 0, 0]);
    assert_eq!(system.snapshot().subsystem("work").unwrap().restarts, 6);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_message_whose_deadline_passed_while_it_waited_counts_as_expired() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(8).await;
    system.tell("work://gated", Job(0)).await.unwrap();
    // It can't begin before the gate opens, and the gate opens after its deadline.
    let deadline = Duration::from_millis(5);
    match system.ask_within("work://ok", Job(0), deadline).await {
        Err(AskError::DeadlineExceeded {
            subsystem,
            deadline: stated,
        }) => {
            assert_eq!((&*subsystem, stated), ("work", deadline));
        }
        other => panic!("{other:?}"),
    }
    // A long deadline does not pass.
    let long = system.ask_within("work://ok", Job(7), Duration::MAX);
    let open = async { gate.0.add_permits(1) };
    assert_eq!(tokio::join!(long, open).0.unwrap(), 8);
    assert_eq!(account(&system).await, [3, 2, 0, 0, 1, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_expired_ask_states_the_deadline_that_it_had() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(32).await;
    for _ in 0..20 {
        match system
            .ask_within("work://ok", Job(0), Duration::from_nanos(1))
            .await
        {
            Err(AskError::DeadlineExceeded { deadline, .. }) => {
                assert_eq!(deadline, Duration::from_nanos(1));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(account(&system).await, [20, 0, 0, 0, 20, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_that_began_in_time_is_handled_though_its_asker_has_given_up() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(8).await;
    let began = system.ask_within("work://gated", Job(0), Duration::from_millis(500));
    assert!(matches!(
        began.await,
        Err(AskError::DeadlineExceeded { .. })
    ));
    gate.0.add_permits(1);
    assert_eq!(account(&system).await, [1, 1, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_a_stop_s_deadline_leaves_counts_as_undeliverable_and_what_it_cuts_off_as_failed() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(16).await;
    for n in 0..10 {
        system.tell("work://gated", Job(n)).await.unwrap();
    }
    let ask = system.ask("work://ok", Job(0));
    let stop = async {
        let waiting = || system.snapshot().total.waiting;
        until("the ask waits", || waiting() == 11).await;
        system.stop_within(Duration::from_millis(20)).await
    };
    let (asked, stopped) = tokio::join!(ask, stop);
    assert!(
        matches!(asked, Err(AskError::Unhandled { .. })),
        "{asked:?}"
    );
    let Err(StopError::DeadlineExceeded(report)) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(figures(&report.ledger), [11, 0, 1, 0, 0, 10]);
    assert_eq!(system.snapshot().pool.in_flight, 0);
}

#[mycelia::test]
async fn an_unmount_handles_all_that_was_accepted() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(16).await;
    for n in 0..10 {
        system.tell("work://gated", Job(n)).await.unwrap();
    }
    gate.0.add_permits(10);
    let ledger = system.unmount("work").await.unwrap();
    assert_eq!(figures(&ledger), [10, 10, 0, 0, 0, 0]);
    // The account of what is gone stays in the total.
    assert_eq!(figures(&system.snapshot().total), [10, 10, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_total_counts_a_subsystem_that_is_being_unmounted() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(16).await;
    for n in 0..10 {
        system.tell("work://gated", Job(n)).await.unwrap();
    }
    let unmount = tokio::spawn({
        let system = system.clone();
        async move { system.unmount("work").await }
    });
    until("it is unmounted", || {
        system.snapshot().subsystem("work").is_none()
    })
    .await;
    let total = system.snapshot().total;
    assert!(total.closes(), "{total:?}");
    assert_eq!((total.sent, total.waiting), (10, 10));
    gate.0.add_permits(10);
    unmount.await.unwrap().unwrap();
    assert_eq!(figures(&system.snapshot().total), [10, 10, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_refused_send_hands_the_message_back_with_an_error_of_its_own_kind() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(8).await;

    let refused = |path: &str, n: u64| {
        let (reason, message) = system.try_tell(path, Job(n)).unwrap_err().into_parts();
        assert_eq!(message, Job(n));
        assert!(!reason.is_retryable(), "{reason}");
        reason
    };
    assert!(matches!(refused("no path", 1), SendError::BadPath(_)));
    assert_eq!(
        refused("nobody://ok", 2),
        SendError::NoSubsystem {
            name: "nobody".into()
        }
    );
    assert_eq!(
        refused("work://nowhere", 3),
        SendError::NoRoute {
            path: "work://nowhere".into()
        }
    );
    match refused("work://number/300", 4) {
        SendError::BadCapture { route, error } => {
            assert_eq!(&*route, "work://number/{n}");
            assert!(
                matches!(&*error, CaptureError::Unparsable { index: 0, text, .. } if &**text == "300"),
                "{error}"
            );
        }
        other => panic!("{other}"),
    }
    let (reason, message) = system
        .try_tell("work://ok", Stranger(5))
        .unwrap_err()
        .into_parts();
    assert_eq!(message, Stranger(5));
    match reason {
        SendError::WrongMessage { route, sent, takes } => {
            assert_eq!(&*route, "work://ok");
            assert!(sent.ends_with("Stranger"));
            assert!(matches!(&*takes, [job] if job.ends_with("Job")));
        }
        other => panic!("{other}"),
    }

    // The other verbs say the same.
    let told = system.tell("nobody://ok", Job(6)).await.unwrap_err();
    assert_eq!(told.into_message(), Job(6));
    let told = system.tell_blocking("nobody://ok", Job(7)).unwrap_err();
    assert_eq!(told.into_message(), Job(7));
    match system.ask("nobody://ok", Job(8)).await {
        Err(AskError::Undelivered(undelivered)) => assert_eq!(undelivered.into_message(), Job(8)),
        other => panic!("{other:?}"),
    }

    assert_eq!(account(&system).await, [0; 6]);
    assert_eq!(system.snapshot().pool.refused, 8);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handle_refuses_captures_that_are_too_many_or_missing_or_of_the_wrong_type() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(8).await;
    let two = system.route::<Job>("work://two/{a}/{b}").unwrap();
    let reason = |refused: Undelivered<Job>| {
        let (reason, message) = refused.into_parts();
        assert_eq!(message, Job(1));
        match reason {
            SendError::BadCapture { error, .. } => *error,
            other => panic!("{other}"),
        }
    };
    assert_eq!(
        reason(two.at((1, 2, 3)).try_tell(Job(1)).unwrap_err()),
        CaptureError::TooMany {
            pattern: 2,
            given: 3
        }
    );
    assert_eq!(
        reason(two.at(1).try_tell(Job(1)).unwrap_err()),
        CaptureError::Missing { index: 1 }
    );
    assert_eq!(
        reason(two.try_tell(Job(1)).unwrap_err()),
        CaptureError::Missing { index: 0 }
    );
    assert!(matches!(
        reason(two.at(("1", "x")).try_tell(Job(1)).unwrap_err()),
        CaptureError::Unparsable { index: 1, .. }
    ));
    assert!(matches!(
        reason(two.at((1, -2)).try_tell(Job(1)).unwrap_err()),
        CaptureError::Unparsable { index: 1, .. }
    ));
    assert_eq!(two.at((1, "2")).ask(Job(1)).await.unwrap(), 3);

    // A handle made from a path keeps the path's captures.
    let fixed = system.route::<Job>("work://two/30/4").unwrap();
    assert_eq!(fixed.ask(Job(1)).await.unwrap(), 34);
    assert_eq!(account(&system).await, [2, 2, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handle_is_refused_where_a_send_would_be() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(8).await;
    let refused = |text: &str| system.route::<Job>(text).unwrap_err();
    assert!(matches!(refused("no path"), SendError::BadPath(_)));
    assert!(matches!(refused("no {pattern}"), SendError::BadPath(_)));
    assert!(matches!(
        refused("nobody://ok"),
        SendError::NoSubsystem { .. }
    ));
    assert!(matches!(
        refused("work://nowhere"),
        SendError::NoRoute { .. }
    ));
    assert!(matches!(
        refused("work://other/{n}"),
        SendError::NoRoute { .. }
    ));
    assert!(matches!(
        system.route::<Stranger>("work://ok"),
        Err(SendError::WrongMessage { .. })
    ));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_send_without_room_says_full_and_hands_the_message_back() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(4).await;
    for n in 0..4 {
        system.try_tell("work://gated", Job(n)).unwrap();
    }
    let full = system.try_tell("work://gated", Job(4)).unwrap_err();
    assert!(full.reason().is_retryable() && full.reason().is_full());
    let (reason, message) = full.into_parts();
    assert_eq!(message, Job(4));
    let subsystem = "work".into();
    assert_eq!(
        reason,
        SendError::Full {
            subsystem,
            room: Room::Pool
        }
    );
    gate.0.add_permits(4);
    assert_eq!(account(&system).await, [4, 4, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn sends_to_what_is_closed_or_stopped_hand_the_message_back() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(4).await;
    let handle = system.route::<Job>("work://ok").unwrap();
    handle.ask(Job(0)).await.unwrap();
    system.unmount("work").await.unwrap();

    let (reason, message) = handle.try_tell(Job(1)).unwrap_err().into_parts();
    assert_eq!(
        reason,
        SendError::Closed {
            subsystem: "work".into()
        }
    );
    assert_eq!(message, Job(1));
    let (reason, message) = handle.tell(Job(2)).await.unwrap_err().into_parts();
    assert_eq!(
        reason,
        SendError::Closed {
            subsystem: "work".into()
        }
    );
    assert_eq!(message, Job(2));
    let (reason, message) = system
        .try_tell("work://ok", Job(3))
        .unwrap_err()
        .into_parts();
    assert_eq!(
        reason,
        SendError::NoSubsystem {
            name: "work".into()
        }
    );
    assert_eq!(message, Job(3));

    system.mount(Work::default).await.unwrap();
    let report = system.stop().await.unwrap();
    assert_eq!(figures(&report.ledger), [1, 1, 0, 0, 0, 0]);
    for refused in [
        system.try_tell("work://ok", Job(4)),
        system.tell_blocking("work://ok", Job(4)),
        handle.try_tell(Job(4)),
    ] {
        let (reason, message) = refused.unwrap_err().into_parts();
        assert_eq!((reason, message), (SendError::Stopped, Job(4)));
    }
    assert_eq!(system.snapshot().total, report.ledger);
}

#[mycelia::test]
async fn an_ask_that_is_dropped_before_or_after_its_reply_leaks_no_envelope() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(4).await;
    let handle = system.route::<Job>("work://ok").unwrap();
    for round in 0..100 {
        // Before a handler has begun.
        assert!(
            poll_once(system.ask("work://gated", Job(0)))
                .await
                .is_none()
        );
        assert!(poll_once(handle.ask(Job(0))).await.is_none());
        gate.0.add_permits(1);
        quiet(&system).await;
        // It was not needed if that handler had not begun.
        gate.0.forget_permits(1);

        // After the reply has come, unread.
        let mut unread = Box::pin(system.ask("work://gated", Job(round)));
        assert!(poll_once(&mut unread).await.is_none());
        gate.0.add_permits(1);
        until("the reply has come", || {
            let now = system.snapshot();
            now.total.is_quiet() && now.pool.in_flight == 1
        })
        .await;
        drop(unread);
        assert_eq!(system.snapshot().pool.in_flight, 0);
    }
    // Those whose handler had not begun when their asker went away were not handled.
    let [sent, handled, failed, dropped, expired, undeliverable] = account(&system).await;
    assert_eq!([sent, failed, dropped, undeliverable], [300, 0, 0, 0]);
    assert_eq!(handled + expired, 300);
    assert!((100..=200).contains(&handled), "{handled}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn asks_dropped_at_any_moment_leak_no_envelope() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(4).await;
    for round in 0..2_000_u32 {
        let mut ask = Box::pin(system.ask("work://large", Large([round.into(); 100])));
        // The handler runs on another thread: the ask is dropped somewhere around its end.
        if poll_once(&mut ask).await.is_none() {
            for _ in 0..round % 50 * 10 {
                std::hint::spin_loop();
            }
        }
    }
    // An ask that found no envelope free was dropped while it waited, and was not sent.
    let sent = system.snapshot().total.sent;
    assert!((1..=2_000).contains(&sent), "{sent}");
    let [.., failed, dropped, expired, undeliverable] = account(&system).await;
    assert_eq!([failed, dropped, undeliverable], [0, 0, 0]);
    assert!(expired <= sent, "{expired} of {sent}");
    system.stop().await.unwrap();
}

/// Panics when it is dropped, unless it is disarmed.
#[derive(Message)]
struct Mine(bool);

impl Drop for Mine {
    fn drop(&mut self) {
        if self.0 {
            panic!("dropped {ON_PURPOSE}");
        }
    }
}

#[derive(Subsystem, Default)]
struct Field;

#[routes]
impl Field {
    #[route("hold")]
    async fn hold(&mut self, _: Job, State(gate): State<Gate>) -> u64 {
        for _to_begin_and_to_end in 0..2 {
            gate.0.acquire().await.unwrap().forget();
        }
        0
    }

    #[route("lay")]
    async fn lay(&mut self, _: Lay, State(gate): State<Gate>) -> Mine {
        gate.0.acquire().await.unwrap().forget();
        Mine(true)
    }

    #[route("disarm")]
    fn disarm(&mut self, mut mine: Mine) {
        mine.0 = false;
    }
}

#[mycelia::test]
async fn messages_that_panic_when_dropped_are_accounted_for_like_others() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(16).await;
    system.mount(Field::default).await.unwrap();
    system.tell("field://hold", Job(0)).await.unwrap();
    gate.0.add_permits(1);
    until("it is held", || gate.0.available_permits() == 0).await;
    let mut asks = Vec::new();
    for _ in 0..5 {
        system.tell("field://disarm", Mine(true)).await.unwrap();
        let mut ask = Box::pin(system.ask("field://disarm", Mine(true)));
        assert!(poll_once(&mut ask).await.is_none());
        asks.push(ask);
    }
    let stopped = system.stop_within(Duration::ZERO).await;
    let Err(StopError::DeadlineExceeded(report)) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(figures(&report.ledger), [11, 0, 1, 0, 0, 10]);
    for ask in asks {
        assert!(matches!(ask.await, Err(AskError::Unhandled { .. })));
    }
    assert_eq!(system.snapshot().pool.in_flight, 0);
}

/// Is answered with something that panics when it is dropped.
#[derive(Message)]
#[message(reply = Mine)]
struct Lay;

#[mycelia::test]
async fn an_unread_reply_that_panics_when_dropped_gives_its_envelope_back() {
    let _watch = watchdog();
    let Fixture { system, gate } = fixture(4).await;
    system.mount(Field::default).await.unwrap();
    for _ in 0..10 {
        let mut lay = Box::pin(system.ask("field://lay", Lay));
        assert!(poll_once(&mut lay).await.is_none());
        gate.0.add_permits(1);
        until("the reply has come", || {
            let now = system.snapshot();
            now.total.is_quiet() && now.pool.in_flight == 1
        })
        .await;
        // The panic is contained: whose reply it is has gone, and an asker may unwind already.
        drop(lay);
        assert_eq!(system.snapshot().pool.in_flight, 0);
    }
    assert_eq!(figures(&quiet(&system).await), [10, 10, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_message_that_expires_and_panics_when_dropped_hurts_nobody() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture(4).await;
    system.mount(Field::default).await.unwrap();
    for _ in 0..10 {
        let asked = system.ask_within("field://disarm", Mine(true), Duration::ZERO);
        assert!(matches!(
            asked.await,
            Err(AskError::DeadlineExceeded { .. })
        ));
        system.ask("field://disarm", Mine(true)).await.unwrap();
    }
    assert_eq!(figures(&quiet(&system).await), [20, 10, 0, 0, 10, 0]);
    assert_eq!(system.snapshot().subsystem("field").unwrap().restarts, 0);
    system.stop().await.unwrap();
}
