// A capture that no argument takes is a warning, as an unused variable is.

#![deny(warnings)]

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}")]
    fn greet(&mut self, _: Greet, _: Sender) -> String {
        String::new()
    }
}

fn main() {
    let _ = (Api, Greet);
}
