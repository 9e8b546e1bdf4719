//! Wakers, threads and futures of the user's own, whatever they do: no envelope has two owners, no receiver
//! notices, no wake-up is lost.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::common::{block_on, figures, quiet, quiet_panics, until, watchdog};
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = u64)]
struct Get;

#[derive(Message)]
struct Put(String);

/// Waits until the gate is opened.
#[derive(Message)]
#[message(reply = u64)]
struct Pass;

struct Gate(tokio::sync::Semaphore);

#[derive(Subsystem, Default)]
struct Store {
    handled: u64,
}

#[routes]
impl Store {
    #[route("get")]
    fn get(&mut self, _: Get) -> u64 {
        self.handled += 1;
        self.handled
    }

    #[route("put")]
    fn put(&mut self, Put(text): Put) {
        assert_eq!(text.len(), 40, "this is not what was sent");
        self.handled += 1;
    }

    #[route("pass")]
    async fn pass(&mut self, _: Pass, State(gate): State<Gate>) -> u64 {
        gate.0.acquire().await.expect("it stays open").forget();
        self.handled += 1;
        self.handled
    }
}

async fn store(pool: usize) -> (System, Arc<Gate>) {
    quiet_panics();
    let gate = Arc::new(Gate(tokio::sync::Semaphore::new(0)));
    let builder = System::builder().threads(1).pool(pool);
    let system = builder.shared_state(gate.clone()).start().await.unwrap();
    system.mount(Store::default).await.unwrap();
    (system, gate)
}

fn put() -> Put {
    Put("x".repeat(40))
}

/// A task of an executor whose wakers misbehave.
#[derive(Default)]
struct Bad {
    woken: AtomicUsize,
    /// Uses it before it panics.
    system: Option<System>,
    /// Its waker owns this.
    _owned: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl Bad {
    fn new() -> (Arc<Self>, Waker) {
        let bad = Arc::new(Bad::default());
        (bad.clone(), bad.into())
    }

    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst) > 0
    }
}

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        if let Some(system) = &self.system {
            let _ = system.try_tell("store://put", put());
            let _ = system.snapshot();
        }
        panic!("a waker panics on purpose");
    }
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Takes the only envelope of the pool, until the gate is opened once.
fn occupy(system: &System) -> Pin<Box<impl Future<Output = Result<u64, AskError<Pass>>> + use<>>> {
    let pass = system.route::<Pass>("store://pass").unwrap();
    let mut ask = Box::pin(async move { pass.ask(Pass).await });
    assert!(poll(&mut ask, Waker::noop()).is_pending());
    ask
}

#[mycelia::test]
async fn an_envelope_that_comes_back_while_a_waker_panics_comes_back_once() {
    let _watch = watchdog();
    let (system, gate) = store(1).await;
    for _ in 0..100 {
        // The reply comes to an ask with the only envelope; someone waits for that.
        let mut ask = occupy(&system);
        let (bad, waker) = Bad::new();
        let mut tell = Box::pin(system.tell("store://put", put()));
        assert!(poll(&mut tell, &waker).is_pending());
        gate.0.add_permits(1);
        until("the reply is there", || system.snapshot().total.is_quiet()).await;
        // The asker takes its reply, returns the envelope, and so wakes who waits.
        assert!(poll(&mut ask, Waker::noop()).is_ready());
        assert!(bad.is_woken());
        drop(ask);
        assert_eq!(system.snapshot().pool.in_flight, 0);
        assert!(poll(&mut tell, Waker::noop()).is_ready());
        quiet(&system).await;
    }
    let pool = system.snapshot().pool;
    assert_eq!((pool.created, pool.reused), (1, pool.released));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_receiver_never_notices_that_the_waker_of_a_sender_or_an_asker_panics() {
    let _watch = watchdog();
    let (system, gate) = store(1).await;
    let mut events = system.watch_all();
    for calls_back in [false, true] {
        let bad = || {
            let system = calls_back.then(|| system.clone());
            let bad = Arc::new(Bad {
                system,
                ..Bad::default()
            });
            (bad.clone(), Waker::from(bad))
        };
        // One who waits for the reply, and one who waits for its envelope.
        let ((asker, asks), (sender, sends)) = (bad(), bad());
        let mut ask = occupy(&system);
        assert!(poll(&mut ask, &asks).is_pending());
        let mut tell = Box::pin(system.tell("store://put", put()));
        assert!(poll(&mut tell, &sends).is_pending());
        gate.0.add_permits(1);
        until("the asker is woken", || asker.is_woken()).await;
        assert!(matches!(poll(&mut ask, Waker::noop()), Poll::Ready(Ok(_))));
        assert!(sender.is_woken());
        // What it sent when it called back may have the envelope for a while.
        until("it is sent", || poll(&mut tell, Waker::noop()).is_ready()).await;
        assert!(system.ask("store://get", Get).await.is_ok());
        quiet(&system).await;
    }
    assert_eq!(system.snapshot().subsystems[0].restarts, 0);
    assert!(events.try_next().is_none());
    let ledger = quiet(&system).await;
    assert_eq!(ledger.sent, ledger.handled);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_waker_that_owns_another_waiting_send_may_be_dropped_by_any_step() {
    let _watch = watchdog();
    let (system, gate) = store(1).await;
    let tell = || {
        let system = system.clone();
        let tell = async move { system.tell("store://put", put()).await.unwrap() };
        Box::pin(tell) as Pin<Box<dyn Future<Output = ()> + Send>>
    };
    // The waker of `one` is held by its place among those who wait alone, and owns `two`, which waits too.
    let owning = |two| {
        Waker::from(Arc::new(Bad {
            _owned: Mutex::new(Some(two)),
            ..Bad::default()
        }))
    };
    for step in 0..3 {
        let ask = occupy(&system);
        let (mut one, mut two) = (tell(), tell());
        assert!(poll(&mut two, Waker::noop()).is_pending());
        assert!(poll(&mut one, &owning(two)).is_pending());
        match step {
            0 => drop(one),
            1 => assert!(poll(&mut one, Waker::noop()).is_pending()),
            _ => {
                gate.0.add_permits(1);
                assert!(ask.await.is_ok());
                until("it is sent", || poll(&mut one, Waker::noop()).is_ready()).await;
                quiet(&system).await;
                continue;
            }
        }
        gate.0.add_permits(1);
        assert!(ask.await.is_ok());
        quiet(&system).await;
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_forgotten_send_takes_no_wake_up_away_from_others() {
    let _watch = watchdog();
    let (system, gate) = store(1).await;
    let ask = occupy(&system);
    let mut forgotten = Box::pin(system.tell("store://put", put()));
    assert!(poll(&mut forgotten, Waker::noop()).is_pending());
    std::mem::forget(forgotten);
    let waits = {
        let system = system.clone();
        tokio::task::spawn_local(async move { system.tell("store://put", put()).await })
    };
    tokio::task::yield_now().await;
    gate.0.add_permits(1);
    assert!(ask.await.is_ok());
    waits.await.unwrap().unwrap();
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger), [2, 2, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_forgotten_ask_costs_an_envelope_and_nothing_else() {
    let _watch = watchdog();
    let (system, gate) = store(2).await;
    std::mem::forget(occupy(&system));
    gate.0.add_permits(1);
    for _ in 0..1000 {
        assert!(system.ask("store://get", Get).await.is_ok());
    }
    let now = system.snapshot();
    assert!(now.total.closes() && now.total.is_quiet());
    assert_eq!((now.total.handled, now.pool.in_flight), (1001, 1));
    system.stop().await.unwrap();
}

/// The pumps are to end.
static DONE: AtomicBool = AtomicBool::new(false);

#[derive(Subsystem, Default)]
struct Pump;

#[routes]
impl Pump {
    #[route("put")]
    async fn put(&mut self, _: Get, system: System) -> u64 {
        while !DONE.load(Ordering::Relaxed) {
            let _ = system.tell("store://put", put()).await;
        }
        0
    }
}

#[mycelia::test]
async fn threads_that_send_and_end_while_others_wait_leave_what_they_had() {
    let _watch = watchdog();
    let (system, _gate) = store(8).await;
    for n in 0..4 {
        system
            .mount_as(format!("pump-{n}"), Pump::default)
            .await
            .unwrap();
        let pump = system.route::<Get>(format!("pump-{n}://put")).unwrap();
        tokio::task::spawn_local(async move { pump.ask(Get).await });
    }
    let threads = {
        let system = system.clone();
        tokio::task::spawn_blocking(move || {
            for _ in 0..2000 {
                let system = system.clone();
                let ask = move || block_on(system.ask("store://get", Get)).unwrap();
                std::thread::spawn(ask).join().unwrap();
            }
        })
    };
    threads.await.unwrap();
    DONE.store(true, Ordering::Relaxed);
    let stopped = system.stop_within(Duration::from_secs(10)).await;
    let total = stopped.unwrap().ledger;
    assert!(total.closes() && total.is_quiet());
}

/// Sends, or asks, when its thread's local values are dropped.
struct Last(RefCell<Option<(System, u32)>>);

impl Drop for Last {
    fn drop(&mut self) {
        let Some((system, way)) = self.0.take() else {
            return;
        };
        match way % 4 {
            0 => system.try_tell("store://put", put()).unwrap(),
            1 => system.tell_blocking("store://put", put()).unwrap(),
            2 => system
                .route::<Put>("store://put")
                .unwrap()
                .try_tell(put())
                .unwrap(),
            _ => drop(system.ask_blocking("store://get", Get).unwrap()),
        }
    }
}

thread_local! {
    static LAST: Last = const { Last(RefCell::new(None)) };
}

#[mycelia::test]
async fn a_thread_may_send_and_ask_in_the_drop_of_its_local_values() {
    let _watch = watchdog();
    let (system, _gate) = store(256).await;
    for way in 0..48 {
        let system = system.clone();
        // Whether the framework's own local values come before or after goes by who is used first.
        let sends_first = way % 2 == 0;
        let run = move || {
            if sends_first {
                system.try_tell("store://put", put()).unwrap();
            }
            LAST.with(|last| *last.0.borrow_mut() = Some((system.clone(), way / 2)));
            if way % 3 == 0 {
                system.try_tell("store://put", put()).unwrap();
            }
        };
        let thread = std::thread::spawn(run);
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .unwrap()
            .unwrap();
    }
    let ledger = quiet(&system).await;
    assert_eq!(ledger.sent, ledger.handled);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_last_hold_on_a_system_may_go_with_a_thread_s_local_values() {
    let _watch = watchdog();
    for way in 0..8 {
        let (system, _gate) = store(256).await;
        let weak = system.downgrade();
        let run = move || {
            LAST.with(|last| *last.0.borrow_mut() = Some((system.clone(), way)));
            system.try_tell("store://put", put()).unwrap();
        };
        let thread = std::thread::spawn(run);
        let joined = tokio::task::spawn_blocking(move || thread.join());
        joined.await.unwrap().unwrap();
        assert!(weak.upgrade().is_none());
    }
}
