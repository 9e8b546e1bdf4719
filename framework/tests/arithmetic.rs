//! No duration, count or size that the public interface takes panics or wraps: the longest durations are
//! "never", the largest counts "as many as there are", and what can't be is refused with an error.

mod common;

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{ON_PURPOSE, named, watchdog};
use mycelia::Replicas;
use mycelia::error::{MountError, StartError, StopError};
use mycelia::observe::{Stamps, StopReason};
use mycelia::prelude::*;
use mycelia::schedule::{Adaptive, LoadBased, Overflow, RoundRobin, Slice, Weighted};
use mycelia::supervise::{Backoff, Restart, RestartScope};
use mycelia::time::Clock;
use proptest::prelude::*;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts the panics that no one provoked, on all threads.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            if !text.contains(ON_PURPOSE) {
                PANICS.fetch_add(1, Ordering::Relaxed);
                before(panic);
            }
        }));
    });
}

#[derive(Message)]
#[message(reply = u64)]
struct Ping;

#[derive(Message)]
struct Fail;

#[derive(Subsystem, Default)]
struct Api;

#[routes]
impl Api {
    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u64 {
        1
    }

    #[route("{id}/ping")]
    fn ping_one(&mut self, _: Ping, Path(id): Path<u64>) -> u64 {
        id
    }

    #[route("fail")]
    fn fail(&mut self, _: Fail) {
        panic!("on purpose");
    }
}

/// 0, 1, the largest, and what lies beside the powers of two.
fn extreme_u64() -> BoxedStrategy<u64> {
    let near = (0_u32..64, 0_u64..3).prop_map(|(bit, by)| (1_u64 << bit).wrapping_sub(1) + by);
    prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(u64::MAX - 1), near].boxed()
}

fn extreme_u32() -> BoxedStrategy<u32> {
    extreme_u64().prop_map(|n| n as u32).boxed()
}

fn extreme_usize() -> BoxedStrategy<usize> {
    extreme_u64().prop_map(|n| n as usize).boxed()
}

fn extreme_duration() -> BoxedStrategy<Duration> {
    let near_max = extreme_u64().prop_map(|n| Duration::MAX - Duration::from_nanos(n));
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        extreme_u64().prop_map(Duration::from_nanos),
        extreme_u64().prop_map(Duration::from_micros),
        extreme_u64().prop_map(Duration::from_millis),
        extreme_u64().prop_map(Duration::from_secs),
        near_max,
    ]
    .boxed()
}

fn extreme_f64() -> BoxedStrategy<f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        Just(1.0 + f64::EPSILON),
    ]
    .boxed()
}

#[derive(Debug, Clone)]
struct Settings {
    warm_up: usize,
    keep_dead_letters: usize,
    stop_deadline: Duration,
    ask_deadline: Option<Duration>,
    slice: (u32, Duration),
    strategy: u8,
    stamps: Stamps,
    hand: Option<[Duration; 2]>,
    together: RestartScope,
    mount: [Mounting; 2],
    within: [Duration; 2],
    capacity: u32,
}

#[derive(Debug, Clone)]
struct Mounting {
    capacity: u32,
    weight: u32,
    wait_goal: Duration,
    restart: Restart,
    intensity: Option<(u32, Duration)>,
    backoff: (Duration, Duration, f64),
    overflow: Overflow,
}

impl Mounting {
    fn options(&self, name: &str) -> MountOptions {
        let (first, cap, jitter) = self.backoff;
        let options = named(name)
            .capacity(self.capacity.max(1))
            .weight(self.weight.max(1))
            .wait_goal(self.wait_goal)
            .restart(self.restart)
            .backoff(Backoff::new(first, cap).jitter(jitter))
            .overflow(self.overflow);
        match self.intensity {
            Some((restarts, within)) => options.intensity(restarts, within),
            None => options,
        }
    }
}

fn mounting() -> BoxedStrategy<Mounting> {
    (
        extreme_u32(),
        extreme_u32(),
        extreme_duration(),
        prop_oneof![
            Just(Restart::Permanent),
            Just(Restart::Transient),
            Just(Restart::Never)
        ],
        proptest::option::of((extreme_u32(), extreme_duration())),
        (extreme_duration(), extreme_duration(), extreme_f64()),
        prop_oneof![
            Just(Overflow::Wait),
            Just(Overflow::Reject),
            Just(Overflow::DropOldest)
        ],
    )
        .prop_map(
            |(capacity, weight, wait_goal, restart, intensity, backoff, overflow)| Mounting {
                capacity,
                weight,
                wait_goal,
                restart,
                intensity,
                backoff,
                overflow,
            },
        )
        .boxed()
}

fn settings() -> BoxedStrategy<Settings> {
    let builder = (
        extreme_usize(),
        0_usize..3,
        extreme_duration(),
        proptest::option::of(extreme_duration()),
        (extreme_u32(), extreme_duration()),
        0_u8..4,
        prop_oneof![Just(Stamps::Own), Just(Stamps::Shared)],
        proptest::option::of([extreme_duration(), extreme_duration()]),
    );
    let rest = (
        prop_oneof![
            Just(RestartScope::OneForOne),
            Just(RestartScope::AllForOne),
            Just(RestartScope::RestForOne)
        ],
        [mounting(), mounting()],
        [extreme_duration(), extreme_duration()],
        extreme_u32(),
    );
    (builder, rest)
        .prop_map(|(builder, rest)| {
            let (warm_up, keep, stop_deadline, ask_deadline, slice, strategy, stamps, hand) =
                builder;
            let (together, mount, within, capacity) = rest;
            Settings {
                warm_up,
                keep_dead_letters: [0, 1, usize::MAX][keep],
                stop_deadline,
                ask_deadline,
                slice,
                strategy,
                stamps,
                hand,
                together,
                mount,
                within,
                capacity,
            }
        })
        .boxed()
}

/// Lives the whole life of a system with these settings.
async fn live(settings: Settings) {
    let Settings {
        slice, strategy, ..
    } = settings;
    let stated = Slice::new(slice.0).within(slice.1);
    let builder = System::builder()
        .threads(1)
        .pool(64)
        .warm_up(settings.warm_up)
        .keep_dead_letters(settings.keep_dead_letters)
        .stop_deadline(settings.stop_deadline)
        .ask_deadline(settings.ask_deadline)
        .stamps(settings.stamps)
        .restart_scope(settings.together);
    let builder = match strategy {
        0 => builder.strategy(RoundRobin(stated)),
        1 => builder.strategy(LoadBased(stated)),
        2 => builder.strategy(Adaptive(stated)),
        _ => builder.strategy(Weighted(slice.1)),
    };
    let (clock, hand) = match settings.hand {
        None => (None, None),
        Some(_) => Some(Clock::manual()).unzip(),
    };
    let builder = match clock {
        Some(clock) => builder.clock(clock),
        None => builder,
    };
    let system = builder.start().await.unwrap();
    for (name, mounting) in ["a", "b"].iter().zip(&settings.mount) {
        system
            .mount_with(mounting.options(name), Api::default)
            .await
            .unwrap();
    }
    let child = settings.mount[0].options("c").parent("b");
    system.mount_with(child, Api::default).await.unwrap();
    let a_while = Duration::from_millis(5);
    for (n, within) in settings.within.into_iter().enumerate() {
        for name in ["a", "b", "b/c"] {
            let path = format!("{name}://ping");
            // One may wait for a backoff of centuries: what counts is that nothing panics.
            let asked = system.ask_within(&*path, Ping, within);
            let _ = tokio::time::timeout(a_while, asked).await;
            let _ = tokio::time::timeout(a_while, system.ask(&*path, Ping)).await;
            let _ = system.set_capacity(name, settings.capacity);
            let _ = system.try_tell(format!("{name}://fail"), Fail);
        }
        if let (Some(hand), Some(by)) = (&hand, settings.hand) {
            hand.advance(by[n]);
        }
        system.snapshot();
    }
    let stopped = system.stop_within(settings.within[0]);
    // A deadline that never comes is waited for only while something goes on.
    let stopped = tokio::time::timeout(Duration::from_secs(20), stopped).await;
    let stopped = stopped.expect("nothing is left that could go on");
    match stopped {
        Ok(_) | Err(StopError::DeadlineExceeded(_) | StopError::Escalated(_)) => {}
        Err(other) => panic!("{other}"),
    }
    assert!(system.snapshot().total.closes());
    drop(system);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_setting_makes_a_system_panic(settings in settings()) {
        let _watchdog = watchdog();
        count_panics();
        let executor = tokio::runtime::Builder::new_current_thread();
        let executor = { executor }.enable_all().build().unwrap();
        executor.block_on(Box::pin(live(settings)));
    }

    #[test]
    fn no_figure_makes_a_value_panic(
        count in extreme_usize(),
        n in extreme_u32(),
        time in extreme_duration(),
    ) {
        let slice = Slice::new(n).within(time);
        assert!(slice.messages() >= 1);
        assert!(slice.time() >= Some(Slice::SHORTEST) && slice.time() <= Some(Slice::LONGEST));
        let _ = (Replicas::round_robin(count), Replicas::by_capture(count, "id"));
        let (clock, hand) = Clock::manual();
        let begun = clock.now();
        hand.advance(time);
        let passed = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // The clock's first reading is 1.
        assert_eq!(clock.between_ns(begun, clock.now()), passed.min(u64::MAX / 2 - 1));
    }
}

#[tokio::test]
async fn what_can_not_be_is_refused_with_an_error() {
    let _watchdog = watchdog();
    count_panics();
    for most in [0, usize::MAX, 1 << 32, (1 << 24) + 1] {
        for builder in [
            System::builder().threads(most),
            System::builder().blocking_threads(most),
            System::builder().pool(most),
        ] {
            let refused = builder.start().await;
            assert!(matches!(refused, Err(StartError::BadSetting { .. })));
        }
    }
    let system = System::builder().threads(1).start().await.unwrap();
    for thread in [1, usize::MAX, usize::MAX - 1] {
        let refused = system.mount_on(thread, Api::default).await;
        assert!(matches!(refused, Err(MountError::NoThread { .. })));
    }
    for replicas in [0, usize::MAX, usize::MAX - 1, Replicas::MAX + 1] {
        for spread in [
            Replicas::round_robin(replicas),
            Replicas::by_capture(replicas, "id"),
        ] {
            let refused = system.mount_replicas(spread, Api::default).await;
            assert!(matches!(refused, Err(MountError::BadSetting { .. })));
        }
    }
    for options in [named("none").capacity(0), named("none").weight(0)] {
        let refused = system.mount_with(options, Api::default).await;
        assert!(matches!(refused, Err(MountError::BadSetting { .. })));
    }
    let long = "a".repeat(1 << 20);
    let refused = system.mount_as(&*long, Api::default).await;
    assert!(matches!(refused, Err(MountError::BadName { .. })));
    system
        .mount_replicas(Replicas::round_robin(1), Api::default)
        .await
        .unwrap();
    assert_eq!(system.ask("api/0://ping", Ping).await.unwrap(), 1);
    system.stop().await.unwrap();
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_system_whose_stop_may_take_as_long_as_it_likes_is_stopped_by_an_escalation() {
    let _watchdog = watchdog();
    count_panics();
    let system = System::builder().threads(1).stop_deadline(Duration::MAX);
    let system = system.start().await.unwrap();
    let once = named("a").intensity(0, Duration::MAX);
    system.mount_with(once, Api::default).await.unwrap();
    system.mount_as("other", Api::default).await.unwrap();
    system.tell("a://fail", Fail).await.unwrap();
    let reason = system.stopped().await;
    assert!(matches!(reason, StopReason::Escalated { .. }));
    let stopped = system.stop_within(Duration::MAX).await;
    assert!(matches!(stopped, Err(StopError::Escalated(_))));
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_stop_ends_the_pause_of_those_who_are_restarted_together() {
    let _watchdog = watchdog();
    count_panics();
    let system = System::builder()
        .threads(1)
        .restart_scope(RestartScope::AllForOne);
    let system = system.start().await.unwrap();
    for name in ["a", "b"] {
        let pauses = named(name).backoff(Backoff::new(Duration::MAX, Duration::MAX));
        system.mount_with(pauses, Api::default).await.unwrap();
    }
    let mut watch = system.watch("a");
    system.tell("a://fail", Fail).await.unwrap();
    watch.next().await.unwrap();
    system.tell("b://ping", Ping).await.unwrap();
    let report = system.stop_within(Duration::MAX).await.unwrap();
    assert_eq!((report.ledger.handled, report.ledger.failed), (1, 1));
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}
