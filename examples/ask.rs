//! Run with `cargo run --example ask`
//!
//! Every way in which an ask can end: a reply, an error, a panic, a deadline, a circle of waits.

use anyhow::ensure;
use mycelia::prelude::*;
use std::time::Duration;

#[derive(Message)]
#[message(reply = u64)]
struct Deposit(u64);

#[derive(Message)]
#[message(reply = u64)]
struct Withdraw(u64);

#[derive(Message)]
#[message(reply = u64)]
struct Total;

#[derive(Subsystem, Default)]
struct Bank {
    balance: u64,
}

#[routes]
impl Bank {
    #[route("account")]
    fn deposit(&mut self, Deposit(amount): Deposit) -> u64 {
        self.balance += amount;
        self.balance
    }

    #[route("account")]
    fn withdraw(&mut self, Withdraw(amount): Withdraw) -> anyhow::Result<u64> {
        ensure!(amount <= self.balance, "only {} left", self.balance);
        self.balance -= amount;
        Ok(self.balance)
    }

    #[route("vault")]
    fn open(&mut self, _: Withdraw) -> u64 {
        panic!("the vault is jammed");
    }

    #[route("audit")]
    async fn audit(&mut self, _: Total) -> u64 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.balance
    }

    /// Asks the branch, which waits for this very handler.
    #[route("total")]
    async fn total(&mut self, _: Total, system: System) -> anyhow::Result<u64> {
        Ok(system.ask("branch://total", Total).await?)
    }
}

#[derive(Subsystem)]
struct Branch;

#[routes]
impl Branch {
    /// While it waits, its thread serves the others: the bank lives on the same one.
    #[route("account")]
    async fn deposit(&mut self, message: Deposit, system: System) -> anyhow::Result<u64> {
        Ok(system.ask("bank://account", message).await?)
    }

    #[route("total")]
    async fn total(&mut self, _: Total, system: System) -> anyhow::Result<u64> {
        Ok(system.ask("bank://total", Total).await?)
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    // Rust's own report of a panic, without the backtrace.
    std::panic::set_hook(Box::new(|report| println!("({report})")));
    let system = System::builder().threads(1).start().await?;
    system.mount(Bank::default).await?;
    system.mount(|| Branch).await?;

    for path in ["bank://account", "branch://account"] {
        let balance = system.ask(path, Deposit(2)).await?;
        println!("reply:    {balance} from {path}");
    }

    // An error of the handler reaches the asker as it is.
    let error = system.ask("bank://account", Withdraw(9)).await.unwrap_err();
    println!("error:    {error:#}");
    assert!(matches!(&error, AskError::Failed(e) if e.to_string() == "only 4 left"));

    // A panic fails that message alone; the factory makes the subsystem anew.
    let error = system.ask("bank://vault", Withdraw(1)).await.unwrap_err();
    println!("panic:    {error}");
    assert!(matches!(error, AskError::Panicked { .. }));
    assert_eq!(system.ask("bank://account", Deposit(1)).await?, 1);

    // The handler goes on after the asker's deadline; the second ask expires before it begins.
    let soon = Duration::from_millis(100);
    for _ in 0..2 {
        let audited = system.ask_within("bank://audit", Total, soon).await;
        let error = audited.unwrap_err();
        println!("deadline: {error}");
        assert!(matches!(error, AskError::DeadlineExceeded { .. }));
    }

    // bank asks branch, branch asks bank: the ask that would close the circle is refused.
    let error = anyhow::Error::from(system.ask("bank://total", Total).await.unwrap_err());
    println!("circle:   {}", error.root_cause());
    assert!(format!("{error:#}").contains("branch -> bank -> branch"));

    let total = system.snapshot().total;
    println!("{total:?}");
    assert_eq!((total.failed, total.expired), (4, 1));
    system.stop().await?;
    Ok(())
}
