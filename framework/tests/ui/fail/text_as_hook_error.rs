// A hook's error is one that `anyhow` takes, as a handler's is.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    fn open(&mut self) -> Result<(), String> {
        Ok(())
    }

    #[route("greet")]
    async fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

fn main() {}
