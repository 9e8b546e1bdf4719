// A method of a trait is no handler.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

trait Greeter {
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> String;
}

impl Greeter for Api {
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
