//! The keepers, which mount, unmount, watch and stop, survive what users pass them: factories, handlers,
//! strategies, states, wakers and futures that panic when they are called, woken or dropped.

use std::panic::panic_any;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::common::{named, poll_once, quiet, quiet_panics, until, watchdog};
use mycelia::error::{AskError, MountError};
use mycelia::prelude::*;
use mycelia::schedule::{Load, Slice, Strategy};
use mycelia::{Replicas, RouteTable};

/// Panics when it is dropped, with a payload that does so too.
struct Bomb(Arc<AtomicU64>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic_any(Payload);
    }
}

struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

/// Keeps all panics out of the output.
fn silent() {
    quiet_panics();
    std::panic::set_hook(Box::new(|_| ()));
}

#[derive(Message)]
#[message(reply = u64)]
struct Ping;

#[derive(Subsystem, Default)]
struct Api;

#[routes]
impl Api {
    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u64 {
        1
    }
}

/// Mounts, asks, unmounts and stops: nothing that only works without the keepers.
async fn the_keepers_live(system: &System) {
    system.mount_as("proof", Api::default).await.unwrap();
    assert_eq!(system.ask("proof://ping", Ping).await.unwrap(), 1);
    system.unmount("proof").await.unwrap();
    let strategy = || system.snapshot().strategy;
    let before = strategy();
    system.set_strategy(Named("proof"));
    until("the supervisor answers", || strategy() == "proof").await;
    assert_ne!(before, "proof");
    system.stop().await.unwrap();
}

struct Named(&'static str);

impl Strategy for Named {
    fn slices(&mut self, _: &[Load], slices: &mut [Slice]) {
        slices.fill(Slice::default());
    }

    fn name(&self) -> &'static str {
        self.0
    }
}

/// A factory that drops its bomb when the last clone of it is dropped.
fn with<S: Default>(dropped: &Arc<AtomicU64>) -> impl Fn() -> S + Clone + Send + 'static {
    let bomb = Arc::new(Bomb(dropped.clone()));
    move || {
        let _ = &bomb;
        S::default()
    }
}

#[tokio::test]
async fn a_refused_mount_whose_factory_panics_when_dropped_leaves_the_keepers_alive() {
    let _watchdog = watchdog();
    silent();
    let dropped = Arc::new(AtomicU64::new(0));
    let system = System::builder().threads(2).start().await.unwrap();
    system.mount(Api::default).await.unwrap();
    let taken = system.mount(with::<Api>(&dropped)).await;
    assert!(matches!(taken, Err(MountError::NameTaken { .. })));
    let nowhere = MountOptions::new().name("b").thread(9);
    let refused = system.mount_with(nowhere, with::<Api>(&dropped)).await;
    assert!(matches!(refused, Err(MountError::NoThread { .. })));
    let bad = system.mount_as("no name", with::<Api>(&dropped)).await;
    assert!(matches!(bad, Err(MountError::BadName { .. })));
    let replicas = Replicas::round_robin(3);
    let taken = system.mount_replicas(replicas, with::<Api>(&dropped)).await;
    assert!(matches!(taken, Err(MountError::NameTaken { .. })));
    let all = (0..2000).map(|n| named(&format!("many-{}", n % 1999)));
    let taken = system.mount_all(all, with::<Api>(&dropped)).await;
    assert!(matches!(taken, Err(MountError::NameTaken { .. })));
    until("all were dropped", || dropped.load(Ordering::Relaxed) == 5).await;
    the_keepers_live(&system).await;
}

#[tokio::test]
async fn a_mount_that_is_cancelled_may_panic_when_it_is_dropped() {
    let _watchdog = watchdog();
    silent();
    let dropped = Arc::new(AtomicU64::new(0));
    let system = System::builder().threads(1).start().await.unwrap();
    for n in 0..100 {
        let factory = with::<Api>(&dropped);
        drop(poll_once(system.mount_as(format!("n{n}"), factory)).await);
    }
    the_keepers_live(&system).await;
    // Some may have been mounted: then they are dropped with the system.
    drop(system);
    until("all were dropped", || {
        dropped.load(Ordering::Relaxed) == 100
    })
    .await;
}

#[tokio::test]
async fn a_factory_that_panics_when_dropped_ends_with_its_subsystem_and_alone() {
    let _watchdog = watchdog();
    silent();
    let dropped = Arc::new(AtomicU64::new(0));
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount_as("neighbour", Api::default).await.unwrap();
    let factory = with::<Api>(&dropped);
    system.mount(factory).await.unwrap();
    assert_eq!(system.ask("api://ping", Ping).await.unwrap(), 1);
    system.unmount("api").await.unwrap();
    until("it was dropped", || dropped.load(Ordering::Relaxed) == 1).await;
    assert_eq!(system.ask("neighbour://ping", Ping).await.unwrap(), 1);
    the_keepers_live(&system).await;
}

#[tokio::test]
async fn handlers_whose_captures_panic_when_dropped_do_so_where_it_hurts_nobody() {
    struct ByHand;
    static HANDLERS: AtomicU64 = AtomicU64::new(0);
    impl Subsystem for ByHand {
        const NAME: &'static str = "by-hand";
    }
    struct Counts;
    impl Drop for Counts {
        fn drop(&mut self) {
            HANDLERS.fetch_add(1, Ordering::Relaxed);
            panic_any(Payload);
        }
    }
    impl Routes for ByHand {
        fn routes(table: &mut RouteTable<Self>) {
            for pattern in ["a", "b"] {
                let counts = Counts;
                table.on(pattern, move |_: &mut Self, _: Ping, (): ()| {
                    let _ = &counts;
                    2
                });
            }
        }
    }
    let _watchdog = watchdog();
    silent();
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(|| ByHand).await.unwrap();
    assert_eq!(system.ask("by-hand://a", Ping).await.unwrap(), 2);
    the_keepers_live(&system).await;
    drop(system);
    until("both were dropped", || {
        HANDLERS.load(Ordering::Relaxed) == 2
    })
    .await;
}

#[tokio::test]
async fn a_strategy_may_panic_wherever_it_is_called_or_dropped() {
    struct Bad {
        in_name: bool,
        in_slices: bool,
        _bomb: Bomb,
    }
    impl Strategy for Bad {
        fn slices(&mut self, _: &[Load], _: &mut [Slice]) {
            if self.in_slices {
                panic_any(Payload);
            }
        }
        fn name(&self) -> &'static str {
            if self.in_name {
                panic_any(Payload);
            }
            "bad"
        }
    }
    let _watchdog = watchdog();
    silent();
    let dropped = Arc::new(AtomicU64::new(0));
    let bad = |in_name, in_slices| Bad {
        in_name,
        in_slices,
        _bomb: Bomb(dropped.clone()),
    };
    let system = System::builder().threads(1).strategy(bad(true, true));
    let system = system.start().await.unwrap();
    system.mount(Api::default).await.unwrap();
    for (in_name, in_slices) in [(false, false), (true, false), (false, true), (true, true)] {
        system.set_strategy(bad(in_name, in_slices));
        assert_eq!(system.ask("api://ping", Ping).await.unwrap(), 1);
    }
    until("round-robin stands in", || {
        system.snapshot().strategy == "round-robin"
    })
    .await;
    until("all were dropped", || dropped.load(Ordering::Relaxed) == 5).await;
    the_keepers_live(&system).await;
    system.set_strategy(bad(false, false));
    until("one set after the stop was dropped", || {
        dropped.load(Ordering::Relaxed) == 6
    })
    .await;
}

#[tokio::test]
async fn shared_states_that_panic_when_dropped_do_not_keep_a_system_from_its_end() {
    struct Other(#[allow(dead_code)] Bomb);
    let _watchdog = watchdog();
    silent();
    let dropped = Arc::new(AtomicU64::new(0));
    let system = System::builder()
        .threads(1)
        .state(Bomb(dropped.clone()))
        .state(Other(Bomb(dropped.clone())));
    let system = system.start().await.unwrap();
    system.mount(Api::default).await.unwrap();
    the_keepers_live(&system).await;
    drop(system);
    until("both were dropped", || dropped.load(Ordering::Relaxed) == 2).await;
}

/// A waker that panics when it is woken, and when it is dropped.
struct BadWaker {
    woken: AtomicU64,
}

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        panic_any(Payload);
    }
}

impl Drop for BadWaker {
    fn drop(&mut self) {
        panic_any(Payload);
    }
}

/// Polls a future with a bad waker until it is ready.
async fn badly<F: Future>(future: F) -> F::Output {
    let bad = Arc::new(BadWaker {
        woken: AtomicU64::new(0),
    });
    let waker = Waker::from(bad.clone());
    let mut future = pin!(future);
    let mut woken = 0;
    let output = loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            break output;
        }
        until("it is woken", || bad.woken.load(Ordering::Relaxed) > woken).await;
        woken = bad.woken.load(Ordering::Relaxed);
    };
    // Its drop is this test's own.
    std::mem::forget((waker, bad));
    output
}

#[derive(Message)]
struct Fail;

#[derive(Subsystem, Default)]
struct Fails;

#[routes]
impl Fails {
    #[route("fail")]
    fn fail(&mut self, _: Fail) {
        panic!("on purpose");
    }
}

#[derive(Subsystem, Default)]
struct Waits;

#[routes]
impl Waits {
    #[route("wait")]
    async fn wait(&mut self, _: Ping) -> u64 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        1
    }
}

#[tokio::test]
async fn who_waits_for_the_keepers_may_have_a_waker_that_panics() {
    let _watchdog = watchdog();
    silent();
    let system = badly(System::builder().threads(1).start()).await.unwrap();
    let mut watch = system.watch_all();
    let mut letters = system.dead_letters();
    let mut watches = pin!(badly(async { (watch.next().await, letters.next().await) }));
    assert!(poll_once(watches.as_mut()).await.is_none());
    badly(system.mount(Fails::default)).await.unwrap();
    assert!(badly(system.mount(Fails::default)).await.is_err());
    system.tell("fails://fail", Fail).await.unwrap();
    let (event, letter) = watches.await;
    assert_eq!(&*event.unwrap().subsystem, "fails");
    assert_eq!(letter.unwrap().path(), "fails://fail");
    quiet(&system).await;
    system.mount(Waits::default).await.unwrap();
    let soon = Duration::from_millis(1);
    let late = badly(system.ask_within("waits://wait", Ping, soon)).await;
    assert!(matches!(late, Err(AskError::DeadlineExceeded { .. })));
    badly(system.unmount("fails")).await.unwrap();
    badly(system.unmount("waits")).await.unwrap();
    system.mount_as("proof", Api::default).await.unwrap();
    assert_eq!(system.ask("proof://ping", Ping).await.unwrap(), 1);
    let mut stopped = pin!(badly(system.stopped()));
    assert!(poll_once(stopped.as_mut()).await.is_none());
    badly(system.stop()).await.unwrap();
    stopped.await;
}
