//! Subsystems that are mounted on demand, more keys than may be there: what is told to a key while its subsystem is
//! being put away is handled once, and in its sender's order, by that one or the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelia::error::{SendError, StopError};
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::{Key, OnDemand};
use mycelia_test::{Rng, SimulationHandle};

use super::faults::ON_PURPOSE;
use super::sum::Sum;
use super::{PATIENCE, all};

/// The n-th message of a client to a key.
#[derive(Message)]
struct Note {
    client: u32,
    n: u64,
}

/// What is known of all keys.
#[derive(Default)]
struct Notes {
    /// The last message of each client to each key.
    last: Mutex<BTreeMap<(Box<str>, u32), u64>>,
    handled: AtomicU64,
    made: AtomicU64,
    /// The system is about to stop.
    stops: AtomicBool,
    /// Values of one key at a time.
    there: Mutex<BTreeMap<Box<str>, u32>>,
    /// One start in so many fails; 0 for none.
    fails: u64,
}

struct Keyed {
    key: Key,
    notes: Arc<Notes>,
}

impl Keyed {
    fn new(key: Key, notes: Arc<Notes>) -> Self {
        let made = notes.made.fetch_add(1, Ordering::Relaxed) + 1;
        let panics = notes.fails > 0 && made.is_multiple_of(notes.fails);
        assert!(!panics, "{ON_PURPOSE}");
        *notes
            .there
            .lock()
            .unwrap()
            .entry((*key).into())
            .or_default() += 1;
        Keyed { key, notes }
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        *self
            .notes
            .there
            .lock()
            .unwrap()
            .entry((*self.key).into())
            .or_default() -= 1;
    }
}

impl Subsystem for Keyed {
    const NAME: &'static str = "keyed";
}

#[routes]
impl Keyed {
    #[started]
    async fn load(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let made = self.notes.made.load(Ordering::Relaxed) + 1;
        let fails = self.notes.fails > 0 && made.is_multiple_of(self.notes.fails);
        anyhow::ensure!(!fails, "{ON_PURPOSE}");
        Ok(())
    }

    #[stopped]
    async fn save(&mut self, _: EndReason) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[route("note")]
    fn note(&mut self, note: Note) {
        let there = self.notes.there.lock().unwrap().get(&*self.key).copied();
        assert_eq!(there, Some(1), "two of one key are there");
        let mut last = self.notes.last.lock().unwrap();
        let last = last.entry(((*self.key).into(), note.client)).or_default();
        assert!(*last < note.n, "{} after {last}", note.n);
        *last = note.n;
        self.notes.handled.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client: tells keys by path, some of them by a handle that it has kept. How many messages were accepted.
async fn tell_keys(system: System, notes: Arc<Notes>, client: u32, rng: Rng) -> u64 {
    let (actions, keys) = (10 + rng.below(30), 1 + rng.below(6));
    let mut accepted = 0;
    let mut handles = BTreeMap::new();
    for n in 1..=u64::from(actions) {
        let key = rng.below(keys);
        let path = format!("keys/{key}://note");
        if rng.chance(0.2)
            && let Ok(handle) = system.route::<Note>(&path)
        {
            handles.insert(key, handle);
        }
        let note = Note { client, n };
        let handle = handles.get(&key).filter(|_| rng.chance(0.5));
        let told = match (handle, rng.below(4)) {
            (Some(handle), 0) => handle.try_tell(note),
            (Some(handle), _) => handle.tell(note).await,
            (None, 0) => system.try_tell(path, note),
            (None, 1) => {
                system
                    .tell_within(path, note, Duration::from_millis(3))
                    .await
            }
            (None, _) => system.tell(path, note).await,
        };
        match told {
            Ok(()) => accepted += 1,
            Err(undelivered) => match undelivered.reason() {
                SendError::Full { .. } | SendError::StartFailed { .. } => {}
                SendError::Stopped | SendError::NoSubsystem { .. } | SendError::Closed { .. }
                    if notes.stops.load(Ordering::Relaxed) => {}
                error => panic!("{error}"),
            },
        }
        if rng.chance(0.1) {
            drop(system.unmount(&format!("keys/{key}")).await);
        }
        if rng.chance(0.3) {
            tokio::time::sleep(Duration::from_millis(rng.below(5).into())).await;
        }
    }
    accepted
}

/// Runs a system whose subsystems come and go with the messages to them.
pub(crate) async fn come_and_go(sim: SimulationHandle) -> Sum {
    let rng = sim.rng();
    let builder = System::builder().pool(2 + rng.below(16) as usize);
    let system = sim.system(builder).await.expect("the settings are good");
    let notes = Arc::new(Notes {
        fails: if rng.chance(0.5) {
            0
        } else {
            3 + u64::from(rng.below(10))
        },
        ..Notes::default()
    });
    let mut on_demand = OnDemand::new();
    if rng.chance(0.7) {
        on_demand = on_demand.at_most(1 + rng.below(3) as usize);
    }
    if rng.chance(0.5) {
        on_demand = on_demand.idle(Duration::from_millis(1 + u64::from(rng.below(20))));
    }
    if rng.chance(0.3) {
        on_demand = on_demand.options(MountOptions::new().capacity(1 + rng.below(3)));
    }
    let made = notes.clone();
    let new = move |key| Keyed::new(key, made.clone());
    let mounted = system.mount_on_demand("keys/{key}", on_demand, new).await;
    mounted.expect("nothing is in its way");
    let (accepted, stops_early) = (Arc::new(AtomicU64::new(0)), rng.chance(0.3));
    let mut clients = Vec::new();
    for client in 0..1 + rng.below(4) {
        let told = tell_keys(system.clone(), notes.clone(), client, sim.rng());
        let accepted = accepted.clone();
        clients.push(sim.spawn(async move {
            accepted.fetch_add(told.await, Ordering::Relaxed);
        }));
    }
    if stops_early {
        tokio::time::sleep(Duration::from_millis(rng.below(40).into())).await;
    } else {
        all(std::mem::take(&mut clients)).await;
    }
    notes.stops.store(true, Ordering::Relaxed);
    match system.stop_within(PATIENCE).await {
        Ok(_) => {}
        // What a handle sent to one that was being made, and then could not be.
        Err(StopError::DeadlineExceeded(_)) if notes.fails > 0 => {}
        Err(error) => panic!("it does not stop: {error}"),
    }
    all(clients).await;
    let total = system.snapshot().total;
    let handled = notes.handled.load(Ordering::Relaxed);
    assert!(total.closes() && total.is_quiet(), "{total:?}");
    assert_eq!(total.sent, accepted.load(Ordering::Relaxed), "{total:?}");
    assert_eq!(total.handled, handled, "{total:?}");
    assert_eq!(total.handled + total.undeliverable, total.sent, "{total:?}");
    assert!(total.undeliverable == 0 || notes.fails > 0, "{total:?}");
    assert!(
        notes
            .there
            .lock()
            .unwrap()
            .values()
            .all(|there| *there == 0)
    );
    Sum {
        systems: 1,
        ..Sum::default()
    }
}
