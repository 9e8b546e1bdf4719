// `#[routes]` takes the path of the crate, and nothing else.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes(prefix = "api")]
impl Api {
    #[route("greet")]
    async fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
