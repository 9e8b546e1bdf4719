//! A subsystem that is restarted, paused, resumed or cleared by hand loses no message unsaid.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::common::{ON_PURPOSE, figures, named, poll_once, quiet, quiet_panics, until, watchdog};
use crate::family::{Block, Gate, Linger, Name, Node};
use mycelia::error::ManageError;
use mycelia::observe::{Change, DeadReason, EndReason};
use mycelia::prelude::*;
use mycelia::schedule::{Overflow, Priority};
use mycelia::supervise::{Backoff, Failure, Restart, RestartScope};
use mycelia::{OrLater, Replicas, later};

/// Answers with how many it has had, itself included.
#[derive(Message)]
#[message(reply = u32)]
struct Add;

#[derive(Message)]
#[message(reply = u32, priority = high)]
struct Urgent;

#[derive(Message)]
struct Panic;

/// Is kept for later.
#[derive(Message)]
#[message(reply = u32)]
struct Early;

/// Has the subsystem do it to one, perhaps to itself.
#[derive(Message)]
#[message(reply = bool)]
struct Manage(&'static str, &'static str);

/// What all values of a subsystem have in common.
#[derive(Default)]
struct Common {
    made: AtomicU32,
    stopped: AtomicU32,
    causes: std::sync::Mutex<Vec<Failure>>,
    /// Whether the next start fails.
    fails: AtomicU32,
}

#[derive(Default)]
struct Counter {
    count: u32,
}

impl Subsystem for Counter {
    const NAME: &'static str = "counter";
}

#[routes]
impl Counter {
    #[started]
    fn begin(&mut self, State(common): State<Common>) -> anyhow::Result<()> {
        common.made.fetch_add(1, Ordering::Relaxed);
        anyhow::ensure!(common.fails.swap(0, Ordering::Relaxed) == 0, "not now");
        Ok(())
    }

    #[restarting]
    fn again(&mut self, cause: Failure, State(common): State<Common>) {
        common.causes.lock().unwrap().push(cause);
    }

    #[stopped]
    fn end(&mut self, _: EndReason, State(common): State<Common>) {
        common.stopped.fetch_add(1, Ordering::Relaxed);
    }

    #[route("add")]
    fn add(&mut self, _: Add) -> u32 {
        self.count += 1;
        self.count
    }

    #[route("add")]
    fn urgent(&mut self, _: Urgent) -> u32 {
        self.count += 1;
        self.count
    }

    #[route("add")]
    fn panic(&mut self, _: Panic) {
        panic!("{ON_PURPOSE}")
    }

    #[route("add")]
    fn early(&mut self, early: Early) -> OrLater<u32, Early> {
        later(early)
    }

    #[route("linger")]
    async fn linger(&mut self, _: Linger, State(gate): State<Gate>) {
        gate.pass().await;
    }

    #[route("block", blocking)]
    fn block(&mut self, Block(until): Block, State(gate): State<Gate>) {
        gate.begun.add_permits(1);
        let _ = until.recv();
    }

    #[route("hold")]
    fn hold(&mut self, Block(until): Block, State(gate): State<Gate>) {
        gate.begun.add_permits(1);
        let _ = until.recv();
    }

    #[route("manage")]
    async fn manage(&mut self, Manage(what, name): Manage, system: System) -> bool {
        manage(&system, what, name).await.is_ok()
    }

    #[route("manage/blocking", blocking)]
    fn manage_blocking(&mut self, Manage(what, name): Manage, system: System) -> bool {
        crate::common::block_on(manage(&system, what, name)).is_ok()
    }

    #[route("manage/sync")]
    fn manage_sync(&mut self, Manage(what, name): Manage, system: System) -> bool {
        let refused = crate::common::on_no_executor(manage(&system, what, name));
        matches!(refused, Err(ManageError::WouldBlock))
    }
}

async fn manage(system: &System, what: &str, name: &str) -> Result<u64, ManageError> {
    match what {
        "restart" => system.restart(name).await.map(|()| 0),
        "pause" => system.pause(name).await.map(|()| 0),
        "resume" => system.resume(name).await.map(|()| 0),
        _ => system.clear(name).await,
    }
}

const ALL: [&str; 4] = ["restart", "pause", "resume", "clear"];

struct World {
    system: System,
    common: Arc<Common>,
    gate: Arc<Gate>,
}

async fn world() -> World {
    let (common, gate) = (Arc::<Common>::default(), Gate::closed());
    let builder = System::builder().threads(2);
    let builder = builder
        .shared_state(common.clone())
        .shared_state(gate.clone());
    let builder = builder.stuck_after(Duration::from_millis(50));
    World {
        system: builder.start().await.unwrap(),
        common,
        gate,
    }
}

impl World {
    async fn mount(&self, options: MountOptions) {
        self.system
            .mount_with(options, Counter::default)
            .await
            .unwrap();
    }

    async fn add(&self) -> u32 {
        self.system.ask("counter://add", Add).await.unwrap()
    }

    fn waiting(&self) -> u64 {
        self.system
            .snapshot()
            .subsystem("counter")
            .unwrap()
            .ledger
            .waiting
    }

    fn is_paused(&self, name: &str) -> bool {
        self.system.snapshot().subsystem(name).unwrap().is_paused
    }

    async fn stop(self) {
        let report = self.system.stop().await.unwrap();
        assert!(report.ledger.closes() && report.ledger.is_quiet());
    }
}

#[mycelia::test]
async fn a_restart_makes_a_new_value_and_keeps_what_waits() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    world
        .mount(
            named("counter")
                .restart(Restart::Never)
                .intensity(0, Duration::MAX),
        )
        .await;
    assert_eq!(world.add().await, 1);
    let mut watch = system.watch("counter");
    system.pause("counter").await.unwrap();
    let mut waits = Box::pin(system.ask("counter://add", Add));
    assert!(poll_once(&mut waits).await.is_none());
    for _ in 0..3 {
        system.restart("counter").await.unwrap();
    }
    assert_eq!(world.waiting(), 1);
    assert!(world.is_paused("counter"));
    system.resume("counter").await.unwrap();
    assert_eq!(waits.await.unwrap(), 1);
    for _ in 0..3 {
        assert_eq!(watch.next().await.unwrap().change, Change::Restarted);
    }
    assert_eq!(watch.try_next(), None);
    assert_eq!(world.common.made.load(Ordering::Relaxed), 4);
    assert_eq!(world.common.stopped.load(Ordering::Relaxed), 3);
    let causes = world.common.causes.lock().unwrap().clone();
    assert_eq!(causes, vec![Failure::Requested; 3]);
    world.stop().await;
}

#[mycelia::test]
async fn a_restart_cuts_off_a_handler_that_awaits_and_its_asker_is_told() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    world.mount(named("counter")).await;
    let lingers = system.ask("counter://linger", Linger);
    let restart = async {
        world.gate.begun.acquire().await.unwrap().forget();
        system.restart("counter").await
    };
    let (asked, restarted) = futures_util::future::join(lingers, restart).await;
    restarted.unwrap();
    assert!(
        matches!(asked, Err(AskError::Unhandled { .. })),
        "{asked:?}"
    );
    assert_eq!(world.add().await, 1);
    // Its value went with it: it had no last hook.
    assert_eq!(world.common.stopped.load(Ordering::Relaxed), 0);
    let ledger = quiet(system).await;
    assert_eq!(figures(&ledger), [2, 1, 1, 0, 0, 0]);
    world.stop().await;
}

#[mycelia::test]
async fn a_restart_does_not_wait_for_a_backoff() {
    let _watch = watchdog();
    quiet_panics();
    let world = world().await;
    let hour = Duration::from_secs(3600);
    world
        .mount(named("counter").backoff(Backoff::new(hour, hour)))
        .await;
    world.system.tell("counter://add", Panic).await.unwrap();
    let mut waits = Box::pin(world.system.ask("counter://add", Add));
    assert!(poll_once(&mut waits).await.is_none());
    let has_failed = || {
        let now = world.system.snapshot();
        now.subsystem("counter").unwrap().last_failure.is_some()
    };
    until("it has failed", has_failed).await;
    // It may be paused meanwhile, and is then paused when it is there.
    world.system.pause("counter").await.unwrap();
    world.system.restart("counter").await.unwrap();
    assert!(poll_once(&mut waits).await.is_none());
    world.system.resume("counter").await.unwrap();
    assert_eq!(waits.await.unwrap(), 1);
    world.stop().await;
}

#[mycelia::test]
async fn a_restart_that_fails_says_so_and_can_be_tried_again() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    let often = named("counter").intensity(100, Duration::MAX);
    world.mount(often).await;
    world.common.fails.store(1, Ordering::Relaxed);
    let error = system.restart("counter").await.unwrap_err();
    assert!(matches!(&error, ManageError::Failed { .. }), "{error}");
    assert!(
        error.is_retryable() && error.to_string().contains("not now"),
        "{error}"
    );
    system.restart("counter").await.unwrap();
    assert_eq!(world.add().await, 1);
    world.stop().await;
}

#[mycelia::test]
async fn a_restart_ends_the_children_and_restarts_the_siblings_of_its_scope() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    let parent = || Node {
        children: &["child"],
    };
    let options = named("parent").restart_scope(RestartScope::AllForOne);
    system.mount_with(options, parent).await.unwrap();
    let sibling = named("sibling").parent("parent");
    system.mount_with(sibling, Node::default).await.unwrap();
    let restarts = |name: &str| system.snapshot().subsystem(name).map(|it| it.restarts);
    system.restart("parent/sibling").await.unwrap();
    until("both are restarted", || {
        restarts("parent/child") == Some(1) && restarts("parent/sibling") == Some(1)
    })
    .await;
    assert_eq!(restarts("parent"), Some(0));
    system.restart("parent").await.unwrap();
    assert_eq!(restarts("parent"), Some(1));
    // The new value has mounted its own.
    assert_eq!(restarts("parent/child"), Some(0));
    assert_eq!(restarts("parent/sibling"), None);
    assert_eq!(
        system.ask("parent/child://name", Name).await.unwrap(),
        "parent/child"
    );
    world.stop().await;
}

#[mycelia::test]
async fn a_paused_one_accepts_up_to_its_capacity_and_handles_none_in_whatever_order_later() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    world.mount(named("counter").capacity(3)).await;
    for _ in 0..2 {
        system.pause("counter").await.unwrap();
    }
    let mut asks: Vec<_> = (0..2)
        .map(|_| Box::pin(system.ask("counter://add", Add)))
        .collect();
    for ask in &mut asks {
        assert!(poll_once(ask).await.is_none());
    }
    let mut urgent = Box::pin(system.ask("counter://add", Urgent));
    assert!(poll_once(&mut urgent).await.is_none());
    let full = system.try_tell("counter://add", Add).unwrap_err();
    assert!(matches!(full.reason(), SendError::Full { .. }), "{full}");
    let mut waits = Box::pin(system.tell("counter://add", Add));
    assert!(poll_once(&mut waits).await.is_none());
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(world.waiting(), 3);
    assert!(world.is_paused("counter"));
    system.resume("counter").await.unwrap();
    waits.await.unwrap();
    assert_eq!(urgent.await.unwrap(), 1);
    for (ask, count) in asks.into_iter().zip(2..) {
        assert_eq!(ask.await.unwrap(), count);
    }
    assert!(!world.is_paused("counter"));
    assert_eq!(figures(&quiet(system).await), [4, 4, 0, 0, 0, 0]);
    world.stop().await;
}

#[mycelia::test]
async fn deadlines_go_on_while_it_is_paused_and_what_is_under_way_comes_to_its_end() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    world.mount(named("counter")).await;
    let mut lingers = Box::pin(system.ask("counter://linger", Linger));
    assert!(poll_once(&mut lingers).await.is_none());
    world.gate.begun.acquire().await.unwrap().forget();
    system.pause("counter").await.unwrap();
    let late = system
        .ask_within("counter://add", Add, Duration::from_millis(20))
        .await;
    assert!(
        matches!(late, Err(AskError::DeadlineExceeded { .. })),
        "{late:?}"
    );
    world.gate.permits.add_permits(1);
    lingers.await.unwrap();
    until("it has expired", || world.waiting() == 0).await;
    assert_eq!(figures(&quiet(system).await), [2, 1, 0, 0, 1, 0]);
    assert!(world.is_paused("counter"));
    world.stop().await;
}

#[mycelia::test]
async fn an_unmount_and_a_stop_of_a_paused_one_drain_it() {
    let _watch = watchdog();
    for stops in [false, true] {
        let world = world().await;
        let system = &world.system;
        world.mount(named("counter")).await;
        system.pause("counter").await.unwrap();
        for _ in 0..5 {
            system.tell("counter://add", Add).await.unwrap();
        }
        if !stops {
            let ledger = system.unmount("counter").await.unwrap();
            assert_eq!(figures(&ledger), [5, 5, 0, 0, 0, 0]);
        }
        let report = system.stop().await.unwrap();
        assert_eq!(figures(&report.ledger), [5, 5, 0, 0, 0, 0]);
        assert_eq!(world.common.stopped.load(Ordering::Relaxed), 1);
    }
}

#[mycelia::test]
async fn what_is_cleared_is_dropped_and_each_is_told_or_a_dead_letter() {
    let _watch = watchdog();
    for options in [
        named("counter"),
        named("counter").capacity(9),
        named("counter").capacity(9).overflow(Overflow::DropOldest),
    ] {
        let world = world().await;
        let system = &world.system;
        world.mount(options).await;
        let mut letters = system.dead_letters();
        // One that is kept for later waits too.
        let mut early = Box::pin(system.ask("counter://add", Early));
        assert!(poll_once(&mut early).await.is_none());
        assert_eq!(world.add().await, 1);
        let mut lingers = Box::pin(system.ask("counter://linger", Linger));
        assert!(poll_once(&mut lingers).await.is_none());
        world.gate.begun.acquire().await.unwrap().forget();
        for _ in 0..3 {
            system.tell("counter://add", Add).await.unwrap();
            let route = system.route::<Add>("counter://add").unwrap();
            route.with_priority(Priority::Low).tell(Add).await.unwrap();
        }
        let mut asked = Box::pin(system.ask("counter://add", Urgent));
        assert!(poll_once(&mut asked).await.is_none());
        assert_eq!(system.clear("counter").await, Ok(8));
        let error = asked.await.unwrap_err();
        assert!(matches!(error, AskError::Cleared { .. }), "{error}");
        assert!(error.is_retryable());
        assert!(matches!(early.await, Err(AskError::Cleared { .. })));
        for _ in 0..6 {
            let letter = letters.next().await.unwrap();
            assert_eq!(letter.reason, DeadReason::Cleared);
        }
        assert_eq!(system.clear("counter").await, Ok(0));
        // What was under way goes on.
        world.gate.permits.add_permits(1);
        lingers.await.unwrap();
        assert_eq!(world.add().await, 2);
        assert_eq!(figures(&quiet(system).await), [11, 3, 0, 8, 0, 0]);
        world.stop().await;
    }
}

#[mycelia::test]
async fn a_clear_makes_room_for_those_who_wait() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    world.mount(named("counter").capacity(2)).await;
    system.pause("counter").await.unwrap();
    for _ in 0..2 {
        system.tell("counter://add", Add).await.unwrap();
    }
    let mut waits = Box::pin(system.tell("counter://add", Add));
    assert!(poll_once(&mut waits).await.is_none());
    assert_eq!(system.clear("counter").await, Ok(2));
    waits.await.unwrap();
    assert_eq!(world.waiting(), 1);
    world.stop().await;
}

#[mycelia::test]
async fn a_name_of_replicas_means_all_and_each_has_its_own() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    let replicas = Replicas::round_robin(3);
    system
        .mount_replicas(replicas, Counter::default)
        .await
        .unwrap();
    system.pause("counter").await.unwrap();
    for _ in 0..6 {
        system.tell("counter://add", Add).await.unwrap();
    }
    let paused = || -> Vec<bool> {
        system
            .snapshot()
            .subsystems
            .iter()
            .map(|it| it.is_paused)
            .collect()
    };
    assert_eq!(paused(), [true; 3]);
    let one = system.snapshot().subsystems[1].name.clone();
    assert_eq!(system.clear(&one).await, Ok(2));
    system.resume(&one).await.unwrap();
    assert_eq!(paused(), [true, false, true]);
    assert_eq!(system.clear("counter").await, Ok(4));
    system.restart("counter").await.unwrap();
    assert_eq!(world.common.made.load(Ordering::Relaxed), 6);
    system.resume("counter").await.unwrap();
    assert_eq!(paused(), [false; 3]);
    assert_eq!(figures(&quiet(system).await), [6, 0, 0, 6, 0, 0]);
    world.stop().await;
}

#[mycelia::test]
async fn a_handler_may_do_it_to_others_and_to_itself() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    world.mount(named("counter")).await;
    world.mount(named("other")).await;
    for path in [
        "counter://manage",
        "counter://manage/blocking",
        "counter://manage/sync",
    ] {
        for what in ALL {
            assert!(
                system.ask(path, Manage(what, "other")).await.unwrap(),
                "{path} {what}"
            );
        }
        if path.ends_with("sync") {
            continue;
        }
        let paused = system.ask(path, Manage("pause", "counter")).await;
        assert!(paused.unwrap() && world.is_paused("counter"));
        system.resume("counter").await.unwrap();
        for what in ["resume", "clear"] {
            assert!(
                system.ask(path, Manage(what, "counter")).await.unwrap(),
                "{path} {what}"
            );
        }
        let restarts = || system.snapshot().subsystem("counter").unwrap().restarts;
        let before = restarts();
        let itself = system.ask(path, Manage("restart", "counter")).await;
        match itself {
            Err(AskError::Unhandled { .. }) => {}
            // It may return before it is ended.
            Ok(true) if path.ends_with("blocking") => {}
            other => panic!("{path} {other:?}"),
        }
        until("it is restarted", || restarts() == before + 1).await;
    }
    assert_eq!(world.add().await, 1);
    world.stop().await;
}

#[mycelia::test]
async fn what_can_not_be_done_is_an_error() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    for what in ALL {
        let error = manage(system, what, "nobody").await.unwrap_err();
        assert!(matches!(error, ManageError::NoSubsystem { .. }), "{error}");
    }
    world.mount(named("counter").thread(0)).await;
    world.mount(named("neighbour").thread(0)).await;
    // Its own thread is held: all that live there wait.
    let (unblock, until_then) = mpsc::channel();
    system
        .tell("counter://hold", Block(until_then))
        .await
        .unwrap();
    world.gate.begun.acquire().await.unwrap().forget();
    for what in ["restart", "clear", "pause", "resume"] {
        for name in ["counter", "neighbour"] {
            let error = manage(system, what, name).await.unwrap_err();
            assert!(
                matches!(&error, ManageError::Stuck { holder, .. } if **holder == *"counter"),
                "{error}"
            );
            assert!(!error.is_retryable());
        }
    }
    drop(unblock);
    // It is done when it has returned.
    until("both are restarted", || {
        system
            .snapshot()
            .subsystems
            .iter()
            .all(|it| it.restarts == 1)
    })
    .await;
    // A blocking call can't be ended either; the rest does not wait for it.
    let (unblock, until_then) = mpsc::channel();
    system
        .tell("counter://block", Block(until_then))
        .await
        .unwrap();
    world.gate.begun.acquire().await.unwrap().forget();
    system.pause("counter").await.unwrap();
    assert_eq!(system.clear("counter").await, Ok(0));
    let error = system.restart("counter").await.unwrap_err();
    assert!(matches!(error, ManageError::Stuck { .. }), "{error}");
    drop(unblock);
    until("it is restarted", || {
        system.snapshot().subsystem("counter").unwrap().restarts == 2
    })
    .await;
    // While it ends it can only be cleared, which is how it ends sooner.
    system.resume("counter").await.unwrap();
    let mut lingers = Box::pin(system.ask("counter://linger", Linger));
    assert!(poll_once(&mut lingers).await.is_none());
    world.gate.begun.acquire().await.unwrap().forget();
    let mut unmount = Box::pin(system.unmount("counter"));
    assert!(poll_once(&mut unmount).await.is_none());
    until("it is leaving", || {
        system.snapshot().subsystem("counter").is_none()
    })
    .await;
    for what in ALL {
        let error = manage(system, what, "counter").await.unwrap_err();
        assert!(matches!(error, ManageError::Stopping { .. }), "{error}");
    }
    world.gate.permits.add_permits(1);
    lingers.await.unwrap();
    unmount.await.unwrap();
    system.stop().await.unwrap();
    for what in ALL {
        let error = manage(system, what, "neighbour").await.unwrap_err();
        assert!(matches!(error, ManageError::Stopped), "{error}");
    }
}

#[mycelia::test]
async fn while_the_system_stops_a_mailbox_can_be_cleared_and_nothing_else() {
    let _watch = watchdog();
    let world = world().await;
    let system = &world.system;
    world.mount(named("counter")).await;
    system.tell("counter://linger", Linger).await.unwrap();
    world.gate.begun.acquire().await.unwrap().forget();
    system.tell("counter://add", Add).await.unwrap();
    let mut stop = Box::pin(system.stop());
    assert!(poll_once(&mut stop).await.is_none());
    until("it refuses", || {
        system.try_tell("counter://add", Add).is_err()
    })
    .await;
    let error = system.pause("counter").await.unwrap_err();
    assert!(matches!(error, ManageError::Stopping { .. }), "{error}");
    assert_eq!(system.clear("counter").await, Ok(1));
    system.resume("counter").await.unwrap();
    world.gate.permits.add_permits(Semaphore::MAX_PERMITS >> 1);
    let report = stop.await.unwrap();
    assert_eq!(figures(&report.ledger), [2, 1, 0, 1, 0, 0]);
}

/// Starts again only when it may; fails when it is asked to.
#[derive(Subsystem)]
struct Patient(Arc<Semaphore>);

#[routes]
impl Patient {
    #[restarting]
    async fn again(&mut self, _: Failure) {
        self.0.acquire().await.unwrap().forget();
    }

    #[route("add")]
    fn add(&mut self, _: Add) -> u32 {
        1
    }

    #[route("panic")]
    fn panic(&mut self, _: Panic) {
        panic!("{ON_PURPOSE}");
    }
}

#[mycelia::test]
async fn a_restart_by_hand_while_it_starts_with_others_is_made_after_that() {
    let (_watch, _quiet) = (watchdog(), quiet_panics());
    let builder = System::builder().restart_scope(RestartScope::AllForOne);
    let system = builder.start().await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    for name in ["first", "second"] {
        let (options, gate) = (MountOptions::new().name(name), gate.clone());
        let mounted = system.mount_with(options, move || Patient(gate.clone()));
        mounted.await.unwrap();
    }
    // Both are restarted; the first starts, and waits.
    system.tell("second://panic", Panic).await.unwrap();
    let restarts = |system: &System| system.snapshot().subsystem("first").unwrap().restarts;
    until("the first starts again", || restarts(&system) == 1).await;
    let again = system.restart("first");
    let opened = async {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(8);
    };
    let (_, ()) = tokio::join!(again, opened);
    assert_eq!(system.ask("first://add", Add).await.unwrap(), 1);
    assert_eq!(system.ask("second://add", Add).await.unwrap(), 1);
    system.stop().await.unwrap();
}
