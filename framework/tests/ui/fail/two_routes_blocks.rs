// The handlers of a subsystem stand in one block.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    async fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

#[routes]
impl Api {
    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {}
