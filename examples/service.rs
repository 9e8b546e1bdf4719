//! Run with `cargo run --example service`, or with `-- --serve` to let it run until Ctrl-C
//!
//! A small shop: orders ask the stock and the bank, a diary notes what happened, a signal ends it all.

use anyhow::{Context as _, ensure};
use mycelia::Exit;
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::schedule::MissedTick;
use mycelia::supervise::Restart;
use std::collections::HashMap;
use std::time::Duration;

/// What every subsystem may know.
struct Prices(HashMap<&'static str, u64>);

// The stock: what there is of each item.

#[derive(Message)]
struct Take;

#[derive(Message)]
struct PutBack;

#[derive(Subsystem)]
struct Stock(HashMap<&'static str, u32>);

impl Stock {
    fn full() -> Self {
        Stock(HashMap::from([("tea", 3), ("rice", 1)]))
    }
}

#[routes]
impl Stock {
    #[route("items/{item}")]
    fn take(&mut self, _: Take, Path(item): Path<String>) -> anyhow::Result<()> {
        let left = self.0.get_mut(&*item).context("not in the catalogue")?;
        *left = left.checked_sub(1).context("sold out")?;
        Ok(())
    }

    #[route("items/{item}")]
    fn put_back(&mut self, _: PutBack, Path(item): Path<String>) {
        if let Some(left) = self.0.get_mut(&*item) {
            *left += 1;
        }
    }
}

// The bank: who has how much.

#[derive(Message)]
struct Pay(u64);

#[derive(Subsystem)]
struct Bank(HashMap<&'static str, u64>);

impl Bank {
    fn open() -> Self {
        Bank(HashMap::from([("ada", 100), ("bob", 5)]))
    }
}

#[routes]
impl Bank {
    #[route("accounts/{customer}")]
    async fn pay(&mut self, Pay(price): Pay, Path(who): Path<String>) -> anyhow::Result<()> {
        tokio::time::sleep(Duration::from_millis(5)).await; // it is far away
        let balance = self.0.get_mut(&*who).context("no such customer")?;
        ensure!(*balance >= price, "the balance of {balance} is too low");
        *balance -= price;
        Ok(())
    }
}

// The orders: the only ones that customers talk to.

#[derive(Message)]
#[message(reply = u64)]
struct Order {
    item: &'static str,
}

#[derive(Message)]
#[message(reply = u64)]
struct Revenue;

// ANCHOR: orders
#[derive(Subsystem, Default)]
struct Orders {
    last: u64,
    revenue: u64,
}

#[routes]
impl Orders {
    /// An error of the stock or the bank is the customer's answer.
    #[route("of/{customer}")]
    async fn order(
        &mut self,
        Order { item }: Order,
        Path(customer): Path<String>,
        State(prices): State<Prices>,
        system: System,
    ) -> anyhow::Result<u64> {
        let price = *prices.0.get(item).context("it has no price")?;
        let stock = format!("stock://items/{item}");
        system.ask(&stock, Take).await?;
        let account = format!("bank://accounts/{customer}");
        if let Err(refused) = system.ask(account, Pay(price)).await {
            system.tell(&stock, PutBack).await?;
            return Err(refused.into());
        }
        self.last += 1;
        self.revenue += price;
        let line = format!("order {}: {item} for {customer}, {price}", self.last);
        system.tell("diary://lines", Note(line)).await?;
        Ok(self.last)
    }

    #[route("revenue")]
    fn revenue(&mut self, _: Revenue) -> u64 {
        self.revenue
    }
}
// ANCHOR_END: orders

// The diary: told, never asked.

#[derive(Message)]
struct Note(String);

#[derive(Subsystem, Default)]
struct Diary(Vec<String>);

#[routes]
impl Diary {
    #[route("lines")]
    fn note(&mut self, Note(line): Note) {
        println!("diary: {line}");
        self.0.push(line);
    }

    /// It was mounted first, so it ends last: nothing that the others tell it is lost.
    #[stopped]
    fn close(&mut self, _: EndReason) {
        println!("diary: closed with {} lines", self.0.len());
    }
}

// Customers, for `--serve`: one order every half a second.

#[derive(Message)]
struct Next;

#[derive(Subsystem)]
struct Customers;

#[routes]
impl Customers {
    #[started]
    fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
        ctx.every(Duration::from_millis(500), MissedTick::Skip, "next", || {
            Next
        })?;
        Ok(())
    }

    #[route("next")]
    async fn next(&mut self, _: Next, system: System) {
        match system.ask("orders://of/ada", Order { item: "tea" }).await {
            Ok(number) => println!("ada has order {number}"),
            Err(error) => println!("ada has none: {error:#}"),
        }
    }
}

/// A day of the shop, in which all goes wrong that can.
async fn demo(system: &System) -> anyhow::Result<()> {
    for (customer, item, answer) in [
        ("ada", "tea", Ok(1)),
        ("bob", "tea", Err("the balance of 5 is too low")),
        ("ada", "rice", Ok(2)),
        ("ada", "rice", Err("sold out")),
        ("eve", "tea", Err("no such customer")),
        ("ada", "tea", Ok(3)),
        ("ada", "tea", Ok(4)), // the third: what bob and eve did not get was put back
    ] {
        let order = system.ask(format!("orders://of/{customer}"), Order { item });
        let answered = order.await;
        match (&answered, answer) {
            (Ok(number), Ok(expected)) => {
                println!("{customer} has order {number}");
                assert_eq!(*number, expected);
            }
            (Err(error), Err(expected)) => {
                println!("{customer} has none: {error:#}");
                assert!(format!("{error:#}").ends_with(expected));
            }
            _ => anyhow::bail!("{answered:?} instead of {answer:?}"),
        }
    }
    assert_eq!(system.ask("orders://revenue", Revenue).await?, 50);
    Ok(())
}

// ANCHOR: main
#[mycelia::main]
async fn main() -> anyhow::Result<Exit> {
    let serve = std::env::args().any(|argument| argument == "--serve");
    let system = System::builder()
        .name("shop")
        .state(Prices(HashMap::from([("tea", 10), ("rice", 20)])))
        .stop_deadline(Duration::from_secs(5))
        .start()
        .await?;
    let always = MountOptions::new().restart(Restart::Permanent);
    system.mount_with(always, Diary::default).await?;
    system.mount(Stock::full).await?;
    system.mount(Bank::open).await?;
    system.mount(Orders::default).await?;

    // From here on Ctrl-C and SIGTERM are taken.
    let running = system.run_until_signal();
    let exit = if serve {
        system.mount(|| Customers).await?;
        println!("open; Ctrl-C closes the shop");
        running.await
    } else {
        // Anyone who stops the system ends `running` too.
        let demo = async {
            let day = demo(&system).await;
            let _ = system.stop().await;
            day
        };
        let (exit, day) = futures_util::future::join(running, demo).await;
        day?;
        exit
    };
    println!("{exit}");
    // The process's exit code tells how it went: 0 if all that was accepted was handled.
    Ok(exit)
}
// ANCHOR_END: main
