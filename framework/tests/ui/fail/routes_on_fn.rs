// `#[routes]` goes on an `impl` block, not on a method.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

impl Api {
    #[routes]
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
