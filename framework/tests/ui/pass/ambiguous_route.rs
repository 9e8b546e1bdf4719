// A route is spelled in one way.

use mycelia::prelude::*;

#[derive(Message)]
struct Forget;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{_id}")]
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }

    #[route("users/{_id}")]
    fn forget(&mut self, _: Forget) {}
}

fn main() {}
