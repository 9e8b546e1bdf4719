// A handler's message has no condition.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, #[cfg(unix)] _: Greet) -> String {
        String::new()
    }
}

fn main() {}
