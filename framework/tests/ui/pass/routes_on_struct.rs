// `#[routes]` goes on an `impl` block.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    async fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
