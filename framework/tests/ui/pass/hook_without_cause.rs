// Two of the hooks are told why they are called.

use mycelia::prelude::*;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[restarting]
    async fn learn(&mut self, _: mycelia::supervise::Failure) {}

    #[stopped]
    fn close(&mut self, _: mycelia::observe::EndReason) {}

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {
    let _ = Api;
}
