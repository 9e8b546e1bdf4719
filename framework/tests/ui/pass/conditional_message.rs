// A handler's message has no condition.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[cfg(unix)]
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }

    #[route("late/{_id}")]
    fn late(&mut self, _: Greet, #[cfg(windows)] _: Sender) -> String {
        String::new()
    }
}

fn main() {}
