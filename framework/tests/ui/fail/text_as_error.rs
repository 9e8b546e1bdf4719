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
    async fn greet(&mut self, _: Greet) -> Result<String, String> {
        Err("no".into())
    }
}

fn main() {}
