// A message that names a reply gets one.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet) {}
}

fn main() {}
