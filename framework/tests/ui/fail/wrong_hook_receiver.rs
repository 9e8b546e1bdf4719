// A hook works on the subsystem, which lives on after it.

use mycelia::prelude::*;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    async fn open() {}

    #[restarting]
    fn learn(self, _: mycelia::supervise::Failure) {}

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {}
