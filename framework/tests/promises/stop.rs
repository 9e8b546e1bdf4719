//! Promise 7: a stop refuses what is new, handles what was accepted until a deadline, reports the
//! rest, and joins the threads. Two systems in one process never meet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{figures, on_no_executor, poll_once, quiet, until, watchdog};
use mycelia::error::StopError;
use mycelia::prelude::*;
use tokio::sync::Semaphore;

struct Gate(Semaphore);

/// Is sent on `left` more times.
#[derive(Message)]
#[message(reply = u64)]
struct Cascade {
    left: u64,
}

#[derive(Message)]
struct Hold;

/// Asks for the number that the operating system gives the thread.
#[derive(Message)]
#[message(reply = String)]
struct Thread;

#[derive(Default)]
struct Handled(AtomicU64);

#[derive(Subsystem, Default)]
struct Steps;

#[routes]
impl Steps {
    #[route("cascade")]
    async fn cascade(
        &mut self,
        Cascade { left }: Cascade,
        system: System,
        State(handled): State<Handled>,
        Sender(from): Sender,
    ) -> u64 {
        handled.0.fetch_add(1, Ordering::Relaxed);
        if left > 0 {
            let to = match from.as_deref() {
                Some("steps-a") => "steps-b://cascade",
                _ => "steps-a://cascade",
            };
            tokio::task::yield_now().await;
            system.tell(to, Cascade { left: left - 1 }).await.unwrap();
        }
        left
    }

    #[route("hold")]
    async fn hold(&mut self, _: Hold, State(gate): State<Gate>) {
        gate.0.acquire().await.unwrap().forget();
    }

    #[route("thread")]
    fn thread(&mut self, _: Thread) -> String {
        let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        link.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into()
    }
}

struct Fixture {
    system: System,
    gate: Arc<Gate>,
    handled: Arc<Handled>,
}

async fn fixture(name: &str) -> Fixture {
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let handled = Arc::new(Handled::default());
    let system = System::builder()
        .name(name)
        .threads(2)
        .pool(256)
        .shared_state(gate.clone())
        .shared_state(handled.clone())
        .start()
        .await
        .unwrap();
    for (thread, name) in ["steps-a", "steps-b"].into_iter().enumerate() {
        let options = MountOptions::new().name(name).thread(thread);
        system.mount_with(options, Steps::default).await.unwrap();
    }
    Fixture {
        system,
        gate,
        handled,
    }
}

#[mycelia::test]
async fn a_stop_handles_all_that_was_accepted_and_what_that_sends() {
    let _watch = watchdog();
    let Fixture {
        system, handled, ..
    } = fixture("cascades").await;
    for _ in 0..20 {
        system
            .tell("steps-a://cascade", Cascade { left: 50 })
            .await
            .unwrap();
    }
    let report = system.stop().await.unwrap();
    assert_eq!(handled.0.load(Ordering::Relaxed), 20 * 51);
    assert_eq!(figures(&report.ledger), [1020, 1020, 0, 0, 0, 0]);
    assert_eq!(system.snapshot().total, report.ledger);
}

#[mycelia::test]
async fn a_stop_refuses_what_is_new_from_outside_while_it_handles_what_was_accepted() {
    let _watch = watchdog();
    let Fixture { system, gate, .. } = fixture("refusals").await;
    let handle = system.route::<Hold>("steps-a://hold").unwrap();
    for _ in 0..5 {
        handle.tell(Hold).await.unwrap();
    }
    let mut stop = Box::pin(system.stop());
    assert!(poll_once(&mut stop).await.is_none());
    for refused in [
        system.try_tell("steps-a://hold", Hold),
        system.tell("steps-b://hold", Hold).await,
        system.tell_blocking("steps-a://hold", Hold),
        handle.try_tell(Hold),
        handle.tell(Hold).await,
    ] {
        assert_eq!(refused.unwrap_err().into_reason(), SendError::Stopped);
    }
    match system.ask("steps-a://thread", Thread).await {
        Err(AskError::Undelivered(undelivered)) => {
            assert_eq!(*undelivered.reason(), SendError::Stopped);
        }
        other => panic!("{other:?}"),
    }
    let mounted = system.mount_as("late", Steps::default).await;
    assert_eq!(mounted, Err(mycelia::error::MountError::Stopped));
    gate.0.add_permits(5);
    assert_eq!(figures(&stop.await.unwrap().ledger), [5, 5, 0, 0, 0, 0]);
}

#[mycelia::test]
async fn senders_that_wait_for_room_are_told_of_the_stop() {
    let _watch = watchdog();
    let Fixture { system, gate, .. } = fixture("waiting").await;
    let mut accepted = 0;
    // The first takes all but the pool's reserve, the second its part of that.
    for path in ["steps-a://hold", "steps-b://hold"] {
        while system.try_tell(path, Hold).is_ok() {
            accepted += 1;
        }
    }
    let mut tells: Vec<_> = (0..10)
        .map(|_| Box::pin(system.tell("steps-b://hold", Hold)))
        .collect();
    for tell in &mut tells {
        assert!(poll_once(tell).await.is_none());
    }
    let mut stop = Box::pin(system.stop());
    assert!(poll_once(&mut stop).await.is_none());
    gate.0.add_permits(256);
    for tell in tells {
        assert_eq!(tell.await.unwrap_err().into_reason(), SendError::Stopped);
    }
    let ledger = stop.await.unwrap().ledger;
    assert_eq!(figures(&ledger), [accepted, accepted, 0, 0, 0, 0]);
    assert!((225..=256).contains(&accepted), "{accepted}");
}

#[mycelia::test]
async fn what_is_left_at_the_deadline_is_reported() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture("deadline").await;
    for _ in 0..7 {
        system.tell("steps-a://hold", Hold).await.unwrap();
        system.tell("steps-b://hold", Hold).await.unwrap();
    }
    let mut ask = Box::pin(system.ask("steps-a://thread", Thread));
    assert!(poll_once(&mut ask).await.is_none());
    let stopped = system.stop_within(Duration::from_millis(50)).await;
    let Err(StopError::DeadlineExceeded(report)) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(figures(&report.ledger), [15, 0, 2, 0, 0, 13]);
    assert!(report.took >= Duration::from_millis(50));
    assert!(matches!(ask.await, Err(AskError::Unhandled { .. })));
    assert_eq!(system.snapshot().pool.in_flight, 0);
}

#[mycelia::test]
async fn a_stop_waits_for_a_subsystem_that_is_being_unmounted() {
    let _watch = watchdog();
    let Fixture { system, gate, .. } = fixture("unmounting").await;
    for _ in 0..5 {
        system.tell("steps-a://hold", Hold).await.unwrap();
    }
    let mut unmount = Box::pin(system.unmount("steps-a"));
    assert!(poll_once(&mut unmount).await.is_none());
    until("the name is gone", || {
        system.snapshot().subsystem("steps-a").is_none()
    })
    .await;
    let mut stop = Box::pin(system.stop());
    assert!(poll_once(&mut stop).await.is_none());
    gate.0.add_permits(5);
    let report = stop.await.unwrap();
    assert_eq!(figures(&report.ledger), [5, 5, 0, 0, 0, 0]);
    // Told of its end, or of the stop that came before it could be.
    if let Ok(ledger) = unmount.await {
        assert_eq!(figures(&ledger), [5, 5, 0, 0, 0, 0]);
    }
}

#[mycelia::test]
async fn a_stop_s_deadline_ends_an_unmount_too() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture("unmounting").await;
    for _ in 0..5 {
        system.tell("steps-a://hold", Hold).await.unwrap();
    }
    let mut unmount = Box::pin(system.unmount("steps-a"));
    assert!(poll_once(&mut unmount).await.is_none());
    until("the name is gone", || {
        system.snapshot().subsystem("steps-a").is_none()
    })
    .await;
    let stopped = system.stop_within(Duration::from_millis(20)).await;
    let Err(StopError::DeadlineExceeded(report)) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(figures(&report.ledger), [5, 0, 1, 0, 0, 4]);
    let _ = unmount.await;
}

#[mycelia::test]
async fn a_second_stop_says_that_the_system_was_stopped_before() {
    let _watch = watchdog();
    let Fixture { system, gate, .. } = fixture("twice").await;
    system.tell("steps-a://hold", Hold).await.unwrap();
    let mut first = Box::pin(system.stop());
    assert!(poll_once(&mut first).await.is_none());
    assert_eq!(system.clone().stop().await, Err(StopError::AlreadyStopped));
    gate.0.add_permits(1);
    first.await.unwrap();
    assert_eq!(system.stop().await, Err(StopError::AlreadyStopped));
    assert_eq!(
        system.unmount("steps-a").await,
        Err(mycelia::error::UnmountError::Stopped)
    );
}

#[mycelia::test]
async fn a_stop_without_end_is_a_stop_with_a_far_deadline() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture("patient").await;
    system
        .tell("steps-a://cascade", Cascade { left: 10 })
        .await
        .unwrap();
    let report = system.stop_within(Duration::MAX).await.unwrap();
    assert_eq!(figures(&report.ledger), [11, 11, 0, 0, 0, 0]);
}

/// True if a thread of this process has that number.
#[cfg(target_os = "linux")]
fn lives(thread: &str) -> bool {
    std::path::Path::new("/proc/self/task")
        .join(thread)
        .exists()
}

/// How many threads of this process have names that start so.
#[cfg(target_os = "linux")]
fn threads_named(start: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with(start))
        .count()
}

#[cfg(target_os = "linux")]
async fn its_threads(system: &System) -> Vec<String> {
    let mut threads = Vec::new();
    for name in ["steps-a://thread", "steps-b://thread"] {
        threads.push(system.ask(name, Thread).await.unwrap());
    }
    assert_ne!(threads[0], threads[1]);
    assert!(threads.iter().all(|thread| lives(thread)));
    threads
}

#[cfg(target_os = "linux")]
#[mycelia::test]
async fn a_stop_joins_every_thread_of_the_system() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture("joined").await;
    assert!(threads_named("joined-") >= 1);
    let threads = its_threads(&system).await;
    system.stop().await.unwrap();
    // `System` is still held: it is the stop that ended them. The kernel may show a thread for a
    // moment after it was joined.
    until("the threads have ended", || {
        threads_named("joined-") == 0 && !threads.iter().any(|thread| lives(thread))
    })
    .await;
    drop(system);
}

#[cfg(target_os = "linux")]
#[mycelia::test]
async fn dropping_the_last_system_ends_its_threads() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture("dropped").await;
    let handle = system.route::<Hold>("steps-a://hold").unwrap();
    handle.tell(Hold).await.unwrap();
    let threads = its_threads_beside(&system).await;
    let clone = system.clone();
    drop(system);
    assert!(threads.iter().all(|thread| lives(thread)));
    drop(clone);
    until("the threads have ended", || {
        threads_named("dropped-") == 0 && !threads.iter().any(|thread| lives(thread))
    })
    .await;
    assert_eq!(
        handle.try_tell(Hold).unwrap_err().into_reason(),
        SendError::Stopped
    );
}

/// The threads of a system whose first subsystem is busy.
#[cfg(target_os = "linux")]
async fn its_threads_beside(system: &System) -> Vec<String> {
    let options = MountOptions::new().name("beside").thread(0);
    system.mount_with(options, Steps::default).await.unwrap();
    let mut threads = Vec::new();
    for name in ["beside://thread", "steps-b://thread"] {
        threads.push(system.ask(name, Thread).await.unwrap());
    }
    threads
}

#[mycelia::test]
async fn two_systems_in_one_process_never_meet() {
    let _watch = watchdog();
    let one = fixture("one").await;
    let two = fixture("two").await;
    for _ in 0..100 {
        one.system
            .tell("steps-a://cascade", Cascade { left: 3 })
            .await
            .unwrap();
        two.system
            .tell("steps-a://cascade", Cascade { left: 1 })
            .await
            .unwrap();
    }
    let report = one.system.stop().await.unwrap();
    assert_eq!(figures(&report.ledger), [400, 400, 0, 0, 0, 0]);
    // The other goes on.
    assert_eq!(
        two.system
            .ask("steps-b://cascade", Cascade { left: 0 })
            .await
            .unwrap(),
        0
    );
    assert_eq!(figures(&quiet(&two.system).await), [201, 201, 0, 0, 0, 0]);
    assert_eq!(one.handled.0.load(Ordering::Relaxed), 400);
    assert_eq!(two.handled.0.load(Ordering::Relaxed), 201);
    two.system.stop().await.unwrap();
}

/// Passes a message on to another system, within a handler.
#[derive(Subsystem)]
struct Bridge(System);

#[routes]
impl Bridge {
    #[route("thread")]
    async fn thread(&mut self, thread: Thread) -> anyhow::Result<String> {
        let within = Duration::from_secs(30);
        Ok(self
            .0
            .ask_within("steps-a://thread", thread, within)
            .await?)
    }
}

#[mycelia::test]
async fn a_handler_of_one_system_may_ask_another() {
    let _watch = watchdog();
    let one = fixture("asking").await;
    let two = fixture("asked").await;
    let target = two.system.clone();
    one.system
        .mount(move || Bridge(target.clone()))
        .await
        .unwrap();
    let through = one.system.ask("bridge://thread", Thread).await.unwrap();
    let direct = two.system.ask("steps-a://thread", Thread).await.unwrap();
    assert_eq!(through, direct);
    assert_eq!(figures(&quiet(&two.system).await), [2, 2, 0, 0, 0, 0]);
    one.system.stop().await.unwrap();
    two.system.stop().await.unwrap();
}

/// What every executor must be able to do.
async fn everyday_life(name: &str) {
    let Fixture { system, .. } = fixture(name).await;
    for left in 0..20 {
        system
            .tell("steps-a://cascade", Cascade { left })
            .await
            .unwrap();
        let asked = system.ask("steps-b://cascade", Cascade { left: 0 });
        assert_eq!(asked.await.unwrap(), 0);
        let asked = system.ask_within(
            "steps-b://cascade",
            Cascade { left: 0 },
            Duration::from_secs(30),
        );
        assert_eq!(asked.await.unwrap(), 0);
    }
    while system.snapshot().pool.in_flight > 0 {
        std::thread::yield_now();
    }
    // A deadline needs a timer, whatever the executor.
    system.tell("steps-a://hold", Hold).await.unwrap();
    let asked = system.ask_within("steps-a://hold", Hold, Duration::from_millis(5));
    assert!(matches!(
        asked.await,
        Err(AskError::DeadlineExceeded { .. })
    ));
    let ledger = match system.stop_within(Duration::from_millis(50)).await {
        Err(StopError::DeadlineExceeded(report)) => report.ledger,
        other => panic!("{other:?}"),
    };
    assert_eq!(ledger.handled, 40 + (1..=20).sum::<u64>());
}

#[test]
fn a_system_lives_in_a_multi_threaded_tokio_runtime() {
    let _watch = watchdog();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let lives =
            (0..4).map(|n| tokio::spawn(async move { everyday_life(&format!("multi-{n}")).await }));
        for life in lives.collect::<Vec<_>>() {
            life.await.unwrap();
        }
    });
}

#[test]
fn a_system_lives_on_a_thread_without_any_executor() {
    let _watch = watchdog();
    on_no_executor(everyday_life("bare"));
}

#[test]
fn a_system_lives_in_an_actix_system_and_survives_its_end() {
    let _watch = watchdog();
    let Fixture { system, .. } = actix_rt::System::new().block_on(async {
        everyday_life("actix").await;
        fixture("survivor").await
    });
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    system
                        .tell_blocking("steps-a://cascade", Cascade { left: 0 })
                        .unwrap();
                }
            });
        }
    });
    let report = on_no_executor(system.stop()).unwrap();
    assert_eq!(figures(&report.ledger), [3_000, 3_000, 0, 0, 0, 0]);
}

/// Blocks its thread until it is told otherwise.
#[derive(Subsystem)]
struct Blocking(Arc<std::sync::Barrier>);

#[routes]
impl Blocking {
    #[route("block")]
    fn block(&mut self, _: Hold) {
        self.0.wait();
    }
}

#[mycelia::test]
async fn a_handler_that_blocks_its_thread_is_named_and_left_behind() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture("stuck").await;
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let shared = barrier.clone();
    system
        .mount(move || Blocking(shared.clone()))
        .await
        .unwrap();
    system.tell("blocking://block", Hold).await.unwrap();
    match system.stop_within(Duration::from_millis(10)).await {
        Err(StopError::Stuck { subsystems, ledger }) => {
            assert!(subsystems.iter().any(|name| &**name == "blocking"));
            assert!(ledger.closes());
        }
        other => panic!("{other:?}"),
    }
    barrier.wait();
}
