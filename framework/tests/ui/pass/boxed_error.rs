// A handler's error crosses threads.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    async fn greet(&mut self, _: Greet) -> Result<String, anyhow::Error> {
        Err(anyhow::anyhow!("no"))
    }
}

fn main() {}
