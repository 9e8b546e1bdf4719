// There is one method for each hook, and it is read by `#[routes]`.

use mycelia::prelude::*;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    fn open(&mut self) {}

    #[started]
    fn open_too(&mut self) {}

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

impl Api {
    #[mycelia::stopped]
    fn close(&mut self, _: mycelia::observe::EndReason) {}
}

fn main() {}
