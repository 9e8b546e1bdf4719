// A handler's error is one that `anyhow` takes.

use mycelia::prelude::*;

#[derive(Debug)]
struct NoName;

impl std::fmt::Display for NoName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no name")
    }
}

impl std::error::Error for NoName {}

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
