//! Promise 3: an envelope has one owner. It returns to the pool after its handler has ended, never
//! before; what was put in comes out once; none is lost, whatever happens to its message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{
    ON_PURPOSE, figures, on_no_executor, poll_once, quiet, quiet_panics, watchdog,
};
use mycelia::prelude::*;
use proptest::prelude::*;

#[derive(Message)]
struct Add(u64);

#[derive(Message)]
#[message(reply = (u64, u64))]
struct Sum;

#[derive(Subsystem, Default)]
struct Adder {
    count: u64,
    sum: u64,
}

#[routes]
impl Adder {
    #[route("add/{n}")]
    fn add(&mut self, Add(n): Add, Path(again): Path<u64>) {
        assert_eq!(n, again);
        self.count += 1;
        self.sum += n;
    }

    #[route("sum")]
    fn sum(&mut self, _: Sum) -> (u64, u64) {
        (self.count, self.sum)
    }
}

/// Four senders, two by path from plain threads and two by handle, through a pool of `pool`.
fn a_hundred_thousand_through(pool: usize) {
    const EACH: u64 = 25_000;
    let _watch = watchdog();
    let system = on_no_executor(async {
        let system = System::builder()
            .threads(2)
            .pool(pool)
            .start()
            .await
            .unwrap();
        system.mount(Adder::default).await.unwrap();
        system
    });
    std::thread::scope(|scope| {
        for sender in 0..4 {
            let system = &system;
            scope.spawn(move || {
                if sender % 2 == 0 {
                    for n in 0..EACH {
                        let path = format!("adder://add/{n}");
                        system.tell_blocking(path, Add(n)).unwrap();
                    }
                } else {
                    on_no_executor(async {
                        let add = system.route::<Add>("adder://add/{n}").unwrap();
                        for n in 0..EACH {
                            add.at(n).tell(Add(n)).await.unwrap();
                        }
                    });
                }
            });
        }
    });
    let (count, sum) = on_no_executor(system.ask("adder://sum", Sum)).unwrap();
    assert_eq!((count, sum), (4 * EACH, 4 * (EACH * (EACH - 1) / 2)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let total = runtime.unwrap().block_on(quiet(&system));
    assert_eq!(figures(&total), [4 * EACH + 1, 4 * EACH + 1, 0, 0, 0, 0]);
    let stats = system.snapshot().pool;
    assert!(
        stats.created <= pool as u64 && stats.high_water <= pool as u64,
        "{stats:?}"
    );
    on_no_executor(system.stop()).unwrap();
}

#[test]
fn a_pool_of_one_envelope_carries_a_hundred_thousand_messages() {
    a_hundred_thousand_through(1);
}

#[test]
fn a_pool_of_seven_envelopes_carries_a_hundred_thousand_messages() {
    a_hundred_thousand_through(7);
}

#[mycelia::test]
async fn a_burst_larger_than_the_pool_creates_no_envelope_beyond_it() {
    let _watch = watchdog();
    for warm_up in [0, 5, 32] {
        let system = System::builder()
            .threads(1)
            .pool(32)
            .warm_up(warm_up)
            .start()
            .await
            .unwrap();
        system.mount(Adder::default).await.unwrap();
        assert_eq!(system.snapshot().pool.created, warm_up as u64);
        for n in 0..10_000 {
            system
                .tell(format!("adder://add/{n}"), Add(n))
                .await
                .unwrap();
        }
        quiet(&system).await;
        let stats = system.snapshot().pool;
        assert!(stats.created <= 32 && stats.high_water <= 32, "{stats:?}");
        assert_eq!(stats.created - stats.warmed + stats.reused, 10_000);
        assert_eq!(stats.released, 10_000);
        system.stop().await.unwrap();
    }
}

#[test]
fn threads_that_come_and_go_strand_no_envelope() {
    let _watch = watchdog();
    let system = on_no_executor(async {
        let system = System::builder().threads(1).pool(16).start().await.unwrap();
        system.mount(Adder::default).await.unwrap();
        system
    });
    for _ in 0..10 {
        std::thread::scope(|scope| {
            for n in 0..20 {
                let system = &system;
                scope.spawn(move || {
                    system
                        .tell_blocking(format!("adder://add/{n}"), Add(n))
                        .unwrap();
                });
            }
        });
        // An asker takes its envelope back on its own thread, which ends.
        std::thread::scope(|scope| {
            scope.spawn(|| on_no_executor(system.ask("adder://sum", Sum)).unwrap());
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let total = runtime.unwrap().block_on(quiet(&system));
    assert_eq!(figures(&total), [210, 210, 0, 0, 0, 0]);
    // All sixteen can be had by one thread, the last two for those who hold none.
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    on_no_executor(async {
        let holder = gate.clone();
        system.mount(move || Holder(holder.clone())).await.unwrap();
        for _ in 0..14 {
            system.try_tell("holder://hold", Hold).unwrap();
        }
        for name in ["second", "third"] {
            let holder = gate.clone();
            let factory = move || Holder(holder.clone());
            system.mount_as(name, factory).await.unwrap();
            system.try_tell(format!("{name}://hold"), Hold).unwrap();
        }
        assert_eq!(system.snapshot().pool.idle, 0);
        assert!(
            system
                .try_tell("holder://hold", Hold)
                .unwrap_err()
                .into_reason()
                .is_full()
        );
        gate.add_permits(16);
        let report = system.stop().await.unwrap();
        assert_eq!(figures(&report.ledger), [226, 226, 0, 0, 0, 0]);
    });
}

#[derive(Message)]
struct Hold;

#[derive(Subsystem)]
struct Holder(Arc<tokio::sync::Semaphore>);

#[routes]
impl Holder {
    #[route("hold")]
    async fn hold(&mut self, _: Hold) {
        self.0.acquire().await.unwrap().forget();
    }
}

/// How many payloads were made and dropped.
#[derive(Default)]
struct Tracker {
    made: AtomicU64,
    dropped: AtomicU64,
}

/// Drops once, or the sums don't match.
struct Payload<const SIZE: usize> {
    tracker: Arc<Tracker>,
    bytes: [u8; SIZE],
}

impl<const SIZE: usize> Payload<SIZE> {
    fn new(tracker: &Arc<Tracker>) -> Self {
        tracker.made.fetch_add(1, Ordering::Relaxed);
        Payload {
            tracker: tracker.clone(),
            bytes: std::array::from_fn(|i| i as u8),
        }
    }
}

impl<const SIZE: usize> Drop for Payload<SIZE> {
    fn drop(&mut self) {
        assert!(
            self.bytes
                .iter()
                .enumerate()
                .all(|(i, byte)| i as u8 == *byte)
        );
        self.tracker.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Answer,
    AnswerLater,
    Fail,
    Panic,
    PanicLater,
}

#[derive(Message)]
#[message(reply = Payload<SIZE>)]
struct Task<const SIZE: usize> {
    fate: Fate,
    payload: Payload<SIZE>,
}

#[derive(Subsystem)]
struct Doer {
    _state: Payload<8>,
}

#[routes]
impl Doer {
    #[route("now")]
    fn small(&mut self, task: Task<16>) -> anyhow::Result<Payload<16>> {
        now(task)
    }

    #[route("now")]
    fn large(&mut self, task: Task<1000>) -> anyhow::Result<Payload<1000>> {
        now(task)
    }

    #[route("later")]
    async fn small_later(&mut self, task: Task<16>) -> anyhow::Result<Payload<16>> {
        later(task).await
    }

    #[route("later")]
    async fn large_later(&mut self, task: Task<1000>) -> anyhow::Result<Payload<1000>> {
        later(task).await
    }

    #[route("number/{n}")]
    fn number(&mut self, task: Task<16>, Path(_): Path<u8>) -> anyhow::Result<Payload<16>> {
        now(task)
    }
}

fn now<const SIZE: usize>(task: Task<SIZE>) -> anyhow::Result<Payload<SIZE>> {
    match task.fate {
        Fate::Fail => anyhow::bail!("failed"),
        Fate::Panic | Fate::PanicLater => panic!("{ON_PURPOSE}"),
        Fate::Answer | Fate::AnswerLater => Ok(Payload::new(&task.payload.tracker)),
    }
}

async fn later<const SIZE: usize>(task: Task<SIZE>) -> anyhow::Result<Payload<SIZE>> {
    if matches!(task.fate, Fate::AnswerLater | Fate::PanicLater) {
        tokio::task::yield_now().await;
    }
    now(task)
}

/// What the scenario's one sender does.
#[derive(Debug, Clone)]
enum Step {
    Tell(Send),
    TryTell(Send),
    Ask(Send),
    /// Polled once, then dropped.
    AskAndLeave(Send),
    /// Past its deadline when it is sent.
    AskTooLate(Send),
    Misaddress(u8),
    Unmount,
}

#[derive(Debug, Clone, Copy)]
struct Send {
    is_large: bool,
    by_handle: bool,
    fate: Fate,
}

impl Send {
    fn path(self) -> &'static str {
        match self.fate {
            Fate::AnswerLater | Fate::PanicLater => "doer://later",
            _ => "doer://now",
        }
    }
}

fn sends() -> impl proptest::strategy::Strategy<Value = Send> {
    let fates = prop_oneof![
        4 => Just(Fate::Answer),
        4 => Just(Fate::AnswerLater),
        1 => Just(Fate::Fail),
        1 => Just(Fate::Panic),
        1 => Just(Fate::PanicLater),
    ];
    (any::<bool>(), any::<bool>(), fates).prop_map(|(is_large, by_handle, fate)| Send {
        is_large,
        by_handle,
        fate,
    })
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => sends().prop_map(Step::Tell),
        4 => sends().prop_map(Step::TryTell),
        4 => sends().prop_map(Step::Ask),
        4 => sends().prop_map(Step::AskAndLeave),
        2 => sends().prop_map(Step::AskTooLate),
        2 => any::<u8>().prop_map(Step::Misaddress),
        1 => Just(Step::Unmount),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What the ledger must say in the end.
#[derive(Debug, Default)]
struct Expected {
    handled: u64,
    failed: u64,
    expired: u64,
    /// Asks whose askers went away: handled or failed if their handler had begun, else expired.
    left: u64,
}

impl Expected {
    fn accepted(&mut self, fate: Fate) {
        match fate {
            Fate::Answer | Fate::AnswerLater => self.handled += 1,
            Fate::Fail | Fate::Panic | Fate::PanicLater => self.failed += 1,
        }
    }
}

async fn take<const SIZE: usize>(
    system: &System,
    tracker: &Arc<Tracker>,
    step: &Step,
    expected: &mut Expected,
) where
    Task<SIZE>: Message<Reply = Payload<SIZE>>,
{
    let (Step::Tell(send)
    | Step::TryTell(send)
    | Step::Ask(send)
    | Step::AskAndLeave(send)
    | Step::AskTooLate(send)) = *step
    else {
        return;
    };
    let task = Task {
        fate: send.fate,
        payload: Payload::<SIZE>::new(tracker),
    };
    let path = send.path();
    let handle = system.route::<Task<SIZE>>(path).unwrap();
    match step {
        Step::Tell(_) if send.by_handle => handle.tell(task).await.unwrap(),
        Step::Tell(_) => system.tell(path, task).await.unwrap(),
        Step::TryTell(_) => {
            let told = match send.by_handle {
                true => handle.try_tell(task),
                false => system.try_tell(path, task),
            };
            if let Err(refused) = told {
                assert!(refused.reason().is_full());
                return;
            }
        }
        Step::Ask(_) => {
            let asked = match send.by_handle {
                true => handle.ask(task).await,
                false => system.ask(path, task).await,
            };
            match (send.fate, asked) {
                (Fate::Answer | Fate::AnswerLater, Ok(_))
                | (Fate::Fail, Err(AskError::Failed(_)))
                | (Fate::Panic | Fate::PanicLater, Err(AskError::Panicked { .. })) => {}
                (_, other) => panic!("{:?}", other.map(drop)),
            }
        }
        Step::AskAndLeave(_) => {
            // The pool is larger than the scenario: the first poll sends.
            let _ = match send.by_handle {
                true => poll_once(handle.ask(task)).await,
                false => poll_once(system.ask(path, task)).await,
            };
            expected.left += 1;
            return;
        }
        _ => {
            let asked = match send.by_handle {
                true => handle.ask_within(task, Duration::ZERO).await,
                false => system.ask_within(path, task, Duration::ZERO).await,
            };
            assert!(matches!(asked, Err(AskError::DeadlineExceeded { .. })));
            expected.expired += 1;
            return;
        }
    }
    expected.accepted(send.fate);
}

async fn run(steps: Vec<Step>, pool: usize) {
    quiet_panics();
    let tracker = Arc::new(Tracker::default());
    let system = System::builder()
        .threads(2)
        .pool(pool)
        .start()
        .await
        .unwrap();
    let factory = |tracker: &Arc<Tracker>| {
        let tracker = tracker.clone();
        move || Doer {
            _state: Payload::new(&tracker),
        }
    };
    system.mount(factory(&tracker)).await.unwrap();
    let mut expected = Expected::default();
    for step in &steps {
        match step {
            Step::Tell(send)
            | Step::TryTell(send)
            | Step::Ask(send)
            | Step::AskAndLeave(send)
            | Step::AskTooLate(send) => match send.is_large {
                true => take::<1000>(&system, &tracker, step, &mut expected).await,
                false => take::<16>(&system, &tracker, step, &mut expected).await,
            },
            Step::Misaddress(n) => {
                let task = || Task::<16> {
                    fate: Fate::Answer,
                    payload: Payload::new(&tracker),
                };
                let path = format!("doer://number/{}", u32::from(*n) + 256);
                system.try_tell(path, task()).unwrap_err();
                system.tell("nobody://now", task()).await.unwrap_err();
                system
                    .ask("doer://number/x", task())
                    .await
                    .map(drop)
                    .unwrap_err();
            }
            Step::Unmount => {
                system.unmount("doer").await.unwrap();
                system.mount(factory(&tracker)).await.unwrap();
            }
        }
    }
    let Expected {
        handled,
        failed,
        expired,
        left,
    } = expected;
    let ledger = figures(&quiet(&system).await);
    assert_eq!(ledger[0], handled + failed + expired + left);
    for (ended, at_least) in ledger[1..].iter().zip([handled, failed, 0, expired, 0]) {
        assert!((at_least..=at_least + left).contains(ended), "{ledger:?}");
    }
    let report = system.stop().await.unwrap();
    assert_eq!(figures(&report.ledger), ledger);
    drop(system);
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    assert_eq!(count(&tracker.made), count(&tracker.dropped));
    assert_eq!(Arc::strong_count(&tracker), 1);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_message_and_reply_is_dropped_once_and_accounted_for_exactly(steps in steps()) {
        let _watch = watchdog();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(run(steps, 64));
    }
}

#[mycelia::test]
async fn what_waits_when_a_system_is_dropped_or_stopped_is_dropped_once() {
    let _watch = watchdog();
    quiet_panics();
    for is_stopped in [true, false] {
        let tracker = Arc::new(Tracker::default());
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let system = System::builder().threads(1).pool(64).start().await.unwrap();
        let (state, gated) = (tracker.clone(), gate.clone());
        let factory = move || Keep {
            gate: gated.clone(),
            _state: Payload::new(&state),
        };
        system.mount(factory).await.unwrap();
        for _ in 0..20 {
            system
                .tell("keep://", Kept(Payload::new(&tracker)))
                .await
                .unwrap();
            let kept = Kept(Payload::new(&tracker));
            assert!(poll_once(system.ask("keep://", kept)).await.is_none());
        }
        if is_stopped {
            system.stop_within(Duration::ZERO).await.unwrap_err();
        }
        drop(system);
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        crate::common::until("every message is dropped", || {
            count(&tracker.dropped) == 41 && Arc::strong_count(&tracker) == 1
        })
        .await;
        assert_eq!(count(&tracker.made), 41);
    }
}

#[derive(Message)]
struct Kept(#[allow(dead_code, reason = "is only dropped")] Payload<500>);

#[derive(Subsystem)]
struct Keep {
    gate: Arc<tokio::sync::Semaphore>,
    _state: Payload<8>,
}

#[routes]
impl Keep {
    #[route("")]
    async fn keep(&mut self, _kept: Kept) {
        self.gate.acquire().await.unwrap().forget();
    }
}
