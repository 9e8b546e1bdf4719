// A hook works on the subsystem, which lives on after it.

use mycelia::prelude::*;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    async fn open(&mut self) {}

    #[restarting]
    fn learn(&mut self, _: mycelia::supervise::Failure) {}

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {
    let _ = Api;
}
