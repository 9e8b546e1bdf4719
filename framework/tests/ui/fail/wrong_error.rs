// A handler's error is one that `anyhow` takes.

use mycelia::prelude::*;

#[derive(Debug)]
struct NoName;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> Result<String, NoName> {
        Err(NoName)
    }
}

fn main() {}
