// A handler answers with the reply that its message names.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    async fn greet(&mut self, _: Greet) -> usize {
        5
    }
}

fn main() {}
