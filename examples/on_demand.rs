//! Run with `cargo run --example on_demand`
//!
//! A subsystem for every user: made by the first message to it, put away when it is not used, and there again with
//! the next message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::{Key, OnDemand};

#[derive(Message)]
#[message(reply = u64)]
struct Visit;

/// Stands for a database.
#[derive(Default)]
struct Visits(Mutex<HashMap<String, u64>>);

// ANCHOR: subsystem
struct User {
    key: Key,
    visits: u64,
    database: Arc<Visits>,
}

impl Subsystem for User {
    const NAME: &'static str = "user";
}

#[routes]
impl User {
    #[started]
    async fn load(&mut self) {
        let visits = self.database.0.lock().unwrap();
        self.visits = visits.get(self.key.as_str()).copied().unwrap_or(0);
    }

    #[route("visit")]
    fn visit(&mut self, _: Visit) -> u64 {
        self.visits += 1;
        self.visits
    }

    #[stopped]
    async fn save(&mut self, _: EndReason) {
        let mut visits = self.database.0.lock().unwrap();
        visits.insert(self.key.to_string(), self.visits);
    }
}
// ANCHOR_END: subsystem

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().threads(2).start().await?;
    let database = Arc::new(Visits::default());

    // ANCHOR: mount
    let store = database.clone();
    let new = move |key: Key| User {
        key,
        visits: 0,
        database: store.clone(),
    };
    let on_demand = OnDemand::new().at_most(10);
    system.mount_on_demand("users/{id}", on_demand, new).await?;

    // The first message makes the user; the second finds it.
    assert_eq!(system.ask("users/ada://visit", Visit).await?, 1);
    assert_eq!(system.ask("users/ada://visit", Visit).await?, 2);

    // A hundred others come by. No more than ten stay.
    for id in 0..100 {
        let path = format!("users/{id}://visit");
        assert_eq!(system.ask(path, Visit).await?, 1);
    }

    // Ada was put away meanwhile, saved herself, and is there again with the next message.
    assert_eq!(system.ask("users/ada://visit", Visit).await?, 3);
    // ANCHOR_END: mount

    while system.snapshot().subsystems.len() > 10 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let ledger = system.snapshot().total;
    println!("{} visits, ledger {}", ledger.handled, ledger.closes());
    assert!(ledger.closes() && ledger.handled == 103);
    system.stop().await?;
    // All have saved themselves.
    assert_eq!(database.0.lock().unwrap().values().sum::<u64>(), 103);
    Ok(())
}
