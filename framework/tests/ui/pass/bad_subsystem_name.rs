// A subsystem's name is the scheme of its paths.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
#[subsystem(name = "api-v1")]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
