// A hook is called by no path, so there is nothing to capture.

use mycelia::prelude::*;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    fn open(&mut self, Path(_id): Path<u64>) {}

    #[route("ping/{_id}")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {
    let _ = Api::routes;
}
