//! Resizing: more replicas or fewer, while messages flow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{figures, quiet, until, watchdog};
use mycelia::Replicas;
use mycelia::error::MountError;
use mycelia::observe::EndReason;
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Who;

#[derive(Message)]
struct Note(u64);

#[derive(Message)]
#[message(reply = ())]
struct Resize(usize);

/// The last number of every key, whichever replica had it.
#[derive(Default)]
struct Book {
    last: Mutex<BTreeMap<u64, u64>>,
    ended: AtomicU64,
}

#[derive(Default)]
struct Users {
    book: Arc<Book>,
}

impl Subsystem for Users {
    const NAME: &'static str = "users";
}

#[routes]
impl Users {
    #[route("{id}/who")]
    fn who(&mut self, _: Who, ctx: Context, Path(_): Path<u64>) -> String {
        ctx.name().to_owned()
    }

    #[route("{id}/note")]
    async fn note(&mut self, Note(n): Note, Path(id): Path<u64>) {
        if n.is_multiple_of(7) {
            tokio::task::yield_now().await;
        }
        let mut last = self.book.last.lock().unwrap();
        let last = last.entry(id).or_default();
        assert_eq!(*last + 1, n, "out of order");
        *last = n;
    }

    #[route("resize")]
    async fn resize(&mut self, Resize(n): Resize, system: System) -> anyhow::Result<()> {
        Ok(system.resize("users", n).await?)
    }

    #[stopped]
    fn end(&mut self, _: EndReason) {
        self.book.ended.fetch_add(1, Ordering::SeqCst);
    }
}

async fn mounted(replicas: Replicas) -> (System, Arc<Book>) {
    let system = System::builder()
        .threads(2)
        .pool(512)
        .start()
        .await
        .unwrap();
    let book = Arc::new(Book::default());
    let new = book.clone();
    let new = move || Users { book: new.clone() };
    system.mount_replicas(replicas, new).await.unwrap();
    (system, book)
}

/// Waits while messages from before the last resize are waited for.
async fn resize(system: &System, count: usize) {
    loop {
        match system.resize("users", count).await {
            Err(MountError::Resizing { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
            done => return done.unwrap(),
        }
    }
}

fn count(system: &System) -> usize {
    system.snapshot().subsystems.len()
}

#[mycelia::test]
async fn a_key_stays_or_goes_to_one_other_and_comes_back() {
    let _watch = watchdog();
    let (system, book) = mounted(Replicas::by_capture(3, "id")).await;
    let mut of_key: BTreeMap<u64, String> = BTreeMap::new();
    for id in 0..200 {
        let who = system.ask(format!("users://{id}/who"), Who).await.unwrap();
        of_key.insert(id, who);
    }
    let at_first = of_key.clone();
    for size in [8, 5, 3] {
        resize(&system, size).await;
        let names = Vec::from_iter((0..size).map(|n| format!("users/{n}")));
        let mut moved = 0;
        for (id, was) in &mut of_key {
            let who = system.ask(format!("users://{id}/who"), Who).await.unwrap();
            assert!(names.contains(&who), "{who} of {size}");
            if who != *was {
                moved += 1;
                // To a new one, or from one that goes: never between two that stay.
                let is_new = size == 8
                    && ["users/0", "users/1", "users/2"]
                        .iter()
                        .all(|old| *old != who);
                assert!(is_new || !names.contains(was), "{was} to {who}");
                *was = who;
            }
        }
        assert!(moved > 0 && moved < 190, "{moved} moved");
    }
    assert_eq!(of_key, at_first);
    until("those that are too many have ended", || count(&system) == 3).await;
    assert_eq!(book.ended.load(Ordering::SeqCst), 5);
    assert_eq!(system.unmount("users").await.unwrap().handled, 800);
    assert_eq!(book.ended.load(Ordering::SeqCst), 8);
    assert_eq!(count(&system), 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn under_load_nothing_is_lost_and_each_sender_keeps_its_order() {
    let _watch = watchdog();
    const KEYS: u64 = 12;
    const EACH: u64 = 2_000;
    let (system, book) = mounted(Replicas::by_capture(2, "id")).await;
    let handle = system.route::<Note>("users://{id}/note").unwrap();
    let senders = (0..KEYS).map(|id| {
        let (system, handle) = (system.clone(), handle.clone());
        std::thread::spawn(move || {
            let path = format!("users://{id}/note");
            for n in 1..=EACH {
                match n % 3 {
                    0 => handle.at(id).tell_blocking(Note(n)).unwrap(),
                    _ => system.tell_blocking(&*path, Note(n)).unwrap(),
                }
            }
        })
    });
    let senders = Vec::from_iter(senders);
    let mut resizes = 0;
    while senders.iter().any(|sender| !sender.is_finished()) {
        for size in [5, 1, 8, 3] {
            resize(&system, size).await;
            resizes += 1;
        }
    }
    for sender in senders {
        sender.join().unwrap();
    }
    let all = KEYS * EACH;
    assert_eq!(figures(&quiet(&system).await), [all, all, 0, 0, 0, 0]);
    assert!(book.last.lock().unwrap().values().all(|last| *last == EACH));
    assert!(resizes >= 4);
    until("those that are too many have ended", || count(&system) == 3).await;
    let ledger = system.unmount("users").await.unwrap();
    assert_eq!(ledger.handled, all);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn in_turn_as_many_get_messages_as_there_are() {
    let _watch = watchdog();
    let (system, _) = mounted(Replicas::round_robin(1)).await;
    for size in [4, 2] {
        resize(&system, size).await;
        let mut met = std::collections::BTreeSet::new();
        for id in 0..8 {
            met.insert(system.ask(format!("users://{id}/who"), Who).await.unwrap());
        }
        assert_eq!(met.len(), size, "{met:?}");
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_replica_can_have_its_own_group_resized() {
    let _watch = watchdog();
    let (system, _) = mounted(Replicas::round_robin(1)).await;
    system.ask("users://resize", Resize(3)).await.unwrap();
    until("there are more", || count(&system) == 3).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_can_not_be_resized_says_why() {
    let _watch = watchdog();
    let (system, _) = mounted(Replicas::round_robin(2)).await;
    let unknown = system.resize("others", 2).await;
    assert!(matches!(unknown, Err(MountError::NoReplicas { .. })));
    let single = system.resize("users/0", 2).await;
    assert!(matches!(single, Err(MountError::NoReplicas { .. })));
    let none = system.resize("users", 0).await;
    assert!(matches!(
        none,
        Err(MountError::BadSetting {
            setting: "replicas",
            ..
        })
    ));
    system.unmount("users").await.unwrap();
    let gone = system.resize("users", 2).await;
    assert!(matches!(gone, Err(MountError::NoReplicas { .. })));
    system.stop().await.unwrap();
}
