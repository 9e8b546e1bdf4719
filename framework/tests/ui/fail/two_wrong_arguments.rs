// Each wrong argument is named, once.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}")]
    fn greet(&mut self, _: Greet, id: u64, _: Sender, name: &str) -> String {
        format!("{id} {name}")
    }

    #[route("posts/{id}")]
    fn post(&mut self, _: Greet, id: u64, _: Sender, name: String) -> String {
        format!("{id} {name}")
    }
}

fn main() {}
