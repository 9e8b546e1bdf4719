// `#[routes]` goes on a block of the subsystem itself, not on a trait.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
trait Greeter {
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> String;
}

fn main() {}
