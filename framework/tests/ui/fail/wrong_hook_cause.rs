// Each hook is told its own kind of cause, and the first one none.

use mycelia::prelude::*;
use mycelia::observe::EndReason;
use mycelia::supervise::Failure;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    fn open(&mut self, _: Failure) {}

    #[restarting]
    async fn learn(&mut self, _: EndReason) {}

    #[stopped]
    fn close(&mut self, _: System, _: EndReason) {}

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {}
