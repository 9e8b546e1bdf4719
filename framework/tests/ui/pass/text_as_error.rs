// A handler's error is a type of its own, not a text.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    async fn greet(&mut self, _: Greet) -> anyhow::Result<String> {
        Err("no".to_owned()).map_err(anyhow::Error::msg)
    }
}

fn main() {}
