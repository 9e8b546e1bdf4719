// No one is there to take what a hook returns, but for an error.

use mycelia::prelude::*;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    async fn open(&mut self) -> u32 {
        7
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {}
