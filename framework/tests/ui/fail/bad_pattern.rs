// A pattern is checked where it is written.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id")]
    fn greet(&mut self, _: Greet, Path(id): Path<u64>) -> String {
        id.to_string()
    }

    #[route("api://users")]
    fn all(&mut self, _: Greet) -> String {
        String::new()
    }

    #[route]
    fn bare(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
