// A method of a trait's impl is no handler.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

trait Greeter {
    fn greet(&mut self, _: Greet) -> String;
}

impl Greeter for Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
