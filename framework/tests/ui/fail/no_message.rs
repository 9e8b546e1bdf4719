// A handler takes a message.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}")]
    async fn greet(&mut self) -> String {
        String::new()
    }
}

fn main() {}
