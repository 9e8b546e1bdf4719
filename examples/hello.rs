//! Run with `cargo run --example hello`
//!
//! One subsystem, one message, one reply.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet {
    greeting: String,
}

#[derive(Subsystem, Default)]
#[subsystem(name = "api")]
struct Api {
    visits: u64,
}

#[routes]
impl Api {
    #[route("users/{id}")]
    async fn greet(&mut self, msg: Greet, Path(id): Path<u64>) -> String {
        self.visits += 1;
        format!("{}, user {id}; visit {}", msg.greeting, self.visits)
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(Api::default).await?;

    let greet = Greet {
        greeting: "hello".into(),
    };
    let reply = system.ask("api://users/7", greet).await?;
    println!("{reply}");
    assert_eq!(reply, "hello, user 7; visit 1");

    system.stop().await?;
    Ok(())
}
