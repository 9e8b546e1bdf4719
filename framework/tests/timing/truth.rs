//! Promise 8: a latency is a real interval of one message, and every message is recorded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{ON_PURPOSE, figures, poll_once, quiet, quiet_panics, watchdog};
use mycelia::observe::{Latency, RouteLatency, Snapshot};
use mycelia::prelude::*;
use mycelia::time::{Clock, ClockHand};

#[derive(Message)]
struct Work {
    takes: Duration,
}

#[derive(Message)]
#[message(reply = Option<Duration>)]
struct Left;

struct Hand(Mutex<ClockHand>);

impl Hand {
    fn advance(&self, by: Duration) {
        self.0.lock().unwrap().advance(by);
    }
}

struct Gate(tokio::sync::Semaphore);

#[derive(Subsystem, Default)]
struct Worker;

#[routes]
impl Worker {
    #[route("work")]
    fn work(&mut self, Work { takes }: Work, State(hand): State<Hand>) {
        hand.advance(takes);
    }

    #[route("work/later")]
    async fn work_later(&mut self, Work { takes }: Work, State(hand): State<Hand>) {
        hand.advance(takes / 2);
        tokio::task::yield_now().await;
        hand.advance(takes - takes / 2);
    }

    #[route("fail")]
    fn fail(&mut self, Work { takes }: Work, State(hand): State<Hand>) -> anyhow::Result<()> {
        hand.advance(takes);
        anyhow::bail!("failed")
    }

    #[route("panic")]
    async fn panic(&mut self, Work { takes }: Work, State(hand): State<Hand>) {
        tokio::task::yield_now().await;
        hand.advance(takes);
        panic!("{ON_PURPOSE}")
    }

    #[route("gate")]
    async fn gate(&mut self, _: Work, State(gate): State<Gate>) {
        gate.0.acquire().await.unwrap().forget();
    }

    #[route("left")]
    fn left(&mut self, _: Left, Deadline(left): Deadline) -> Option<Duration> {
        left
    }
}

async fn system() -> (System, ClockHand, Arc<Gate>) {
    quiet_panics();
    let (clock, hand) = Clock::manual();
    let gate = Arc::new(Gate(tokio::sync::Semaphore::new(0)));
    let system = System::builder()
        .threads(1)
        .pool(2_000)
        .clock(clock)
        .ask_deadline(None)
        .state(Hand(Mutex::new(hand.clone())))
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    let options = MountOptions::new().own_histograms(true);
    system.mount_with(options, Worker::default).await.unwrap();
    (system, hand, gate)
}

/// A route's latencies, of the only subsystem of its kind.
async fn latency(system: &System, route: &str) -> RouteLatency {
    quiet(system).await;
    latency_in(&system.snapshot(), route).unwrap()
}

/// The same in a snapshot of a moment at which nothing is handled.
#[track_caller]
fn latency_in(now: &Snapshot, route: &str) -> Option<RouteLatency> {
    let own = now.route(route).unwrap().latency;
    let pattern = route.strip_prefix("worker://").unwrap();
    let of_kind = now.kind::<Worker>().unwrap().latency(pattern);
    assert_eq!(own, of_kind, "its own histograms and those of its kind");
    own
}

/// Within what two significant digits of a histogram give.
#[track_caller]
fn assert_near(value_ns: u64, expected: Duration) {
    let expected = expected.as_nanos() as f64;
    assert!(
        (value_ns as f64 - expected).abs() <= expected * 0.008,
        "{value_ns} ns where {expected} ns passed"
    );
}

/// Every quantile of a latency that all messages share.
#[track_caller]
fn assert_all_near(latency: &Latency, expected: Duration) {
    for value_ns in [
        latency.p50_ns,
        latency.p90_ns,
        latency.p99_ns,
        latency.p999_ns,
        latency.max_ns,
    ] {
        assert_near(value_ns, expected);
    }
    assert_near(latency.mean_ns as u64, expected);
}

const US: Duration = Duration::from_micros(1);

#[mycelia::test]
async fn wait_service_and_total_are_what_passed_on_the_clock() {
    let _watch = watchdog();
    for route in ["worker://work", "worker://work/later"] {
        let (system, hand, gate) = system().await;
        for _ in 0..100 {
            // It waits for 500 µs behind another that waits for the gate.
            system
                .tell("worker://gate", Work { takes: US })
                .await
                .unwrap();
            system.tell(route, Work { takes: 30 * US }).await.unwrap();
            hand.advance(500 * US);
            gate.0.add_permits(1);
            quiet(&system).await;
        }
        let work = latency(&system, route).await;
        assert_eq!(work.count, 100);
        assert_all_near(&work.wait, 500 * US);
        assert_all_near(&work.service, 30 * US);
        assert_all_near(&work.total, 530 * US);
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn each_message_of_a_queue_waits_for_those_before_it() {
    let _watch = watchdog();
    let (system, hand, gate) = system().await;
    system
        .tell("worker://gate", Work { takes: US })
        .await
        .unwrap();
    for _ in 0..1_000 {
        system
            .tell("worker://work", Work { takes: 10 * US })
            .await
            .unwrap();
    }
    hand.advance(10 * US);
    gate.0.add_permits(1);
    // The n-th waits n times 10 µs, from 10 to 10,000.
    let work = latency(&system, "worker://work").await;
    assert_eq!(work.count, 1_000);
    assert_near(work.wait.p50_ns, 5_000 * US);
    assert_near(work.wait.p90_ns, 9_000 * US);
    assert_near(work.wait.p99_ns, 9_900 * US);
    assert_near(work.wait.max_ns, 10_000 * US);
    assert_near(work.wait.mean_ns as u64, 5_005 * US);
    assert_near(work.total.max_ns, 10_010 * US);
    assert_all_near(&work.service, 10 * US);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn every_message_that_a_handler_began_is_recorded_however_it_ended() {
    let _watch = watchdog();
    let (system, ..) = system().await;
    let takes = 7 * US;
    let routes = [
        "worker://work",
        "worker://work/later",
        "worker://fail",
        "worker://panic",
    ];
    for n in 0..400 {
        let route = routes[n % 4];
        match n % 2 {
            0 => system.tell(route, Work { takes }).await.unwrap(),
            _ => drop(system.ask(route, Work { takes }).await),
        }
    }
    let expired = system.ask_within("worker://work", Work { takes }, Duration::ZERO);
    assert!(expired.await.is_err());
    assert_eq!(figures(&quiet(&system).await), [401, 200, 200, 0, 1, 0]);
    for route in routes {
        let latency = latency(&system, route).await;
        assert_eq!(latency.count, 100, "{route}");
        assert_all_near(&latency.service, takes);
    }
    let now = system.snapshot();
    let worker = &now.subsystems[0];
    let recorded: u64 = worker
        .routes
        .iter()
        .filter_map(|route| Some(route.latency?.count))
        .sum();
    assert_eq!(recorded, now.total.handled + now.total.failed);
    assert_eq!((worker.wait.count, worker.service.count), (400, 400));
    let near = |ns: u64, exact: Duration| ns.abs_diff(exact.as_nanos() as u64) <= 400;
    assert!(near(worker.service.sum_ns, 400 * takes), "{worker:?}");
    assert!(near(worker.service.max_ns, takes), "{worker:?}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_asker_finds_its_own_message_in_the_books() {
    let _watch = watchdog();
    let (system, ..) = system().await;
    for n in 1..=500 {
        system
            .ask("worker://work", Work { takes: US })
            .await
            .unwrap();
        let now = system.snapshot();
        assert_eq!(now.total.handled, n);
        assert_eq!(latency_in(&now, "worker://work").unwrap().count, n);
        assert_eq!(now.subsystems[0].wait.count, n);
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_reads_the_time_that_is_left_on_the_system_s_clock() {
    let _watch = watchdog();
    let (system, hand, gate) = system().await;
    assert_eq!(system.ask("worker://left", Left).await.unwrap(), None);
    system
        .tell("worker://gate", Work { takes: US })
        .await
        .unwrap();
    let minute = Duration::from_secs(60);
    let mut left = Box::pin(system.ask_within("worker://left", Left, minute));
    assert!(poll_once(&mut left).await.is_none());
    hand.advance(minute / 4);
    gate.0.add_permits(1);
    let left = left.await.unwrap().unwrap();
    assert_near(left.as_nanos() as u64, minute * 3 / 4);

    // It expires by that clock, too.
    system
        .tell("worker://gate", Work { takes: US })
        .await
        .unwrap();
    let mut late = Box::pin(system.ask_within("worker://left", Left, minute));
    assert!(poll_once(&mut late).await.is_none());
    hand.advance(minute);
    gate.0.add_permits(1);
    match late.await {
        Err(AskError::DeadlineExceeded { deadline, .. }) => assert_eq!(deadline, minute),
        other => panic!("{other:?}"),
    }
    assert_eq!(figures(&quiet(&system).await), [5, 4, 0, 0, 1, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_snapshot_under_traffic_never_counts_a_message_twice() {
    let _watch = watchdog();
    let (system, ..) = system().await;
    let sending = std::thread::spawn({
        let system = system.clone();
        move || {
            for _ in 0..50_000 {
                system
                    .tell_blocking("worker://work", Work { takes: US })
                    .unwrap();
            }
        }
    });
    let mut before = mycelia::observe::Ledger::default();
    while !sending.is_finished() {
        let now = system.snapshot();
        let own = now.route("worker://work").unwrap().latency;
        let of_kind = now.kind::<Worker>().unwrap().latency("work");
        let recorded = [own, of_kind].map(|latency| latency.map_or(0, |it| it.count));
        let summed = now.subsystems[0].service.count;
        assert!(now.total.closes(), "{:?}", now.total);
        assert!(now.total.sent >= before.sent && now.total.handled >= before.handled);
        // The ledger is read after the latencies: what is recorded may be fewer, never more.
        assert!(recorded.into_iter().all(|count| count <= now.total.sent));
        assert!(summed <= now.total.sent);
        before = now.total;
    }
    sending.join().unwrap();
    assert_eq!(latency(&system, "worker://work").await.count, 50_000);
    let summed = system.snapshot().subsystems[0].service;
    assert_eq!(summed.count, 50_000);
    assert_near(summed.sum_ns, 50_000 * US);
    system.stop().await.unwrap();
}
