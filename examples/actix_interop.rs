//! Run with `cargo run --example actix_interop`
//!
//! Plain actix actors take part: one is reached by path, another sends from its timer.

use actix::{Actor, AsyncContext, Context, Handler, ResponseFuture};
use mycelia::{Route, prelude::*};
use std::time::Duration;

// ANCHOR: reached
/// Both frameworks' message: the reply type is written twice, and must agree.
#[derive(Message, actix::Message)]
#[message(reply = u64)]
#[rtype(result = "u64")]
struct Deposit(u64);

/// An actor that knows nothing of paths.
struct Account(u64);

impl Actor for Account {
    type Context = Context<Self>;
}

impl Handler<Deposit> for Account {
    type Result = u64;

    fn handle(&mut self, Deposit(amount): Deposit, _: &mut Self::Context) -> u64 {
        self.0 += amount;
        self.0
    }
}
// ANCHOR_END: reached

#[derive(Message)]
#[message(reply = u64)]
struct Tick;

#[derive(Subsystem, Default)]
struct Clock {
    ticks: u64,
}

#[routes]
impl Clock {
    #[route("ticks")]
    fn tick(&mut self, _: Tick) -> u64 {
        self.ticks += 1;
        self.ticks
    }
}

/// An actor that holds a resolved handle and sends from its timer and from its handler.
struct Pendulum {
    ticks: Route<Tick>,
}

impl Actor for Pendulum {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(Duration::from_millis(5), |pendulum, _| {
            // A timer can't wait: if there is no room, this tick is left out.
            if let Err(undelivered) = pendulum.ticks.try_tell(Tick) {
                eprintln!("{undelivered}");
            }
        });
    }
}

#[derive(actix::Message)]
#[rtype(result = "anyhow::Result<u64>")]
struct CountOne;

impl Handler<CountOne> for Pendulum {
    type Result = ResponseFuture<anyhow::Result<u64>>;

    fn handle(&mut self, _: CountOne, _: &mut Self::Context) -> Self::Result {
        let ticks = self.ticks.clone();
        Box::pin(async move { Ok(ticks.ask(Tick).await?) })
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;

    // Reached by path. Anyone who has the address goes on sending to it directly.
    let account = Account(100).start();
    system
        .mount_actor("account", account.clone(), |routes| {
            routes.on::<Deposit>("deposit");
        })
        .await?;
    let by_path = system.ask("account://deposit", Deposit(20)).await?;
    let by_address = account.send(Deposit(3)).await?;
    println!("the account holds {by_path}, then {by_address}");
    assert_eq!((by_path, by_address), (120, 123));

    // Taking part.
    system.mount(Clock::default).await?;
    let ticks = system.route::<Tick>("clock://ticks")?;
    let pendulum = Pendulum { ticks }.start();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let count = pendulum.send(CountOne).await??;
    println!("the pendulum has sent {count} ticks");
    assert!(count > 1);

    // After the stop a send from the timer would say so and hand the tick back.
    let report = system.stop().await?;
    println!("{:?}", report.ledger);
    assert!(report.ledger.closes() && report.ledger.handled > count);
    Ok(())
}
