// Routes belong to a subsystem.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
