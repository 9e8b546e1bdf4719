// Each wrong argument is named, once.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}/{name}")]
    fn greet(&mut self, _: Greet, id: Path<u64>, _: Sender, name: Path<String>) -> String {
        format!("{} {}", id.0, name.0)
    }

    #[route("posts/{id}/{name}")]
    fn post(&mut self, _: Greet, id: Path<u64>, _: Sender, name: Path<String>) -> String {
        format!("{} {}", id.0, name.0)
    }
}

fn main() {}
