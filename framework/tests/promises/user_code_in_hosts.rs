//! What a subsystem's own code does wrong, its drops and payloads included, is its own failure: the message
//! ends once, its asker is told, the subsystem is there again, and its neighbour never notices.

use std::panic::panic_any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::common::{ON_PURPOSE, figures, quiet, quiet_panics, quiet_threads, watchdog};
use mycelia::error::{CaptureError, MountError};
use mycelia::extract::{Address, Delivery, Extractor, States};
use mycelia::observe::{Change, EndReason};
use mycelia::prelude::*;
use mycelia::supervise::Failure;
use mycelia::{OrLater, later};

/// Panics when it is dropped; so does what that panic leaves, twice.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

/// A message that panics when it is dropped.
#[derive(Message)]
#[message(reply = u32)]
struct Get {
    _bomb: Option<Bomb>,
}

const GET: Get = Get { _bomb: None };

fn bomb() -> Get {
    Get {
        _bomb: Some(Bomb(2)),
    }
}

/// A message whose reply panics when it is dropped.
#[derive(Message)]
#[message(reply = Bomb)]
struct GetBomb;

/// An argument that is not there.
struct Thorn;

impl Extractor for Thorn {
    type Packed = ();

    fn pack(_: &mut Address<'_>) -> Result<(), CaptureError> {
        Ok(())
    }

    fn unpack((): (), _: &Delivery<'_>) -> Self {
        panic_any(Bomb(2))
    }

    fn check(_: &States) -> Result<(), MountError> {
        Ok(())
    }
}

/// An error that can't be put in words, nor be dropped.
#[derive(Debug)]
struct Unspeakable(bool);

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            true => panic_any(Bomb(2)),
            false => Ok(()),
        }
    }
}

impl std::error::Error for Unspeakable {}

impl Drop for Unspeakable {
    fn drop(&mut self) {
        panic_any(Bomb(2));
    }
}

#[derive(Default)]
struct Lives {
    made: AtomicU32,
    dropped: AtomicU32,
}

#[derive(Subsystem)]
struct Careless {
    lives: Arc<Lives>,
    handled: u32,
}

impl Drop for Careless {
    fn drop(&mut self) {
        self.lives.dropped.fetch_add(1, Ordering::Relaxed);
        panic_any(Bomb(2));
    }
}

#[routes]
impl Careless {
    #[route("get")]
    fn get(&mut self, _: Get) -> u32 {
        self.handled += 1;
        self.handled
    }

    #[route("sync")]
    fn sync(&mut self, get: Get) -> u32 {
        std::mem::forget(get);
        panic_any(Bomb(2))
    }

    #[route("async")]
    async fn later(&mut self, get: Get) -> u32 {
        std::mem::forget(get);
        tokio::task::yield_now().await;
        panic_any(Bomb(2))
    }

    #[route("blocking", blocking)]
    fn blocking(&mut self, get: Get) -> u32 {
        std::mem::forget(get);
        panic_any(Bomb(2))
    }

    #[route("thorn")]
    fn thorn(&mut self, _: Get, _: Thorn) -> u32 {
        0
    }

    #[route("thorn/async")]
    async fn thorn_async(&mut self, _: Get, _: Thorn) -> u32 {
        0
    }

    #[route("thorn/blocking", blocking)]
    fn thorn_blocking(&mut self, _: Get, _: Thorn) -> u32 {
        0
    }

    #[route("thorn/later")]
    fn thorn_later(&mut self, get: Get, _: Thorn) -> OrLater<u32, Get> {
        later(get)
    }

    #[route("unspeakable")]
    fn unspeakable(&mut self, get: Get) -> Result<u32, Unspeakable> {
        std::mem::forget(get);
        Err(Unspeakable(true))
    }

    #[route("unspeakable/async")]
    async fn unspeakable_async(&mut self, get: Get) -> Result<u32, Unspeakable> {
        std::mem::forget(get);
        Err(Unspeakable(true))
    }

    #[route("undroppable")]
    fn undroppable(&mut self, _: Get) -> Result<u32, Unspeakable> {
        Err(Unspeakable(false))
    }

    #[route("bomb")]
    fn bomb(&mut self, _: GetBomb) -> Bomb {
        Bomb(2)
    }

    #[route("bomb/async")]
    async fn bomb_async(&mut self, _: GetBomb) -> Bomb {
        Bomb(2)
    }
}

async fn system() -> (System, Arc<Lives>) {
    // All panics of these tests are on purpose, and few have a text.
    quiet_threads();
    let system = System::builder().threads(1).pool(64).start().await.unwrap();
    let lives = Arc::new(Lives::default());
    let counted = lives.clone();
    let factory = move || {
        counted.made.fetch_add(1, Ordering::Relaxed);
        Careless {
            lives: counted.clone(),
            handled: 0,
        }
    };
    system.mount(factory).await.unwrap();
    (system, lives)
}

#[mycelia::test]
async fn a_handler_s_panic_is_its_message_s_failure_whatever_its_payload_and_its_state_do() {
    let _watch = watchdog();
    let (system, lives) = system().await;
    let paths = [
        "careless://sync",
        "careless://async",
        "careless://blocking",
        "careless://thorn",
        "careless://thorn/async",
        "careless://thorn/blocking",
        "careless://thorn/later",
        "careless://unspeakable",
        "careless://unspeakable/async",
    ];
    for (n, path) in (1..).zip(paths) {
        let asked = system.ask(path, bomb()).await;
        assert!(
            matches!(asked, Err(AskError::Panicked { .. })),
            "{path}: {asked:?}"
        );
        // As a tell too.
        system.tell(path, bomb()).await.unwrap();
        assert_eq!(
            system.ask("careless://get", GET).await.unwrap(),
            1,
            "{path}: it starts afresh"
        );
        assert_eq!(lives.made.load(Ordering::Relaxed), 1 + 2 * n, "{path}");
        assert_eq!(lives.dropped.load(Ordering::Relaxed), 2 * n, "{path}");
    }
    let n = paths.len() as u64;
    assert_eq!(figures(&quiet(&system).await), [3 * n, n, 2 * n, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_error_or_a_reply_that_nobody_takes_hurts_nobody_when_it_is_dropped() {
    let _watch = watchdog();
    let (system, lives) = system().await;
    system.tell("careless://undroppable", GET).await.unwrap();
    system.tell("careless://bomb", GetBomb).await.unwrap();
    system.tell("careless://bomb/async", GetBomb).await.unwrap();
    assert_eq!(system.ask("careless://get", GET).await.unwrap(), 1);
    assert_eq!(figures(&quiet(&system).await), [4, 3, 1, 0, 0, 0]);
    assert_eq!(lives.made.load(Ordering::Relaxed), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn messages_that_panic_when_they_are_dropped_end_once_each() {
    let _watch = watchdog();
    let (system, _) = system().await;
    let gate = system.route::<Get>("careless://get").unwrap();
    // Dropped by the handler, which is its own panic.
    gate.tell(bomb()).await.unwrap();
    assert_eq!(system.ask("careless://get", GET).await.unwrap(), 1);
    assert_eq!(figures(&quiet(&system).await), [2, 1, 1, 0, 0, 0]);
    system.stop().await.unwrap();
}

/// A subsystem whose handler panics before it has made its future.
struct Eager(Arc<Lives>);

impl Subsystem for Eager {
    const NAME: &'static str = "eager";
}

impl Drop for Eager {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn eager<'a>(_: &'a mut Eager, _: Get, (): ()) -> Pin<Box<dyn Future<Output = u32> + 'a>> {
    panic!("before there is a future, {ON_PURPOSE}")
}

impl Routes for Eager {
    fn routes(table: &mut RouteTable<Self>) {
        table.on_async("get", eager);
    }
}

#[mycelia::test]
async fn a_panic_before_there_is_a_future_leaves_no_value_behind() {
    let _watch = watchdog();
    quiet_panics();
    let system = System::builder().threads(1).start().await.unwrap();
    let lives = Arc::new(Lives::default());
    let counted = lives.clone();
    let factory = move || {
        counted.made.fetch_add(1, Ordering::Relaxed);
        Eager(counted.clone())
    };
    system.mount(factory).await.unwrap();
    for n in 1..=100 {
        let asked = system.ask("eager://get", GET).await;
        assert!(matches!(asked, Err(AskError::Panicked { .. })), "{asked:?}");
        assert_eq!(lives.made.load(Ordering::Relaxed), n + 1);
        assert_eq!(lives.dropped.load(Ordering::Relaxed), n);
    }
    system.stop().await.unwrap();
    assert_eq!(lives.dropped.load(Ordering::Relaxed), 101);
}

#[mycelia::test]
async fn a_factory_that_panics_when_it_is_dropped_ends_with_its_subsystem_and_nothing_else() {
    static IS_DROPPED: AtomicBool = AtomicBool::new(false);
    struct Captured;
    impl Drop for Captured {
        fn drop(&mut self) {
            IS_DROPPED.store(true, Ordering::Relaxed);
            panic_any(Bomb(2));
        }
    }
    let _watch = watchdog();
    let (system, _) = system().await;
    let lives = Arc::new(Lives::default());
    let captured = Captured;
    let factory = move || {
        let _captured = &captured;
        Careless {
            lives: lives.clone(),
            handled: 0,
        }
    };
    system.mount_as("neighbour", factory).await.unwrap();
    assert_eq!(system.ask("neighbour://get", GET).await.unwrap(), 1);
    system.unmount("neighbour").await.unwrap();
    assert!(
        IS_DROPPED.load(Ordering::Relaxed),
        "before the unmount returns"
    );
    assert_eq!(system.ask("careless://get", GET).await.unwrap(), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_value_that_panics_when_it_is_dropped_is_told_of_at_its_restart_and_at_its_end() {
    let _watch = watchdog();
    let (system, _) = system().await;
    let mut watch = system.watch("careless");
    let asked = system.ask("careless://sync", GET).await;
    assert!(matches!(asked, Err(AskError::Panicked { .. })), "{asked:?}");
    system.unmount("careless").await.unwrap();
    let text = "a panic without a text";
    let told = [
        Change::Failed(Failure::Drop(text.into())),
        Change::Failed(Failure::Panic(text.into())),
        Change::Restarted,
        Change::Failed(Failure::Drop(text.into())),
        Change::Ended(EndReason::Unmounted),
    ];
    for change in told {
        assert_eq!(watch.next().await.unwrap().change, change);
    }
    system.stop().await.unwrap();
}
