//! A message that has expired gives its envelope back at its deadline, whatever its host does meanwhile; and a
//! change of the overflow policy acts at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::common::{figures, named, quiet, quiet_threads, until, watchdog};
use mycelia::prelude::*;
use mycelia::schedule::{Overflow, Priority};
use mycelia::supervise::{Backoff, RestartScope};
use mycelia::{OrLater, later};
use tokio::sync::Semaphore;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);

#[derive(Message)]
#[message(reply = u32)]
struct Get;

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as a message is dropped");
    }
}

#[derive(Message)]
#[message(reply = u32)]
struct GetBomb(#[allow(dead_code, reason = "it is dropped")] Bomb);

#[derive(Message)]
struct Note(u32);

#[derive(Default)]
struct Seen(std::sync::Mutex<Vec<u32>>);

struct Gate(Semaphore);

#[derive(Subsystem, Default)]
struct Db;

#[routes]
impl Db {
    #[route("get")]
    fn get(&mut self, _: Get) -> u32 {
        1
    }

    #[route("get")]
    fn get_bomb(&mut self, GetBomb(bomb): GetBomb) -> u32 {
        std::mem::forget(bomb);
        1
    }

    #[route("later")]
    fn later(&mut self, get: Get) -> OrLater<u32, Get> {
        later(get)
    }

    #[route("hold")]
    async fn hold(&mut self, _: Note, State(gate): State<Gate>) {
        gate.0.acquire().await.unwrap().forget();
    }

    #[route("block", blocking)]
    fn block(&mut self, _: Note, State(gate): State<Gate>) {
        while gate.0.try_acquire().is_err() {
            std::thread::yield_now();
        }
    }

    #[route("note")]
    fn note(&mut self, Note(n): Note, State(seen): State<Seen>) {
        seen.0.lock().unwrap().push(n);
    }

    #[route("fail")]
    fn fail(&mut self, _: Note) {
        panic!("at its pause");
    }
}

struct It {
    system: System,
    gate: Arc<Gate>,
    seen: Arc<Seen>,
}

async fn it(pool: usize) -> It {
    quiet_threads();
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let seen = Arc::new(Seen::default());
    let system = System::builder()
        .threads(1)
        .pool(pool)
        .shared_state(gate.clone())
        .shared_state(seen.clone())
        .start()
        .await
        .unwrap();
    system.mount_as("neighbour", Db::default).await.unwrap();
    It { system, gate, seen }
}

/// Asks as often as there are envelopes left, in vain; then the neighbour can be reached.
async fn expire(system: &System, path: &str, asks: u32) {
    let handle = system.route::<Get>(path).unwrap();
    let all: Vec<_> = (0..asks).map(|_| handle.ask_within(Get, 30 * MS)).collect();
    for asked in futures_util::future::join_all(all).await {
        assert!(
            matches!(asked, Err(AskError::DeadlineExceeded { .. })),
            "{path}: {asked:?}"
        );
    }
    until("their envelopes are free", || {
        system.snapshot().pool.in_flight <= 4 - u64::from(asks)
    })
    .await;
    let reached = system.ask("neighbour://get", Get).await;
    assert_eq!(reached.unwrap(), 1, "{path}");
}

#[mycelia::test]
async fn what_has_expired_gives_its_envelope_back_though_a_handler_waits() {
    let _watch = watchdog();
    for path in ["db://hold", "db://block"] {
        let it = it(4).await;
        it.system.mount(Db::default).await.unwrap();
        it.system.tell(path, Note(0)).await.unwrap();
        expire(&it.system, "db://get", 3).await;
        it.gate.0.add_permits(1);
        let ledger = quiet(&it.system).await;
        assert_eq!(figures(&ledger), [5, 2, 0, 0, 3, 0], "{path}");
        it.system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn what_has_expired_gives_its_envelope_back_though_it_was_kept_for_later() {
    let _watch = watchdog();
    let it = it(4).await;
    it.system.mount(Db::default).await.unwrap();
    expire(&it.system, "db://later", 4).await;
    assert_eq!(figures(&quiet(&it.system).await), [5, 1, 0, 0, 4, 0]);
    it.system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_has_expired_gives_its_envelope_back_during_a_pause_and_during_a_halt() {
    let _watch = watchdog();
    for together in [RestartScope::OneForOne, RestartScope::AllForOne] {
        quiet_threads();
        let system = System::builder()
            .threads(1)
            .pool(4)
            .restart_scope(together)
            .shared_state(Arc::new(Seen::default()))
            .shared_state(Arc::new(Gate(Semaphore::new(0))))
            .start()
            .await
            .unwrap();
        let options = named("db").backoff(Backoff::new(LONG, LONG));
        system.mount_with(options, Db::default).await.unwrap();
        let mut watch = system.watch("db");
        system.tell("db://fail", Note(0)).await.unwrap();
        watch.next().await.unwrap();
        let handle = system.route::<Get>("db://get").unwrap();
        let all = (0..4).map(|_| handle.ask_within(Get, 30 * MS));
        for asked in futures_util::future::join_all(all).await {
            assert!(matches!(asked, Err(AskError::DeadlineExceeded { .. })));
        }
        assert_eq!(figures(&quiet(&system).await), [5, 0, 1, 0, 4, 0]);
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn what_has_expired_gives_its_envelope_back_though_its_subsystem_is_being_unmounted() {
    let _watch = watchdog();
    let it = it(4).await;
    it.system.mount(Db::default).await.unwrap();
    it.system.tell("db://hold", Note(0)).await.unwrap();
    let handle = it.system.route::<Get>("db://get").unwrap();
    let all = (0..3).map(|_| handle.ask_within(Get, 50 * MS));
    let asks = futures_util::future::join_all(all);
    let unmounting = it.system.clone();
    let unmount = tokio::spawn(async move { unmounting.unmount("db").await });
    for asked in asks.await {
        assert!(asked.is_err(), "{asked:?}");
    }
    let reached = it.system.ask("neighbour://get", Get).await;
    assert_eq!(reached.unwrap(), 1);
    it.gate.0.add_permits(1);
    unmount.await.unwrap().unwrap();
    quiet(&it.system).await;
    it.system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_sweep_keeps_the_order_of_what_stays_in_all_lanes() {
    let _watch = watchdog();
    for lanes in [false, true] {
        let it = it(256).await;
        let options = match lanes {
            false => named("db"),
            true => named("db").capacity(200).overflow(Overflow::DropOldest),
        };
        it.system.mount_with(options, Db::default).await.unwrap();
        it.system.tell("db://hold", Note(0)).await.unwrap();
        let get = it.system.route::<Get>("db://get").unwrap();
        let note = it.system.route::<Note>("db://note").unwrap();
        let low = note.clone().with_priority(Priority::Low);
        let mut asks = Vec::new();
        for n in 0..50 {
            let note = if lanes && n % 2 == 1 { &low } else { &note };
            note.tell(Note(n)).await.unwrap();
            let mut ask = Box::pin(get.ask_within(Get, 20 * MS));
            assert!(crate::common::poll_once(&mut ask).await.is_none());
            asks.push(ask);
        }
        for asked in futures_util::future::join_all(asks).await {
            assert!(matches!(asked, Err(AskError::DeadlineExceeded { .. })));
        }
        until("the asks have ended", || {
            let now = it.system.snapshot();
            now.total.expired == 50 && now.pool.in_flight == 51
        })
        .await;
        it.gate.0.add_permits(1);
        assert_eq!(figures(&quiet(&it.system).await), [101, 51, 0, 0, 50, 0]);
        let seen = it.seen.0.lock().unwrap().clone();
        for parity in [0, 1] {
            let of: Vec<_> = seen.iter().filter(|n| *n % 2 == parity).collect();
            assert!(of.is_sorted() && of.len() == 25, "{seen:?}");
        }
        it.system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn what_a_swept_message_does_when_it_is_dropped_hurts_nobody() {
    let _watch = watchdog();
    let it = it(64).await;
    it.system.mount(Db::default).await.unwrap();
    it.system.tell("db://hold", Note(0)).await.unwrap();
    let all = (0..7).map(|_| it.system.ask_within("db://get", GetBomb(Bomb), 20 * MS));
    for asked in futures_util::future::join_all(all).await {
        assert!(matches!(asked, Err(AskError::DeadlineExceeded { .. })));
    }
    assert_eq!(it.system.ask("neighbour://get", Get).await.unwrap(), 1);
    it.gate.0.add_permits(1);
    assert_eq!(it.system.ask("db://get", Get).await.unwrap(), 1);
    assert_eq!(figures(&quiet(&it.system).await), [10, 3, 0, 0, 7, 0]);
    it.system.stop().await.unwrap();
}

#[mycelia::test]
async fn many_that_expire_one_by_one_all_end_while_a_handler_waits() {
    const MANY: u32 = 5_000;
    let _watch = watchdog();
    let it = it(2 * MANY as usize).await;
    it.system.mount(Db::default).await.unwrap();
    it.system.tell("db://hold", Note(0)).await.unwrap();
    let get = it.system.route::<Get>("db://get").unwrap();
    let all = (0..MANY).map(|n| get.ask_within(Get, (20 + n % 100) * MS));
    for asked in futures_util::future::join_all(all).await {
        assert!(matches!(asked, Err(AskError::DeadlineExceeded { .. })));
    }
    until("all have ended", || {
        it.system.snapshot().total.expired == u64::from(MANY)
    })
    .await;
    it.gate.0.add_permits(1);
    quiet(&it.system).await;
    it.system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_change_of_the_overflow_policy_acts_at_once_though_a_handler_waits() {
    let _watch = watchdog();
    for policy in [Overflow::DropNewest, Overflow::Reject, Overflow::DropOldest] {
        let it = it(64).await;
        let options = named("db").capacity(2);
        it.system.mount_with(options, Db::default).await.unwrap();
        it.system.tell("db://hold", Note(0)).await.unwrap();
        it.system.tell("db://note", Note(1)).await.unwrap();
        let has_begun = Arc::new(AtomicBool::new(false));
        let (sending, begun) = (it.system.clone(), has_begun.clone());
        let waits = tokio::spawn(async move {
            let mut tell = Box::pin(sending.tell("db://note", Note(2)));
            assert!(crate::common::poll_once(&mut tell).await.is_none());
            begun.store(true, Ordering::Relaxed);
            tell.await.is_ok()
        });
        until("it waits", || has_begun.load(Ordering::Relaxed)).await;
        it.system.set_overflow("db", policy).unwrap();
        let is_sent = waits.await.unwrap();
        assert_eq!(is_sent, policy != Overflow::Reject, "{policy:?}");
        let new = it.system.tell("db://note", Note(3)).await;
        assert_eq!(new.is_ok(), policy != Overflow::Reject, "{policy:?}");
        it.gate.0.add_permits(1);
        quiet(&it.system).await;
        let stays = if policy == Overflow::DropOldest { 3 } else { 1 };
        assert_eq!(*it.seen.0.lock().unwrap(), [stays], "{policy:?}");
        it.system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn a_change_of_the_overflow_policy_acts_at_once_though_a_restart_pauses() {
    let _watch = watchdog();
    let it = it(64).await;
    let options = named("db").capacity(1).backoff(Backoff::new(LONG, LONG));
    it.system.mount_with(options, Db::default).await.unwrap();
    let mut watch = it.system.watch("db");
    it.system.tell("db://fail", Note(0)).await.unwrap();
    watch.next().await.unwrap();
    until("it has failed", || it.system.snapshot().total.failed == 1).await;
    it.system.tell("db://note", Note(1)).await.unwrap();
    let told = AtomicU32::new(0);
    let waits = async {
        it.system.tell("db://note", Note(2)).await.unwrap();
        told.store(1, Ordering::Relaxed);
    };
    let set = async { it.system.set_overflow("db", Overflow::DropOldest).unwrap() };
    tokio::join!(waits, set);
    assert_eq!(it.system.snapshot().total.dropped, 1);
    it.system.unmount("db").await.unwrap();
    assert_eq!(*it.seen.0.lock().unwrap(), [2]);
    it.system.stop().await.unwrap();
}
