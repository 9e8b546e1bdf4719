//! Faults on purpose: they happen where and as often as the test says, and the ledger stays exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use mycelia::error::{AskError, SendError, StopError};
use mycelia::observe::{DeadReason, Stamps};
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use mycelia::{OrLater, later};
use mycelia_test::{BadPattern, BuilderExt, Faults, Injected, Probe, SystemExt};

use crate::common::{figures, poll_once, quiet, quiet_panics, until, watchdog};

#[derive(Message, Debug, PartialEq)]
#[message(reply = u64)]
struct Job(u64);

/// Is kept until the sum is not 0.
#[derive(Message)]
#[message(reply = u64)]
struct Sum;

/// Handlers that came to their end, of all subsystems.
#[derive(Default)]
struct Done(AtomicU64);

#[derive(Subsystem, Default)]
struct Work {
    sum: u64,
    last: Option<u64>,
}

#[routes]
impl Work {
    #[route("jobs/{id}")]
    fn work(&mut self, Job(n): Job, Path(_id): Path<u64>, State(done): State<Done>) -> u64 {
        assert!(self.last.is_none_or(|last| last < n), "out of order");
        self.last = Some(n);
        self.sum += n;
        done.0.fetch_add(1, Ordering::Relaxed);
        n
    }

    #[route("slow")]
    async fn slow(&mut self, Job(n): Job, State(done): State<Done>) -> u64 {
        tokio::task::yield_now().await;
        done.0.fetch_add(1, Ordering::Relaxed);
        n
    }

    #[route("sum")]
    fn sum(&mut self, sum: Sum) -> OrLater<u64, Sum> {
        match self.sum {
            0 => later(sum),
            n => OrLater::Reply(n),
        }
    }
}

async fn start(faults: &Faults) -> (System, Arc<Done>) {
    start_with(Stamps::Own, faults).await
}

async fn start_with(stamps: Stamps, faults: &Faults) -> (System, Arc<Done>) {
    quiet_panics();
    let done = Arc::new(Done::default());
    let system = System::builder()
        .threads(1)
        .stamps(stamps)
        .faults(faults)
        .shared_state(done.clone())
        .start()
        .await
        .unwrap();
    system.mount(Work::default).await.unwrap();
    (system, done)
}

#[mycelia::test]
async fn a_panic_on_purpose_is_a_panic_in_all_that_follows() {
    let _watch = watchdog();
    let faults = Faults::with_seed(1);
    let panics = faults.panic("work://jobs/7", 1.0).unwrap();
    let (system, done) = start(&faults).await;
    let mut letters = system.dead_letters();
    match system.ask("work://jobs/7", Job(1)).await {
        Err(AskError::Panicked { message, .. }) => {
            assert_eq!(&*message, "on purpose, a fault of `work://jobs/7`");
        }
        other => panic!("{other:?}"),
    }
    system.tell("work://jobs/7", Job(2)).await.unwrap();
    let letter = letters.next().await.unwrap();
    assert!(matches!(letter.reason, DeadReason::Panicked(_)));
    // Other paths to the same route are spared.
    assert_eq!(system.ask("work://jobs/8", Job(3)).await.unwrap(), 3);
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [3, 1, 2, 0, 0, 0]);
    assert_eq!(done.0.load(Ordering::Relaxed), 1);
    assert_eq!(system.snapshot().subsystem("work").unwrap().restarts, 2);
    assert_eq!((panics.injected(), faults.injected().panics), (2, 2));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_dropped_message_was_accepted_and_is_accounted_for() {
    let _watch = watchdog();
    let faults = Faults::with_seed(1);
    faults.drop("*://jobs/**", 1.0).unwrap();
    let (system, done) = start(&faults).await;
    let mut letters = system.dead_letters();
    system.tell("work://jobs/7", Job(1)).await.unwrap();
    let letter = letters.next().await.unwrap();
    assert_eq!(letter.reason, DeadReason::Injected);
    assert_eq!(letter.path(), "work://jobs/{id}");
    let text = letter.to_string();
    assert!(
        text.contains("was dropped by a fault set on purpose"),
        "{text}"
    );
    let asked = system.ask("work://jobs/7", Job(2)).await;
    assert!(matches!(asked, Err(AskError::Dropped { .. })), "{asked:?}");
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [2, 0, 0, 2, 0, 0]);
    assert_eq!(done.0.load(Ordering::Relaxed), 0);
    // A message that would be refused is refused, and not dropped.
    let refused = system.try_tell("work://jobs/seven", Job(3)).unwrap_err();
    assert!(matches!(refused.reason(), SendError::BadCapture { .. }));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_full_mailbox_hands_the_message_back_or_has_its_sender_try_again() {
    let _watch = watchdog();
    let faults = Faults::with_seed(1);
    let full = faults.full("work://jobs/{id}", 1.0).unwrap();
    let (system, _) = start(&faults).await;
    let refused = system.try_tell("work://jobs/7", Job(1)).unwrap_err();
    assert!(refused.reason().is_full());
    assert_eq!(refused.into_message(), Job(1));

    let mut told = std::pin::pin!(system.tell("work://jobs/7", Job(2)));
    let mut asked = std::pin::pin!(system.ask("work://jobs/7", Job(3)));
    let before = full.injected();
    until("both have tried again and again", || {
        assert!(told.as_mut().now_or_never().is_none());
        assert!(asked.as_mut().now_or_never().is_none());
        full.injected() > before + 20
    })
    .await;
    assert_eq!(system.snapshot().total.sent, 0);
    full.remove();
    told.await.unwrap();
    assert_eq!(asked.await.unwrap(), 3);

    // By half it comes through, sooner or later.
    let half = faults.full("*://**", 0.5).unwrap();
    for n in 4..54 {
        system.tell("work://jobs/7", Job(n)).await.unwrap();
    }
    assert!(half.injected() > 5, "{}", half.injected());
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [52, 52, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_follows_on_a_full_mailbox_is_for_its_policy() {
    let _watch = watchdog();
    let faults = Faults::with_seed(1);
    let (system, _) = start(&faults).await;
    // At run time, and on the system itself.
    system.faults().full("work://**", 1.0).unwrap();
    system.set_overflow("work", Overflow::DropNewest).unwrap();
    system.tell("work://jobs/7", Job(1)).await.unwrap();
    assert_eq!(figures(&quiet(&system).await), [1, 0, 0, 1, 0, 0]);
    system.set_overflow("work", Overflow::Reject).unwrap();
    let refused = system.tell("work://jobs/7", Job(1)).await.unwrap_err();
    assert!(refused.reason().is_full());
    assert_eq!(faults.injected().full, 2);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_delay_counts_as_wait_and_keeps_the_order() {
    let _watch = watchdog();
    let faults = Faults::with_seed(1);
    let by = Duration::from_millis(20);
    faults.delay("work://jobs/1", by).unwrap();
    let (system, _) = start(&faults).await;
    for n in 1..=3 {
        let path = format!("work://jobs/{n}");
        system.tell(path, Job(n)).await.unwrap();
    }
    // Its handler looks at the order.
    assert_eq!(system.ask("work://jobs/4", Job(4)).await.unwrap(), 4);
    let snapshot = system.snapshot();
    let latency = snapshot
        .kind::<Work>()
        .unwrap()
        .latency("jobs/{id}")
        .unwrap();
    // Within what a histogram's buckets are wide.
    assert!(latency.wait.p50_ns >= by.as_nanos() as u64 * 98 / 100);
    assert_eq!(faults.injected().delays, 1);
    assert_eq!(figures(&quiet(&system).await)[..3], [4, 4, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_delay_holds_up_no_neighbour_and_what_a_stop_finds_held_back_is_accounted_for() {
    let _watch = watchdog();
    let faults = Faults::with_seed(1);
    faults
        .delay("work://**", Duration::from_secs(3600))
        .unwrap();
    let (system, done) = start(&faults).await;
    let mut asked = std::pin::pin!(system.ask("work://jobs/1", Job(1)));
    assert!(poll_once(asked.as_mut()).await.is_none());
    system.tell("work://jobs/1", Job(2)).await.unwrap();
    until("the first is held back", || faults.injected().delays == 1).await;
    // On the same thread.
    let neighbour = Probe::new("neighbour").replies::<Job>("jobs", 7);
    neighbour.mount(&system).await.unwrap();
    assert_eq!(system.ask("neighbour://jobs", Job(9)).await.unwrap(), 7);
    let stopped = system.stop_within(Duration::from_millis(20)).await;
    let Err(StopError::DeadlineExceeded(report)) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(figures(&report.ledger), [3, 1, 1, 0, 0, 1]);
    assert!(matches!(asked.await, Err(AskError::Unhandled { .. })));
    assert_eq!(done.0.load(Ordering::Relaxed), 0);
    assert_eq!(system.snapshot().pool.in_flight, 0);
}

#[mycelia::test]
async fn what_expires_behind_a_delay_is_accounted_for_and_what_comes_after_it_is_handled() {
    let _watch = watchdog();
    for stamps in [Stamps::Own, Stamps::Shared] {
        let faults = Faults::with_seed(1);
        let by = Duration::from_millis(300);
        faults.delay("work://jobs/1", by).unwrap();
        let (system, done) = start_with(stamps, &faults).await;
        system.try_tell("work://jobs/1", Job(1)).unwrap();
        // No one waits for the reply any more when its turn comes.
        let asked = poll_once(system.ask("work://jobs/2", Job(2))).await;
        assert!(asked.is_none());
        assert_eq!(system.ask("work://slow", Job(3)).await.unwrap(), 3);
        assert_eq!(figures(&quiet(&system).await), [3, 2, 0, 0, 1, 0]);
        assert_eq!(done.0.load(Ordering::Relaxed), 2);
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn a_message_kept_for_later_meets_its_faults_once() {
    let _watch = watchdog();
    let faults = Faults::with_seed(1);
    faults
        .delay("work://sum", Duration::from_millis(1))
        .unwrap();
    let (system, _) = start(&faults).await;
    let sum = system.ask("work://sum", Sum);
    let jobs = async {
        until("the sum is kept", || faults.injected().delays == 1).await;
        // The first changes nothing.
        for n in [0, 5] {
            system.ask("work://jobs/1", Job(n)).await.unwrap();
        }
    };
    let (sum, ()) = tokio::join!(sum, jobs);
    assert_eq!(sum.unwrap(), 5);
    assert_eq!(faults.injected().delays, 1);
    system.stop().await.unwrap();
}

/// Sends jobs by tell and by ask in turn; what became of each that was asked.
async fn storm(faults: &Faults) -> (Vec<&'static str>, [u64; 6], Injected) {
    let (system, done) = start(faults).await;
    let mut ends = Vec::new();
    for n in 1..=400 {
        let path = format!("work://jobs/{}", n % 10);
        if n % 2 == 0 {
            system.tell(path, Job(n)).await.unwrap();
            continue;
        }
        ends.push(match system.ask(path, Job(n)).await {
            Ok(_) => "handled",
            Err(AskError::Panicked { .. }) => "panicked",
            Err(AskError::Dropped { .. }) => "dropped",
            Err(other) => panic!("{other:?}"),
        });
    }
    let figures = figures(&quiet(&system).await);
    assert_eq!(figures[1], done.0.load(Ordering::Relaxed));
    system.stop().await.unwrap();
    (ends, figures, faults.injected())
}

async fn stormy(seed: u64) -> (Vec<&'static str>, [u64; 6], Injected) {
    let faults = Faults::with_seed(seed);
    faults.panic("work://**", 0.1).unwrap();
    faults.drop("work://jobs/*", 0.1).unwrap();
    faults.full("*://jobs/**", 0.1).unwrap();
    faults
        .delay("work://jobs/3", Duration::from_micros(50))
        .unwrap();
    storm(&faults).await
}

#[mycelia::test]
async fn the_ledger_is_exact_under_all_faults_at_once() {
    let _watch = watchdog();
    let (_, [sent, handled, failed, dropped, expired, undeliverable], injected) = stormy(11).await;
    assert_eq!(sent, 400);
    assert_eq!(sent, handled + failed + dropped);
    assert_eq!((expired, undeliverable), (0, 0));
    assert_eq!((failed, dropped), (injected.panics, injected.drops));
    assert_eq!(injected.delays, 40);
    // Each by a chance of a tenth, of 400: less than 1 in 10^7 is beyond these bounds.
    for count in [injected.panics, injected.drops, injected.full] {
        assert!((8..90).contains(&count), "{injected:?}");
    }
}

#[mycelia::test]
async fn the_same_seed_brings_the_same_faults_and_another_one_others() {
    let _watch = watchdog();
    let first = stormy(11).await;
    assert_eq!(first, stormy(11).await);
    assert_ne!(first.0, stormy(12).await.0);
}

#[mycelia::test]
async fn removed_faults_do_not_happen_any_more() {
    let _watch = watchdog();
    let faults = Faults::new();
    let panics = faults.panic("work://**", 1.0).unwrap();
    let drops = faults.drop("work://**", 1.0).unwrap();
    let (system, _) = start(&faults).await;
    // In the order in which they were set.
    assert!(system.ask("work://jobs/1", Job(1)).await.is_err());
    assert_eq!((panics.injected(), drops.injected()), (1, 0));
    panics.remove();
    assert!(system.ask("work://jobs/1", Job(2)).await.is_err());
    assert_eq!((panics.injected(), drops.injected()), (1, 1));
    faults.clear();
    assert_eq!(system.ask("work://jobs/1", Job(3)).await.unwrap(), 3);
    assert_eq!(figures(&quiet(&system).await), [3, 1, 1, 1, 0, 0]);
    system.stop().await.unwrap();
}

#[test]
fn a_bad_pattern_or_chance_is_refused() {
    let faults = Faults::new();
    let text = |refused: Result<_, BadPattern>| refused.unwrap_err().to_string();
    assert_eq!(
        text(faults.panic("jobs", 1.0)),
        "`jobs` holds no `://`; write `name://…` or `*://…`"
    );
    assert_eq!(
        text(faults.drop("work://**", 1.5)),
        "the chance 1.5 is not a number from 0 to 1"
    );
    assert!(faults.full("work://**", f64::NAN).is_err());
    assert_eq!(faults.injected(), Injected::default());
}
