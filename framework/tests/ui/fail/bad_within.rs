// The time that a handler has is a number and a unit, and only a handler that awaits can be cut off.

use mycelia::prelude::*;

#[derive(Message)]
struct Fetch;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("a", within = "2 seconds")]
    async fn a(&mut self, _: Fetch) {}

    #[route("b", within = "0s")]
    async fn b(&mut self, _: Fetch) {}

    #[route("c", within = 2)]
    async fn c(&mut self, _: Fetch) {}

    #[route("d", within)]
    async fn d(&mut self, _: Fetch) {}

    #[route("e", within = "2s")]
    fn e(&mut self, _: Fetch) {}

    #[route("f", blocking, within = "2s")]
    fn f(&mut self, _: Fetch) {}
}

fn main() {}
