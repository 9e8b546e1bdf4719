// An argument after the message is an extractor.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}")]
    async fn greet(&mut self, _: Greet, id: u64) -> String {
        id.to_string()
    }
}

fn main() {}
