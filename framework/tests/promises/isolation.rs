//! Promise 5: a panic fails its own message and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::{ON_PURPOSE, figures, poll_once, quiet, quiet_panics, until, watchdog};
use mycelia::prelude::*;
use tokio::sync::Semaphore;

/// A message; the reply is how many its subsystem has handled, this one included.
#[derive(Message)]
#[message(reply = u64)]
struct Count;

#[derive(Message)]
#[message(reply = u64)]
struct Panic {
    text: &'static str,
}

#[derive(Message)]
#[message(reply = u64)]
struct Number(u64);

struct Gate(Semaphore);

#[derive(Subsystem)]
struct Fragile {
    handled: u64,
    numbers: Vec<u64>,
    dropping: Dropping,
}

/// What the state does when it is dropped.
#[derive(Clone, Copy, PartialEq)]
enum Dropping {
    Quietly,
    Panicking,
}

impl Fragile {
    fn new() -> Self {
        Fragile {
            handled: 0,
            numbers: Vec::new(),
            dropping: Dropping::Quietly,
        }
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        if self.dropping == Dropping::Panicking {
            panic!("dropped {ON_PURPOSE}");
        }
    }
}

/// What a handler holds while it waits.
struct Held(Dropping);

impl Drop for Held {
    fn drop(&mut self) {
        if self.0 == Dropping::Panicking {
            panic!("let go of {ON_PURPOSE}");
        }
    }
}

#[routes]
impl Fragile {
    #[route("count")]
    fn count(&mut self, _: Count) -> u64 {
        self.handled += 1;
        self.handled
    }

    #[route("panic")]
    fn panic(&mut self, Panic { text }: Panic) -> u64 {
        panic!("{text}")
    }

    #[route("panic/later")]
    async fn panic_later(&mut self, Panic { text }: Panic) -> u64 {
        tokio::task::yield_now().await;
        panic!("{text}")
    }

    #[route("gate")]
    async fn gate(&mut self, _: Count, State(gate): State<Gate>) -> u64 {
        let _held = Held(self.dropping);
        gate.0.acquire().await.unwrap().forget();
        0
    }

    /// Every third number panics; the others are numbered since the last restart.
    #[route("number")]
    fn number(&mut self, Number(n): Number, State(seen): State<Seen>) -> u64 {
        seen.0.lock().unwrap().push(n);
        if n % 3 == 0 {
            panic!("{ON_PURPOSE}");
        }
        self.numbers.push(n);
        self.numbers.len() as u64
    }
}

#[derive(Default)]
struct Seen(std::sync::Mutex<Vec<u64>>);

async fn system() -> (System, Arc<Gate>, Arc<Seen>) {
    quiet_panics();
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let seen = Arc::new(Seen::default());
    let system = System::builder()
        .threads(1)
        .pool(64)
        .shared_state(gate.clone())
        .shared_state(seen.clone())
        .start()
        .await
        .unwrap();
    (system, gate, seen)
}

fn panicked(asked: Result<u64, AskError<Panic>>) -> (String, String) {
    match asked {
        Err(AskError::Panicked { subsystem, message }) => {
            (subsystem.to_string(), message.to_string())
        }
        other => panic!("{other:?}"),
    }
}

#[mycelia::test]
async fn a_panic_reaches_the_asker_and_the_subsystem_starts_afresh_from_its_factory() {
    let _watch = watchdog();
    let (system, ..) = system().await;
    let made = Arc::new(AtomicU32::new(0));
    let counted = made.clone();
    let factory = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Fragile::new()
    };
    system.mount(factory).await.unwrap();
    let count = system.route::<Count>("fragile://count").unwrap();
    for round in 1..=3 {
        assert_eq!(count.ask(Count).await.unwrap(), 1);
        assert_eq!(count.ask(Count).await.unwrap(), 2);
        let path = ["fragile://panic", "fragile://panic/later"][round % 2];
        let text = "on purpose, and formatted";
        let asked = system.ask(path, Panic { text }).await;
        assert_eq!(panicked(asked), ("fragile".into(), text.into()));
        assert_eq!(made.load(Ordering::Relaxed), round as u32 + 1);
    }
    let now = system.snapshot();
    let fragile = now.subsystem("fragile").unwrap();
    assert_eq!(fragile.restarts, 3);
    assert_eq!(
        fragile.last_failure.as_deref(),
        Some("a handler panicked: on purpose, and formatted")
    );
    assert_eq!(figures(&quiet(&system).await), [9, 6, 3, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn messages_that_wait_stay_and_are_handled_in_order_after_a_restart() {
    let _watch = watchdog();
    let (system, gate, seen) = system().await;
    system.mount(Fragile::new).await.unwrap();
    // Everything below waits behind this one.
    system.tell("fragile://gate", Count).await.unwrap();
    let mut asks = Vec::new();
    for n in 1..=30 {
        let mut ask = Box::pin(system.ask("fragile://number", Number(n)));
        assert!(poll_once(&mut ask).await.is_none());
        asks.push((n, ask));
    }
    gate.0.add_permits(1);
    for (n, ask) in asks {
        match ask.await {
            Ok(place) => assert_eq!(place, n % 3, "the state is fresh after each panic"),
            Err(AskError::Panicked { .. }) => assert_eq!(n % 3, 0),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(seen.0.lock().unwrap().iter().copied().eq(1..=30));
    assert_eq!(figures(&quiet(&system).await), [31, 21, 10, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn neighbours_on_the_same_thread_never_notice() {
    let _watch = watchdog();
    let (system, ..) = system().await;
    for name in ["left", "middle", "right"] {
        system.mount_as(name, Fragile::new).await.unwrap();
    }
    for n in 1..=100 {
        let text = ON_PURPOSE;
        let (left, middle, right) = tokio::join!(
            system.ask("left://count", Count),
            system.ask("middle://panic", Panic { text }),
            system.ask("right://count", Count),
        );
        assert_eq!((left.unwrap(), right.unwrap()), (n, n));
        panicked(middle);
    }
    let now = system.snapshot();
    let restarts = |name| now.subsystem(name).unwrap().restarts;
    assert_eq!(
        [restarts("left"), restarts("middle"), restarts("right")],
        [0, 100, 0]
    );
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_factory_that_panics_at_a_restart_closes_the_subsystem() {
    let _watch = watchdog();
    let (system, gate, _) = system().await;
    let made = AtomicU32::new(0);
    let factory = move || {
        assert!(
            made.fetch_add(1, Ordering::Relaxed) < 2,
            "made no more {ON_PURPOSE}"
        );
        Fragile::new()
    };
    let kept = MountOptions::new().keep_failed(true);
    system.mount_with(kept, factory).await.unwrap();
    system.mount_as("neighbour", Fragile::new).await.unwrap();
    let handle = system.route::<Count>("fragile://count").unwrap();
    let text = ON_PURPOSE;
    panicked(system.ask("fragile://panic", Panic { text }).await);
    assert_eq!(handle.ask(Count).await.unwrap(), 1);

    system.tell("fragile://gate", Count).await.unwrap();
    let mut last = Box::pin(system.ask("fragile://panic", Panic { text }));
    assert!(poll_once(&mut last).await.is_none());
    let mut asks = Vec::new();
    for _ in 0..5 {
        system.tell("fragile://count", Count).await.unwrap();
        let mut ask = Box::pin(handle.ask(Count));
        assert!(poll_once(&mut ask).await.is_none());
        asks.push(ask);
    }
    gate.0.add_permits(1);
    panicked(last.await);
    for ask in asks {
        assert!(matches!(ask.await, Err(AskError::Unhandled { .. })));
    }
    assert_eq!(figures(&quiet(&system).await), [14, 2, 2, 0, 0, 10]);
    let closed = SendError::Closed {
        subsystem: "fragile".into(),
    };
    assert_eq!(handle.try_tell(Count).unwrap_err().into_reason(), closed);
    assert_eq!(
        system
            .try_tell("fragile://count", Count)
            .unwrap_err()
            .into_reason(),
        closed
    );
    let failure = system
        .snapshot()
        .subsystem("fragile")
        .unwrap()
        .last_failure
        .clone();
    assert!(failure.unwrap().contains("made no more"));

    // The neighbour goes on, and the name can be used again after an unmount.
    assert_eq!(system.ask("neighbour://count", Count).await.unwrap(), 1);
    let ledger = system.unmount("fragile").await.unwrap();
    assert_eq!(figures(&ledger), [14, 2, 2, 0, 0, 10]);
    system.mount(Fragile::new).await.unwrap();
    assert_eq!(handle.ask(Count).await.unwrap(), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn senders_that_wait_for_room_learn_that_the_subsystem_has_closed() {
    let _watch = watchdog();
    let (system, gate, _) = system().await;
    let made = AtomicU32::new(0);
    let factory = move || {
        assert!(
            made.fetch_add(1, Ordering::Relaxed) < 1,
            "made no more {ON_PURPOSE}"
        );
        Fragile::new()
    };
    let options = MountOptions::new().capacity(2).keep_failed(true);
    system.mount_with(options, factory).await.unwrap();
    system.tell("fragile://gate", Count).await.unwrap();
    system
        .tell("fragile://panic", Panic { text: ON_PURPOSE })
        .await
        .unwrap();
    let mut tells: Vec<_> = (0..5)
        .map(|_| Box::pin(system.tell("fragile://count", Count)))
        .collect();
    for tell in &mut tells {
        assert!(poll_once(tell).await.is_none());
    }
    gate.0.add_permits(1);
    let (mut accepted, mut closed) = (0, 0);
    for tell in tells {
        match tell.await {
            Ok(()) => accepted += 1,
            Err(refused) if matches!(refused.reason(), SendError::Closed { .. }) => closed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(
        accepted <= 2 && accepted + closed == 5,
        "{accepted} {closed}"
    );
    assert_eq!(
        figures(&quiet(&system).await),
        [2 + accepted, 1, 1, 0, 0, accepted]
    );
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_strategy_that_panics_is_replaced_and_the_supervisor_goes_on() {
    struct Hopeless;
    impl mycelia::schedule::Strategy for Hopeless {
        fn slices(&mut self, _: &[mycelia::schedule::Load], _: &mut [mycelia::schedule::Slice]) {
            panic!("decided nothing {ON_PURPOSE}");
        }
    }
    let _watch = watchdog();
    let (system, ..) = system().await;
    system.mount(Fragile::new).await.unwrap();
    system.set_strategy(Hopeless);
    assert_eq!(system.ask("fragile://count", Count).await.unwrap(), 1);
    system.set_strategy(mycelia::schedule::RoundRobin(
        mycelia::schedule::Slice::new(5),
    ));
    until("the next strategy is obeyed", || {
        system.snapshot().subsystems[0].slice == 5
    })
    .await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_state_that_panics_when_it_is_dropped_hurts_nobody() {
    let _watch = watchdog();
    let (system, gate, _) = system().await;
    let factory = || {
        let mut fragile = Fragile::new();
        fragile.dropping = Dropping::Panicking;
        fragile
    };
    system.mount(factory).await.unwrap();
    system.mount_as("neighbour", Fragile::new).await.unwrap();
    let text = ON_PURPOSE;
    for path in ["fragile://panic", "fragile://panic/later"] {
        assert_eq!(panicked(system.ask(path, Panic { text }).await).1, text);
        assert_eq!(system.ask("fragile://count", Count).await.unwrap(), 1);
    }
    // Unmounted, it panics once more.
    let ledger = system.unmount("fragile").await.unwrap();
    assert_eq!(figures(&ledger), [4, 2, 2, 0, 0, 0]);
    assert_eq!(system.ask("neighbour://count", Count).await.unwrap(), 1);

    // Cut off in the middle of a handler, too, though what that holds panics first.
    system.mount(factory).await.unwrap();
    system.tell("fragile://gate", Count).await.unwrap();
    until("the gate is waited for", || {
        system.snapshot().total.waiting == 1
    })
    .await;
    let stopped = system
        .stop_within(std::time::Duration::from_millis(10))
        .await;
    let Err(mycelia::error::StopError::DeadlineExceeded(report)) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(report.ledger.failed, 3);
    drop(gate);
}
