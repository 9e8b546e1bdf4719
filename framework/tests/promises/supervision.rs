//! Promise 5, of those who fail: who is restarted, with whom, after what pause, and who fails in whose place.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{ON_PURPOSE, figures, named, poll_once, quiet, quiet_panics, until, watchdog};
use mycelia::error::{AskError, MountError, StopError, UnmountError};
use mycelia::observe::{Change, EndReason, StopReason};
use mycelia::prelude::*;
use mycelia::supervise::{Backoff, Failure, Restart, RestartScope};

/// What happened, in the order in which it did.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What the hooks of a subsystem are to do.
#[derive(Default)]
struct Orders {
    /// How many starts succeed yet.
    good_starts: AtomicU32,
}

#[derive(Message)]
#[message(reply = u32)]
struct Count;

#[derive(Message)]
struct Panic;

#[derive(Message)]
struct Fail;

#[derive(Message)]
struct StopNow;

#[derive(Message)]
struct Last(String);

#[derive(Subsystem, Default)]
struct Node {
    name: String,
    count: u32,
}

#[routes]
impl Node {
    #[started]
    async fn begin(
        &mut self,
        ctx: Context,
        State(diary): State<Diary>,
        State(orders): State<Orders>,
    ) -> anyhow::Result<()> {
        tokio::task::yield_now().await;
        self.name = ctx.name().to_owned();
        let one_less = |left: u32| left.checked_sub(1);
        let starts = &orders.good_starts;
        let is_good = starts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        anyhow::ensure!(is_good.is_ok(), "no more starts");
        diary.note(format!("{} started", self.name));
        Ok(())
    }

    #[restarting]
    fn learn(&mut self, failure: Failure, State(diary): State<Diary>) {
        diary.note(format!("restarting: {failure}"));
    }

    #[stopped]
    async fn end(&mut self, reason: EndReason, State(diary): State<Diary>) {
        tokio::task::yield_now().await;
        diary.note(format!("{} stopped: {reason:?}", self.name));
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.count += 1;
        self.count
    }

    #[route("panic")]
    fn panic(&mut self, _: Panic) {
        panic!("{ON_PURPOSE}")
    }

    #[route("fail")]
    fn fail(&mut self, _: Fail) -> anyhow::Result<()> {
        anyhow::bail!("failed {ON_PURPOSE}")
    }

    #[route("stop")]
    fn stop(&mut self, _: StopNow, ctx: Context) {
        ctx.stop();
    }
}

struct Fixture {
    system: System,
    diary: Arc<Diary>,
    orders: Arc<Orders>,
}

async fn fixture() -> Fixture {
    fixture_with(RestartScope::OneForOne).await
}

async fn fixture_with(together: RestartScope) -> Fixture {
    quiet_panics();
    let diary = Arc::new(Diary::default());
    let orders = Arc::new(Orders {
        good_starts: AtomicU32::new(1_000_000),
    });
    let system = System::builder()
        .threads(2)
        .restart_scope(together)
        .shared_state(diary.clone())
        .shared_state(orders.clone())
        .start()
        .await
        .unwrap();
    Fixture {
        system,
        diary,
        orders,
    }
}

#[mycelia::test]
async fn hooks_are_called_at_the_start_at_a_restart_and_at_the_end() {
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    system.mount(Node::default).await.unwrap();
    assert_eq!(diary.take(), ["node started"]);
    system.tell("node://panic", Panic).await.unwrap();
    assert_eq!(system.ask("node://count", Count).await.unwrap(), 1);
    assert_eq!(
        diary.take(),
        [
            format!("restarting: a handler panicked: {ON_PURPOSE}"),
            "node started".into()
        ]
    );
    system.unmount("node").await.unwrap();
    assert_eq!(diary.take(), ["node stopped: Unmounted"]);
    system.mount(Node::default).await.unwrap();
    system.stop().await.unwrap();
    assert_eq!(
        diary.take(),
        ["node started", "node stopped: SystemStopped"]
    );
}

#[mycelia::test]
async fn a_start_that_fails_fails_the_mount_and_leaves_the_name_free() {
    let _watch = watchdog();
    let Fixture {
        system,
        diary,
        orders,
    } = fixture().await;
    orders.good_starts.store(0, Ordering::Relaxed);
    let failed = system.mount(Node::default).await;
    let Err(MountError::StartFailed { message, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(&*message, "no more starts");
    assert!(diary.take().is_empty(), "what never stood does not stop");
    orders.good_starts.store(10, Ordering::Relaxed);
    system.mount(Node::default).await.unwrap();
    assert_eq!(system.ask("node://count", Count).await.unwrap(), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_panic_in_a_hook_or_two_at_once_abort_nothing() {
    #[derive(Subsystem)]
    struct Mine {
        starts: bool,
    }
    #[routes]
    impl Mine {
        #[started]
        fn begin(&mut self) {
            assert!(self.starts, "{ON_PURPOSE}");
        }
        #[stopped]
        fn end(&mut self, _: EndReason) {
            panic!("{ON_PURPOSE}");
        }
        #[route("panic")]
        fn panic(&mut self, _: Panic) {
            panic!("{ON_PURPOSE}")
        }
    }
    impl Drop for Mine {
        fn drop(&mut self) {
            panic!("{ON_PURPOSE}");
        }
    }
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    let failed = system.mount(|| Mine { starts: false }).await;
    assert!(matches!(failed, Err(MountError::StartFailed { .. })));
    system.mount(|| Mine { starts: true }).await.unwrap();
    system.tell("mine://panic", Panic).await.unwrap();
    assert_eq!(figures(&quiet(&system).await), [1, 0, 1, 0, 0, 0]);
    let unmounted = system.unmount("mine").await;
    assert!(matches!(unmounted, Err(UnmountError::HooksFailed { .. })));
    system.mount(|| Mine { starts: true }).await.unwrap();
    assert_eq!(system.stop().await.unwrap().failed_hooks.len(), 1);
}

#[mycelia::test]
async fn what_stops_may_still_send_to_whoever_was_there_before_it() {
    #[derive(Subsystem, Default)]
    struct Store;
    #[routes]
    impl Store {
        #[route("last")]
        fn last(&mut self, Last(text): Last, State(diary): State<Diary>) {
            diary.note(format!("stored {text}"));
        }
    }
    #[derive(Subsystem, Default)]
    struct Writer;
    #[routes]
    impl Writer {
        #[route("count")]
        fn count(&mut self, _: Count) -> u32 {
            0
        }
        #[stopped]
        async fn flush(&mut self, _: EndReason, system: System) -> anyhow::Result<()> {
            system.tell("store://last", Last("it".into())).await?;
            Ok(())
        }
    }
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    system.mount(Store::default).await.unwrap();
    system.mount(Writer::default).await.unwrap();
    system.stop().await.unwrap();
    assert_eq!(diary.take(), ["stored it"]);
}

#[mycelia::test]
async fn children_are_addressed_below_their_parent_and_end_before_it_the_youngest_first() {
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    system
        .mount_with(named("top"), Node::default)
        .await
        .unwrap();
    for name in ["a", "b"] {
        system
            .mount_with(named(name).parent("top"), Node::default)
            .await
            .unwrap();
    }
    system
        .mount_with(named("x").parent("top/a"), Node::default)
        .await
        .unwrap();
    assert_eq!(system.ask("top/a/x://count", Count).await.unwrap(), 1);
    assert_eq!(system.ask("top/b://count", Count).await.unwrap(), 1);
    diary.take();
    system.unmount("top").await.unwrap();
    assert_eq!(
        diary.take(),
        ["top/b", "top/a/x", "top/a", "top"].map(|name| format!("{name} stopped: Unmounted"))
    );
    // All names are free again.
    system
        .mount_with(named("top"), Node::default)
        .await
        .unwrap();
    system
        .mount_with(named("a").parent("top"), Node::default)
        .await
        .unwrap();
    let refused = system
        .mount_with(named("a").parent("nobody"), Node::default)
        .await;
    assert!(matches!(refused, Err(MountError::NoParent { .. })));
    let refused = system.mount_with(named("top/b"), Node::default).await;
    assert!(matches!(refused, Err(MountError::BadName { .. })));
    let report = system.stop().await.unwrap();
    assert_eq!(figures(&report.ledger), [2, 2, 0, 0, 0, 0]);
}

#[mycelia::test]
async fn a_system_stops_the_youngest_first() {
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    for name in ["a", "b", "c"] {
        system.mount_with(named(name), Node::default).await.unwrap();
    }
    diary.take();
    system.stop().await.unwrap();
    assert_eq!(
        diary.take(),
        ["c", "b", "a"].map(|name| format!("{name} stopped: SystemStopped"))
    );
}

#[mycelia::test]
async fn a_system_that_stops_ends_children_before_the_parent_that_mounted_them_at_its_start() {
    #[derive(Subsystem, Default)]
    struct Parent;
    #[routes]
    impl Parent {
        #[started]
        async fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
            for name in ["a", "b"] {
                ctx.mount_with(named(name), Node::default).await?;
            }
            Ok(())
        }
        #[stopped]
        fn end(&mut self, _: EndReason, State(diary): State<Diary>) {
            diary.note("parent stopped");
        }
        #[route("count")]
        fn count(&mut self, _: Count) -> u32 {
            0
        }
    }
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    system.mount(Parent::default).await.unwrap();
    diary.take();
    system.stop().await.unwrap();
    assert_eq!(
        diary.take(),
        [
            "parent/b stopped: SystemStopped",
            "parent/a stopped: SystemStopped",
            "parent stopped"
        ]
    );
}

#[mycelia::test]
async fn a_parent_that_ends_takes_no_more_children() {
    #[derive(Subsystem, Default)]
    struct Parent;
    #[routes]
    impl Parent {
        #[stopped]
        async fn end(&mut self, _: EndReason, ctx: Context, State(diary): State<Diary>) {
            let refused = ctx.mount(Node::default).await;
            diary.note(format!("{refused:?}"));
        }
        #[route("count")]
        fn count(&mut self, _: Count) -> u32 {
            0
        }
    }
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    system.mount(Parent::default).await.unwrap();
    system.unmount("parent").await.unwrap();
    assert_eq!(diary.take(), ["Err(Stopped)"]);
    system.stop().await.unwrap();
}

/// Which of three siblings are restarted when the middle one fails.
async fn restarted(together: RestartScope, below: bool) -> Vec<u32> {
    let Fixture { system, diary, .. } = fixture_with(together).await;
    if below {
        let top = named("top").restart_scope(together);
        system.mount_with(top, Node::default).await.unwrap();
    }
    let full = |name: &str| match below {
        true => format!("top/{name}"),
        false => name.to_owned(),
    };
    for name in ["a", "b", "c"] {
        let options = match below {
            true => named(name).parent("top"),
            false => named(name),
        };
        system.mount_with(options, Node::default).await.unwrap();
    }
    diary.take();
    for name in ["a", "b", "c"] {
        let path = format!("{}://count", full(name));
        system.ask(path, Count).await.unwrap();
    }
    let failing = system.tell(format!("{}://panic", full("b")), Panic);
    failing.await.unwrap();
    let mut counts = Vec::new();
    until("all are there again", || {
        system.snapshot().subsystem(&full("b")).unwrap().restarts == 1
    })
    .await;
    for name in ["a", "b", "c"] {
        // What is sent while it is halted waits.
        let path = format!("{}://count", full(name));
        counts.push(system.ask(path, Count).await.unwrap());
    }
    let starts: Vec<_> = diary
        .take()
        .into_iter()
        .filter(|line| line.ends_with("started"))
        .collect();
    assert!(starts.is_sorted(), "{starts:?}");
    system.stop().await.unwrap();
    counts
}

#[mycelia::test]
async fn one_for_one_all_for_one_and_rest_for_one_restart_whom_they_say() {
    let _watch = watchdog();
    for below in [true, false] {
        assert_eq!(restarted(RestartScope::OneForOne, below).await, [2, 1, 2]);
        assert_eq!(restarted(RestartScope::AllForOne, below).await, [1, 1, 1]);
        assert_eq!(restarted(RestartScope::RestForOne, below).await, [2, 1, 1]);
    }
}

#[mycelia::test]
async fn siblings_that_fail_at_the_same_time_are_all_there_in_the_end() {
    let _watch = watchdog();
    for round in 0..30 {
        let Fixture { system, .. } = fixture_with(RestartScope::AllForOne).await;
        for name in ["a", "b", "c"] {
            system.mount_with(named(name), Node::default).await.unwrap();
        }
        for n in 0..6 {
            let name = ["a", "b", "c"][(n + round) % 3];
            system.tell(format!("{name}://panic"), Panic).await.unwrap();
        }
        for name in ["a", "b", "c"] {
            system.ask(format!("{name}://count"), Count).await.unwrap();
        }
        assert_eq!(figures(&quiet(&system).await), [9, 3, 6, 0, 0, 0]);
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn a_failing_parent_ends_its_children_before_it_is_made_anew() {
    #[derive(Subsystem, Default)]
    struct Parent;
    #[routes]
    impl Parent {
        #[started]
        async fn begin(&mut self, ctx: Context, State(diary): State<Diary>) -> anyhow::Result<()> {
            assert!(ctx.children().is_empty());
            for name in ["a", "b"] {
                ctx.mount_with(named(name), Node::default).await?;
            }
            assert_eq!(ctx.children().len(), 2);
            diary.note("parent started");
            Ok(())
        }
        #[route("panic")]
        fn panic(&mut self, _: Panic) {
            panic!("{ON_PURPOSE}")
        }
    }
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    system.mount(Parent::default).await.unwrap();
    let started = ["parent/a started", "parent/b started", "parent started"];
    assert_eq!(diary.take(), started);
    let handle = system.route::<Count>("parent/b://count").unwrap();
    assert_eq!(handle.ask(Count).await.unwrap(), 1);
    system.tell("parent://panic", Panic).await.unwrap();
    until("all are there again", || diary.0.lock().unwrap().len() == 5).await;
    let mut expected = vec![
        "parent/b stopped: Unmounted".to_owned(),
        "parent/a stopped: Unmounted".to_owned(),
    ];
    expected.extend(started.map(str::to_owned));
    assert_eq!(diary.take(), expected);
    assert_eq!(handle.ask(Count).await.unwrap(), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn who_stops_by_itself_is_unmounted_unless_it_is_to_be_there_always() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    for restart in [Restart::Transient, Restart::Never] {
        system
            .mount_with(named("x").restart(restart), Node::default)
            .await
            .unwrap();
        let mut watch = system.watch("x");
        system.tell("x://stop", StopNow).await.unwrap();
        assert_eq!(
            watch.next().await.unwrap().change,
            Change::Ended(EndReason::Stopped)
        );
        until("it is unmounted", || {
            system.snapshot().subsystem("x").is_none()
        })
        .await;
    }
    let permanent = named("x").restart(Restart::Permanent);
    system.mount_with(permanent, Node::default).await.unwrap();
    assert_eq!(system.ask("x://count", Count).await.unwrap(), 1);
    system.tell("x://stop", StopNow).await.unwrap();
    until("it is there again", || {
        system.snapshot().subsystem("x").unwrap().restarts == 1
    })
    .await;
    assert_eq!(system.ask("x://count", Count).await.unwrap(), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn who_is_never_restarted_is_closed_by_its_first_failure_and_stays_if_it_is_to_be_kept() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    let never = named("x").restart(Restart::Never).keep_failed(true);
    system.mount_with(never, Node::default).await.unwrap();
    let mut watch = system.watch("x");
    system.tell("x://panic", Panic).await.unwrap();
    let panic = Failure::Panic(ON_PURPOSE.into());
    assert_eq!(
        watch.next().await.unwrap().change,
        Change::Failed(panic.clone())
    );
    assert_eq!(
        watch.next().await.unwrap().change,
        Change::Ended(EndReason::Failed(panic))
    );
    assert!(matches!(
        system.ask("x://count", Count).await,
        Err(AskError::Undelivered(_) | AskError::Unhandled { .. })
    ));
    assert!(system.snapshot().subsystem("x").unwrap().is_closed);
    system.unmount("x").await.unwrap();
    system.mount_with(named("x"), Node::default).await.unwrap();
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_error_is_a_failure_only_where_it_is_asked_for() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    system
        .mount_with(named("calm"), Node::default)
        .await
        .unwrap();
    let strict = named("strict").restart_on_error(true);
    system.mount_with(strict, Node::default).await.unwrap();
    for name in ["calm", "strict"] {
        assert_eq!(
            system.ask(format!("{name}://count"), Count).await.unwrap(),
            1
        );
        system.tell(format!("{name}://fail"), Fail).await.unwrap();
    }
    assert_eq!(system.ask("calm://count", Count).await.unwrap(), 2);
    assert_eq!(system.ask("strict://count", Count).await.unwrap(), 1);
    assert_eq!(figures(&quiet(&system).await), [6, 4, 2, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn during_the_pause_before_a_restart_messages_wait() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    let pause = Duration::from_millis(100);
    let options = named("x").backoff(Backoff::new(pause, pause));
    system.mount_with(options, Node::default).await.unwrap();
    let begun = Instant::now();
    // The asker hears of the panic at once.
    system.tell("x://panic", Panic).await.unwrap();
    let mut asks: Vec<_> = (0..5)
        .map(|_| Box::pin(system.ask("x://count", Count)))
        .collect();
    for ask in &mut asks {
        assert!(poll_once(ask).await.is_none());
    }
    for (n, ask) in (1..).zip(asks) {
        assert_eq!(ask.await.unwrap(), n);
    }
    assert!(begun.elapsed() >= pause, "{:?}", begun.elapsed());
    // Who is to stop does not wait for the pause.
    let long = Duration::from_secs(3600);
    let options = named("y").backoff(Backoff::new(long, long));
    system.mount_with(options, Node::default).await.unwrap();
    system.tell("y://panic", Panic).await.unwrap();
    system.tell("y://count", Count).await.unwrap();
    let ledger = system.unmount("y").await.unwrap();
    assert_eq!(figures(&ledger), [2, 1, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_restart_whose_factory_or_start_fails_is_tried_again_within_the_intensity() {
    let _watch = watchdog();
    let Fixture {
        system,
        orders,
        diary,
    } = fixture().await;
    let options = named("x").intensity(10, Duration::from_secs(60));
    system.mount_with(options, Node::default).await.unwrap();
    diary.take();
    // Two starts fail, the third one succeeds.
    orders.good_starts.store(0, Ordering::Relaxed);
    let mut watch = system.watch("x");
    system.tell("x://panic", Panic).await.unwrap();
    for expected in [
        "a handler panicked",
        "could not be started",
        "could not be started",
    ] {
        match watch.next().await.unwrap().change {
            Change::Failed(failure) => assert!(failure.to_string().contains(expected)),
            other => panic!("{other:?}"),
        }
    }
    orders.good_starts.store(1, Ordering::Relaxed);
    loop {
        match watch.next().await.unwrap().change {
            Change::Restarted => break,
            Change::Failed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(system.ask("x://count", Count).await.unwrap(), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_child_that_fails_too_often_fails_its_parent() {
    #[derive(Subsystem, Default)]
    struct Parent;
    #[routes]
    impl Parent {
        #[started]
        async fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
            let child = named("child").intensity(2, Duration::from_secs(60));
            ctx.mount_with(child, Node::default).await?;
            Ok(())
        }
        #[restarting]
        fn learn(&mut self, failure: Failure, State(diary): State<Diary>) {
            diary.note(failure.to_string());
        }
        #[route("count")]
        fn count(&mut self, _: Count) -> u32 {
            7
        }
    }
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    system.mount(Parent::default).await.unwrap();
    diary.take();
    let mut watch = system.watch("parent/child");
    for _ in 0..3 {
        // The first two are borne.
        system.tell("parent/child://panic", Panic).await.unwrap();
    }
    let panic = Failure::Panic(ON_PURPOSE.into());
    loop {
        if let Change::Ended(reason) = watch.next().await.unwrap().change {
            assert_eq!(reason, EndReason::Escalated(panic.clone()));
            break;
        }
    }
    // One after the other: the rows of a snapshot are not of the same instant.
    until("the parent is there again", || {
        system.snapshot().subsystem("parent").unwrap().restarts == 1
    })
    .await;
    until("so is a new child", || {
        system.snapshot().subsystem("parent/child").is_some()
    })
    .await;
    let expected = Failure::Child {
        name: "parent/child".into(),
        failure: panic.into(),
    };
    assert!(diary.take().contains(&expected.to_string()));
    assert_eq!(system.ask("parent/child://count", Count).await.unwrap(), 1);
    assert_eq!(system.ask("parent://count", Count).await.unwrap(), 7);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_root_that_fails_too_often_stops_the_system_with_the_reason() {
    let _watch = watchdog();
    let Fixture { system, diary, .. } = fixture().await;
    system
        .mount_with(named("other"), Node::default)
        .await
        .unwrap();
    let options = named("x").intensity(1, Duration::from_secs(60));
    system.mount_with(options, Node::default).await.unwrap();
    system.tell("x://panic", Panic).await.unwrap();
    system.tell("x://panic", Panic).await.unwrap();
    let expected = StopReason::Escalated {
        subsystem: "x".into(),
        failure: Failure::Panic(ON_PURPOSE.into()),
    };
    assert_eq!(system.stopped().await, expected);
    // The others came to their end in order.
    assert!(
        diary
            .take()
            .contains(&"other stopped: SystemStopped".to_owned())
    );
    match system.stop().await {
        Err(StopError::Escalated(report)) => {
            assert_eq!(report.reason, expected);
            assert_eq!(figures(&report.ledger), [2, 0, 2, 0, 0, 0]);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        system.stop().await,
        Err(StopError::AlreadyStopped)
    ));
}

#[mycelia::test]
async fn whoever_watches_hears_of_start_failure_restart_and_end() {
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    let mut one = system.watch("node");
    let mut all = system.watch_all();
    system.mount(Node::default).await.unwrap();
    system
        .mount_with(named("other"), Node::default)
        .await
        .unwrap();
    system.tell("node://panic", Panic).await.unwrap();
    assert_eq!(system.ask("node://count", Count).await.unwrap(), 1);
    system.unmount("node").await.unwrap();
    let panic = Failure::Panic(ON_PURPOSE.into());
    for expected in [
        Change::Started,
        Change::Failed(panic),
        Change::Restarted,
        Change::Ended(EndReason::Unmounted),
    ] {
        assert_eq!(one.next().await.unwrap().change, expected);
    }
    assert_eq!(one.try_next(), None);
    let names: Vec<_> = std::iter::from_fn(|| all.try_next())
        .map(|event| event.subsystem.to_string())
        .collect();
    assert_eq!(names, ["node", "other", "node", "node", "node"]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_child_can_be_unmounted_by_its_parent() {
    #[derive(Message)]
    #[message(reply = bool)]
    struct Drop;
    #[derive(Subsystem, Default)]
    struct Parent;
    #[routes]
    impl Parent {
        #[started]
        async fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
            ctx.mount(Node::default).await?;
            Ok(())
        }
        #[route("drop")]
        async fn drop_child(&mut self, _: Drop, ctx: Context) -> bool {
            match ctx.unmount("node").await {
                Ok(_) => true,
                Err(UnmountError::NoSubsystem { .. }) => false,
                Err(other) => panic!("{other}"),
            }
        }
    }
    let _watch = watchdog();
    let Fixture { system, .. } = fixture().await;
    system.mount(Parent::default).await.unwrap();
    assert!(system.ask("parent://drop", Drop).await.unwrap());
    assert!(!system.ask("parent://drop", Drop).await.unwrap());
    system.stop().await.unwrap();
}
