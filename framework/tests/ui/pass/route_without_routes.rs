// `#[route]` is read by `#[routes]`.

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
}

fn main() {}
