// `#[routes]` goes on a block of the subsystem itself, not on a trait.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

trait Greeter {
    fn greet(&mut self, _: Greet) -> String;
}

#[routes]
impl Api {
    #[route("greet")]
    fn answer(&mut self, greet: Greet) -> String {
        self.greet(greet)
    }
}

impl Greeter for Api {
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
