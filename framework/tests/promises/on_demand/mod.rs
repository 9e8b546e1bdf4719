//! On demand: a path below a name that is not mounted makes its subsystem, and the unused are put away.

mod ends;
mod makes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::{Key, OnDemand};
use tokio::sync::Semaphore;

use crate::common::{ON_PURPOSE, quiet_panics};

#[derive(Message)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message)]
struct Note(u64);

#[derive(Message)]
#[message(reply = String)]
struct WhoAreYou;

#[derive(Message)]
struct Wait;

#[derive(Message)]
#[message(reply = u64)]
struct AskThrough(String);

/// What outlives them: sums by key, and how often each was made and saved.
#[derive(Default)]
struct Store {
    sums: Mutex<BTreeMap<String, u64>>,
    made: AtomicU64,
    saved: AtomicU64,
}

struct Gate(Semaphore);

struct User {
    key: Key,
    sum: u64,
    store: Arc<Store>,
}

impl Subsystem for User {
    const NAME: &'static str = "user";
}

#[routes]
impl User {
    #[started]
    async fn load(&mut self, system: System) -> anyhow::Result<()> {
        anyhow::ensure!(!self.key.starts_with("refused"), "{ON_PURPOSE}");
        if self.key.starts_with("asks-back") {
            system.ask("front://sum", Add(1)).await?;
        }
        tokio::task::yield_now().await;
        let sums = self.store.sums.lock().unwrap();
        self.sum = sums.get(&*self.key).copied().unwrap_or(0);
        Ok(())
    }

    #[stopped]
    async fn save(&mut self, _: EndReason) {
        tokio::task::yield_now().await;
        let mut sums = self.store.sums.lock().unwrap();
        sums.insert(self.key.to_string(), self.sum);
        self.store.saved.fetch_add(1, Ordering::SeqCst);
    }

    #[route("add")]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.sum += n;
        self.sum
    }

    #[route("note")]
    fn note(&mut self, Note(n): Note) {
        assert_eq!(n, self.sum + 1, "out of order");
        self.sum = n;
    }

    #[route("who")]
    fn who(&mut self, _: WhoAreYou, ctx: Context) -> String {
        assert_eq!(ctx.key().as_deref(), Some(&*self.key));
        ctx.name().to_owned()
    }

    #[route("wait")]
    async fn wait(&mut self, _: Wait, State(gate): State<Gate>) {
        gate.0.acquire().await.unwrap().forget();
    }
}

#[derive(Subsystem, Default)]
#[subsystem(name = "front")]
struct Front;

#[routes]
impl Front {
    #[route("through")]
    async fn through(
        &mut self,
        AskThrough(path): AskThrough,
        system: System,
    ) -> anyhow::Result<u64> {
        Ok(system.ask(path, Add(1)).await?)
    }

    #[route("sum")]
    fn sum(&mut self, Add(n): Add) -> u64 {
        n
    }
}

async fn system(threads: usize) -> System {
    quiet_panics();
    let builder = System::builder().threads(threads).pool(256);
    let builder = builder.state(Gate(Semaphore::new(0)));
    builder.start().await.unwrap()
}

async fn users(system: &System, on_demand: OnDemand) -> Arc<Store> {
    let store = Arc::new(Store::default());
    let made = store.clone();
    let new = move |key: Key| {
        assert!(!key.starts_with("panics"), "{ON_PURPOSE}");
        made.made.fetch_add(1, Ordering::SeqCst);
        User {
            key,
            sum: 0,
            store: made.clone(),
        }
    };
    system
        .mount_on_demand("users/{id}", on_demand, new)
        .await
        .unwrap();
    store
}

fn is_there(system: &System, name: &str) -> bool {
    system.snapshot().subsystem(name).is_some()
}

fn count(system: &System) -> usize {
    let all = system.snapshot().subsystems;
    all.iter()
        .filter(|one| one.name.starts_with("users/"))
        .count()
}
