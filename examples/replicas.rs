//! Run with `cargo run --example replicas`
//!
//! One name, several subsystems over the threads, and which of them gets a message.

use std::collections::BTreeMap;

use mycelia::Replicas;
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = (String, u64))]
struct Visit;

#[derive(Message)]
#[message(reply = String)]
struct Who;

#[derive(Subsystem, Default)]
struct Users {
    visits: BTreeMap<u64, u64>,
}

#[routes]
impl Users {
    /// A user's visits are counted in one replica, which needs no lock and asks no one.
    #[route("{id}/visit")]
    fn visit(&mut self, _: Visit, Path(id): Path<u64>, ctx: Context) -> (String, u64) {
        let visits = self.visits.entry(id).or_default();
        *visits += 1;
        (ctx.name().to_owned(), *visits)
    }

    #[route("who")]
    fn who(&mut self, _: Who, ctx: Context) -> String {
        ctx.name().to_owned()
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().threads(2).start().await?;

    // ANCHOR: replicas
    let replicas = Replicas::by_capture(3, "id");
    system.mount_replicas(replicas, Users::default).await?;

    // The same user always comes to the same replica, by path and by handle.
    let visit = system.route::<Visit>("users://{id}/visit")?;
    for user in [7, 8, 9, 10] {
        let (first, _) = visit.at(user).ask(Visit).await?;
        let path = format!("users://{user}/visit");
        let (second, visits) = system.ask(&path, Visit).await?;
        println!("user {user:2} is with {first}, visit {visits}");
        assert_eq!((first, 2), (second, visits));
    }

    // A route without that capture goes in turn, and each replica has a name of its own.
    let mut met = Vec::new();
    for _ in 0..3 {
        met.push(system.ask("users://who", Who).await?);
    }
    met.sort();
    assert_eq!(met, ["users/0", "users/1", "users/2"]);
    assert_eq!(system.ask("users/1://who", Who).await?, "users/1");
    // ANCHOR_END: replicas

    let ledger = system.unmount("users").await?;
    println!("{} messages handled by all three", ledger.handled);
    assert_eq!(ledger.handled, 12);
    system.stop().await?;
    Ok(())
}
