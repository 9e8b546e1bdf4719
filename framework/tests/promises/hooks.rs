//! Promise 5, of hooks: one that fails in whatever way, or never ends, holds up no one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::common::{ON_PURPOSE, figures, poll_once, quiet_panics, until, watchdog};
use mycelia::error::{CaptureError, MountError, StopError, UnmountError};
use mycelia::extract::{Address, Delivery, Extractor};
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::supervise::Restart;
use mycelia_test::{BuilderExt, Faults};

#[derive(Message)]
#[message(reply = ())]
struct Ping;

#[derive(Message)]
struct StopNow;

/// How its hooks behave, and how often they were called.
#[derive(Default, Clone)]
struct Plan {
    start: Option<Way>,
    stop: Option<Way>,
    starts: Arc<AtomicU32>,
    stops: Arc<AtomicU32>,
}

#[derive(Clone, Copy)]
enum Way {
    Panics,
    PanicsLater,
    NeverEnds,
}

impl Way {
    fn at_once(way: Option<Way>) {
        assert!(!matches!(way, Some(Way::Panics)), "{ON_PURPOSE}");
    }

    async fn later(self) {
        tokio::task::yield_now().await;
        match self {
            Way::NeverEnds => std::future::pending().await,
            Way::Panics | Way::PanicsLater => panic!("{ON_PURPOSE}"),
        }
    }
}

/// With hooks that are plain functions.
#[derive(Subsystem)]
struct Plain(Plan);

#[routes]
impl Plain {
    #[started]
    fn begin(&mut self) {
        self.0.starts.fetch_add(1, Ordering::Relaxed);
        Way::at_once(self.0.start);
    }

    #[stopped]
    fn end(&mut self, _: EndReason) {
        self.0.stops.fetch_add(1, Ordering::Relaxed);
        Way::at_once(self.0.stop);
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}

    #[route("stop")]
    fn stop(&mut self, _: StopNow, ctx: Context) {
        ctx.stop();
    }
}

/// With hooks that wait, if they have a way.
#[derive(Subsystem)]
struct Waiting(Plan);

#[routes]
impl Waiting {
    #[started]
    async fn begin(&mut self) {
        self.0.starts.fetch_add(1, Ordering::Relaxed);
        if let Some(way) = self.0.start {
            way.later().await;
        }
    }

    #[stopped]
    async fn end(&mut self, _: EndReason) {
        self.0.stops.fetch_add(1, Ordering::Relaxed);
        if let Some(way) = self.0.stop {
            way.later().await;
        }
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

async fn system() -> System {
    quiet_panics();
    System::builder().threads(1).start().await.unwrap()
}

#[mycelia::test]
async fn a_start_that_panics_at_once_or_later_fails_the_mount() {
    let _watch = watchdog();
    let system = system().await;
    let plan = |start| Plan {
        start: Some(start),
        ..Plan::default()
    };
    let plain = plan(Way::Panics);
    let waiting = plan(Way::PanicsLater);
    for mounted in [
        system.mount(move || Plain(plain.clone())).await,
        system.mount(move || Waiting(waiting.clone())).await,
    ] {
        let Err(MountError::StartFailed { message, .. }) = mounted else {
            panic!("{mounted:?}");
        };
        assert!(message.contains(ON_PURPOSE), "{message}");
    }
    assert!(system.snapshot().subsystems.is_empty());
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_last_hook_that_panics_later_ends_the_subsystem_as_one_that_has_nothing_to_do() {
    let _watch = watchdog();
    let system = system().await;
    for stop in [None, Some(Way::PanicsLater)] {
        let plan = Plan {
            stop,
            ..Plan::default()
        };
        let stops = plan.stops.clone();
        system.mount(move || Waiting(plan.clone())).await.unwrap();
        system.ask("waiting://ping", Ping).await.unwrap();
        let unmounted = system.unmount("waiting").await;
        match stop {
            None => assert_eq!(unmounted.unwrap().handled, 1),
            Some(_) => assert!(
                matches!(unmounted, Err(UnmountError::HooksFailed { .. })),
                "{unmounted:?}"
            ),
        }
        assert_eq!(stops.load(Ordering::Relaxed), 1);
        assert!(system.snapshot().subsystems.is_empty());
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_last_hook_that_never_ends_is_given_up_at_the_stop_s_deadline() {
    let _watch = watchdog();
    let system = system().await;
    let plan = Plan {
        stop: Some(Way::NeverEnds),
        ..Plan::default()
    };
    system.mount(move || Waiting(plan.clone())).await.unwrap();
    system.ask("waiting://ping", Ping).await.unwrap();
    let stopped = system.stop_within(Duration::from_millis(20)).await;
    // No message was left, so it may count as drained or as cut off; but it has ended.
    assert!(
        !matches!(stopped, Err(StopError::Stuck { .. })),
        "{stopped:?}"
    );
}

#[mycelia::test]
async fn who_is_to_be_there_always_is_told_of_each_end_and_each_start() {
    let _watch = watchdog();
    let system = system().await;
    let plan = Plan::default();
    let (starts, stops) = (plan.starts.clone(), plan.stops.clone());
    let options = MountOptions::new().restart(Restart::Permanent);
    system
        .mount_with(options, move || Plain(plan.clone()))
        .await
        .unwrap();
    for times in 1..=3 {
        system.tell("plain://stop", StopNow).await.unwrap();
        until("it is there again", || {
            starts.load(Ordering::Relaxed) == times + 1
        })
        .await;
        assert_eq!(stops.load(Ordering::Relaxed), times);
        system.ask("plain://ping", Ping).await.unwrap();
    }
    system.stop().await.unwrap();
    assert_eq!(stops.load(Ordering::Relaxed), 4);
}

/// Mounts it, which fails for this reason.
async fn start_fails<S: Routes>(
    system: &System,
    factory: impl Fn() -> S + Send + 'static,
) -> String {
    let mounted = system.mount(factory).await;
    let Err(MountError::StartFailed { message, .. }) = mounted else {
        panic!("{mounted:?}");
    };
    assert!(system.snapshot().subsystems.is_empty());
    message.into()
}

#[mycelia::test]
async fn a_hook_whose_argument_wants_a_capture_fails_the_start_and_says_so() {
    /// It does not say beforehand that it takes one, which the compiler would refuse.
    struct Greedy;
    impl Extractor for Greedy {
        type Packed = u64;
        fn pack(address: &mut Address<'_>) -> Result<u64, CaptureError> {
            address.capture()
        }
        fn unpack(_: u64, _: &Delivery<'_>) -> Self {
            Greedy
        }
    }
    #[derive(Subsystem, Default)]
    struct Lost;
    #[routes]
    impl Lost {
        #[started]
        fn begin(&mut self, _: Greedy) {}
        #[route("ping")]
        fn ping(&mut self, _: Ping) {}
    }
    let _watch = watchdog();
    let system = system().await;
    let message = start_fails(&system, Lost::default).await;
    assert!(message.starts_with("a hook has no captures: "), "{message}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_hook_whose_argument_panics_fails_the_start() {
    struct Thorn;
    impl Extractor for Thorn {
        type Packed = ();
        fn pack(_: &mut Address<'_>) -> Result<(), CaptureError> {
            Ok(())
        }
        fn unpack((): (), _: &Delivery<'_>) -> Self {
            panic!("{ON_PURPOSE}")
        }
    }
    #[derive(Subsystem, Default)]
    struct Pricked;
    #[routes]
    impl Pricked {
        #[started]
        fn begin(&mut self, _: Thorn) {}
        #[route("ping")]
        fn ping(&mut self, _: Ping) {}
    }
    let _watch = watchdog();
    let system = system().await;
    let message = start_fails(&system, Pricked::default).await;
    assert_eq!(message, ON_PURPOSE);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_hook_s_error_that_can_t_be_put_in_words_is_a_panic_and_aborts_nothing() {
    #[derive(Debug)]
    struct Unspeakable;
    impl std::fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("{ON_PURPOSE}")
        }
    }
    impl std::error::Error for Unspeakable {}

    #[derive(Subsystem)]
    struct Mute {
        waits: bool,
    }
    #[routes]
    impl Mute {
        #[started]
        async fn begin(&mut self) -> Result<(), Unspeakable> {
            if self.waits {
                tokio::task::yield_now().await;
            }
            Err(Unspeakable)
        }
        #[route("ping")]
        fn ping(&mut self, _: Ping) {}
    }
    impl Drop for Mute {
        fn drop(&mut self) {
            panic!("dropped {ON_PURPOSE}");
        }
    }
    let _watch = watchdog();
    let system = system().await;
    for waits in [false, true] {
        let message = start_fails(&system, move || Mute { waits }).await;
        assert_eq!(message, ON_PURPOSE);
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_last_hook_that_has_to_wait_when_no_time_is_left_is_given_up_at_once() {
    let _watch = watchdog();
    quiet_panics();
    let faults = Faults::with_seed(1);
    let hour = Duration::from_secs(3600);
    faults.delay("waiting://ping", hour).unwrap();
    let system = System::builder().threads(1).faults(&faults);
    let system = system.start().await.unwrap();
    let plan = Plan {
        stop: Some(Way::NeverEnds),
        ..Plan::default()
    };
    let stops = plan.stops.clone();
    system.mount(move || Waiting(plan.clone())).await.unwrap();
    system.tell("waiting://ping", Ping).await.unwrap();
    let stopped = system.stop_within(Duration::from_millis(20)).await;
    let Err(StopError::DeadlineExceeded(report)) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(figures(&report.ledger), [1, 0, 1, 0, 0, 0]);
    assert_eq!(stops.load(Ordering::Relaxed), 1);
}

#[mycelia::test]
async fn a_start_that_never_ends_is_given_up_when_the_parent_is_made_anew() {
    let _watch = watchdog();
    quiet_panics();
    let soon = Duration::from_millis(20);
    let system = System::builder().threads(1).stop_deadline(soon);
    let system = system.start().await.unwrap();
    let parent = Plan::default();
    let options = MountOptions::new().restart(Restart::Permanent);
    system
        .mount_with(options, move || Plain(parent.clone()))
        .await
        .unwrap();
    let child = Plan {
        start: Some(Way::NeverEnds),
        ..Plan::default()
    };
    let (starts, stops) = (child.starts.clone(), child.stops.clone());
    let options = MountOptions::new().parent("plain");
    let mut mounting = Box::pin(system.mount_with(options, move || Waiting(child.clone())));
    assert!(poll_once(&mut mounting).await.is_none());
    until("it is being started", || {
        starts.load(Ordering::Relaxed) == 1
    })
    .await;
    system.tell("plain://stop", StopNow).await.unwrap();
    let given_up = mounting.await;
    assert!(
        matches!(given_up, Err(MountError::Restarting { .. })),
        "{given_up:?}"
    );
    system.ask("plain://ping", Ping).await.unwrap();
    assert_eq!(stops.load(Ordering::Relaxed), 0, "what never stood");
    system.stop().await.unwrap();
}
