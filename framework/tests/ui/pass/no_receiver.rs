// A handler is a method of the subsystem.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }

    #[route("part")]
    fn part(&self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
