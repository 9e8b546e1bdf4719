// There is one method for each hook, and it is read by `#[routes]`.

use mycelia::prelude::*;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    fn open(&mut self) {
        self.open_too();
    }

    fn open_too(&mut self) {}

    #[mycelia::stopped]
    fn close(&mut self, _: mycelia::observe::EndReason) {}

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {
    let _ = Api;
}
